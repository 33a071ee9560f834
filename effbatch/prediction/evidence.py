"""The recorded errors of the laws: what `predict` takes its intervals from.

`law_scores.json` is made from the recorded cubes by `python benchmarks/law_scores.py`; a test keeps the two alike.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

from effbatch.prediction.answers import LawScore

FILE = Path(__file__).with_name("law_scores.json")


@cache
def recorded() -> dict[str, LawScore]:
    """Score of every law that was tried on cells which its anchor had not seen."""
    content = _content()
    shared = {"source": content["source"], "alpha": content["alpha"], "batch_size": content["batch_size"]}
    return {name: LawScore(**{**shared, **score}) for name, score in content["laws"].items()}


@cache
def same_cells() -> dict[str, LawScore]:
    """Scores of a rule anchored at tuned cells and of what needs no anchor, all on the same cells."""
    return {name: LawScore(**score) for name, score in _content()["same_cells"].items()}


def _content() -> dict[str, Any]:
    return json.loads(FILE.read_text(encoding="utf-8"))
