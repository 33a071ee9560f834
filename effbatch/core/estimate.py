"""A number with its limits and the sample behind it, or the reason why there is none."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Estimate:
    """A number, its limits and the sample size behind it; what is None, `reason` explains.

    A limit that is None does not exist: nothing in the sample bounds the number on that side.
    """

    value: float | None
    interval: tuple[float | None, float | None] | None
    n: int
    reason: str | None = None
