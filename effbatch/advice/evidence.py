"""The recorded errors of the laws: what intervals of rates, and the choice among the laws, are taken from.

`law_scores.json` is made from the recorded cubes by `python benchmarks/law_scores.py`; a test keeps the two alike.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from effbatch.laws.base import Setting, in_range

FILE = Path(__file__).with_name("law_scores.json")


Range = tuple[float, float]
EVERYTHING: Range = (0.0, float("inf"))
MARGIN = 2  # so many times beyond the record an error still stands for batch size, classes and steps; not for α


@dataclass(frozen=True, kw_only=True)
class LawScore:
    """How well a law predicted best rates it had not seen: |log2(predicted/measured)| over n cells.

    alpha, batch_size, num_classes, steps  least and greatest at which it was tried
    interval_log2  95 % interval of the median
    """

    median_error_log2: float
    quantile90_log2: float
    n: int
    source: str
    alpha: Range = EVERYTHING
    batch_size: Range = EVERYTHING
    num_classes: Range = EVERYTHING
    steps: Range = EVERYTHING
    interval_log2: Range | None = None

    def __post_init__(self) -> None:
        in_range("the median error", self.median_error_log2, "powers of two", least=0, most=60)
        in_range("the 90th percentile of the error", self.quantile90_log2, "powers of two", least=0, most=60)
        in_range("n", self.n, "cells compared", least=1)

    @property
    def spread(self) -> float:
        """The factor to either side that holds 90 % of the errors."""
        return 2.0**self.quantile90_log2

    def beyond(self, setting: Setting) -> str | None:
        """What of a setting lies outside of the record, in words; None where all of it lies inside."""
        steps = setting.steps or (setting.examples and setting.examples / setting.batch_size)
        for what, value, (low, high), margin in (
            ("α", setting.alpha, self.alpha, 1),
            ("batches of", setting.batch_size, self.batch_size, MARGIN),
            ("K =", setting.num_classes, self.num_classes, MARGIN),
            ("steps:", steps, self.steps, MARGIN),
        ):
            if value is not None and not low / margin <= value <= margin * high:
                span = f"{low:g}" if low == high else f"{low:g} to {high:g}"
                return f"{what} {value:,g}, on record: {span}"
        return None


@cache
def recorded(optimizer: str = "sgd", *, clean_anchor: bool | None = None) -> dict[str, LawScore]:
    """Score of every law tried with this optimizer, at a constant rate, on cells which its anchor had not seen.

    clean_anchor  whether the anchor's labels were clean; None: of all anchors. Laws that need none have one score.
    Empty for an optimizer that no recorded sweep has.
    """
    content = _content()["optimizers"].get(optimizer, {"laws": {}})
    laws, which = content.pop("laws"), "clean" if clean_anchor else "noisy"
    scores = {}
    for name, score in laws.items():
        anchors = score.pop("anchors", None)
        of_anchor = score if anchors is None or clean_anchor is None else anchors.get(which)
        if of_anchor is not None:
            scores[name] = LawScore(**content | of_anchor)
    return scores


@cache
def same_cells() -> dict[str, LawScore]:
    """Scores of a rule anchored at tuned cells and of what needs no anchor, all on the same cells."""
    return {name: LawScore(**score) for name, score in _content()["same_cells"].items()}


def _content() -> dict[str, Any]:
    return json.loads(FILE.read_text(encoding="utf-8"))
