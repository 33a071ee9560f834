"""The recorded errors of the laws: what intervals of rates, and the choice among the laws, are taken from.

`law_scores.json` is made from the recorded cubes by `python benchmarks/law_scores.py`; a test keeps the two alike.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from effbatch.laws.base import in_range

FILE = Path(__file__).with_name("law_scores.json")


@dataclass(frozen=True, kw_only=True)
class LawScore:
    """How well a law predicted best rates it had not seen: |log2(predicted/measured)| over n cells.

    alpha, batch_size   least and greatest at which it was tried
    interval_log2       95 % interval of the median
    """

    median_error_log2: float
    quantile90_log2: float
    n: int
    source: str
    alpha: tuple[float, float] = (0.0, float("inf"))
    batch_size: tuple[float, float] = (0.0, float("inf"))
    interval_log2: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        in_range("the median error", self.median_error_log2, "powers of two", least=0, most=60)
        in_range("the 90th percentile of the error", self.quantile90_log2, "powers of two", least=0, most=60)
        in_range("n", self.n, "cells compared", least=1)

    @property
    def spread(self) -> float:
        """The factor to either side that holds 90 % of the errors."""
        return 2.0**self.quantile90_log2

    def covers(self, alpha: float, batch_size: float) -> bool:
        """Whether 1 + α and B lie where the errors were recorded, or within a factor of two of that."""
        return all(
            low / 2 <= value <= 2 * high
            for value, low, high in (
                (1 + alpha, 1 + self.alpha[0], 1 + self.alpha[1]),
                (batch_size, *self.batch_size),
            )
        )


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
