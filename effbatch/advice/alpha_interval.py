"""An interval of α -> the interval of whatever is computed from α."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import ArrayLike

from effbatch.core.errors import InputError
from effbatch.core.estimate import Interval

T = TypeVar("T")

POINTS = 65
BEYOND = 1e12  # stands for "no upper limit": whatever is reached here has no limit itself


def times(interval: Interval | None, factor: float) -> Interval | None:
    """Both limits times a positive factor; what does not exist stays so."""
    if interval is None:
        return None
    low, high = interval
    return None if low is None else low * factor, None if high is None else high * factor


@dataclass(frozen=True, eq=False)
class Alphas:
    """α, and the values that stand for its interval.

    tried      α first; with an interval then its low limit, values between, and its high limit
    interval   (low, high), high None for no limit; or None
    """

    tried: np.ndarray
    interval: Interval | None

    @property
    def bounded(self) -> bool:
        """Whether there is an upper limit, or no uncertainty."""
        return self.interval is None or self.interval[1] is not None

    def at_ends(self, values: Sequence[T]) -> list[T]:
        """Of one value per α tried: that at α and, where there are two, those at its limits."""
        return [values[i] for i in ((0, 1, -1) if self.interval is not None and self.bounded else (0,))]

    def span(self, values: ArrayLike) -> Interval | None:
        """Least and greatest of one value per α tried; None in place of one reached where α has no limit."""
        if self.interval is None:
            return None
        v = np.asarray(values, dtype=float)
        low, high = float(v.min()), float(v.max())
        if self.bounded or low == high:
            return low, high
        return (None if v[-1] == low else low), (None if v[-1] == high else high)


def alphas_in(alpha: float, interval: Interval | None, points: int = POINTS) -> Alphas:
    """α and values from the low to the high limit of its interval, evenly in log(1 + α).

    A number monotone in α takes its extremes at the ends; one that is not (`surge`) needs the values between.
    InputError unless 0 <= low <= α <= high.
    """
    if interval is None:
        return Alphas(np.array([alpha]), None)
    low, high = interval
    if low is None or not 0 <= low <= alpha < BEYOND or not (high is None or alpha <= high < BEYOND):
        raise InputError(
            f"the interval of alpha must start at 0 or above and hold alpha = {alpha:g}, got {low} to "
            f"{'no upper limit' if high is None else high}: give the low limit, then the high one",
            interval=interval,
        )
    end = BEYOND if high is None else high
    between = np.expm1(np.linspace(np.log1p(low), np.log1p(end), points)[1:-1])
    return Alphas(np.concatenate([[alpha, low], between, [end]]), interval)
