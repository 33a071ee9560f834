"""The recorded errors of the laws: what `predict` takes its intervals from.

`law_scores.json` is made from the recorded cubes by `python benchmarks/law_scores.py`; a test keeps the two alike.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

from effbatch.advice.law_answers import LawScore

FILE = Path(__file__).with_name("law_scores.json")


@cache
def recorded(optimizer: str = "sgd") -> dict[str, LawScore]:
    """Score of every law tried with this optimizer, at a constant rate, on cells which its anchor had not seen.

    Empty for an optimizer that no recorded sweep has.
    """
    content = _content()["optimizers"].get(optimizer, {"laws": {}})
    laws = content.pop("laws")
    return {name: LawScore(**{**content, **score}) for name, score in laws.items()}


@cache
def same_cells() -> dict[str, LawScore]:
    """Scores of a rule anchored at tuned cells and of what needs no anchor, all on the same cells."""
    return {name: LawScore(**score) for name, score in _content()["same_cells"].items()}


def _content() -> dict[str, Any]:
    return json.loads(FILE.read_text(encoding="utf-8"))
