"""Seeds -> bootstrap weights, and resampled estimates -> an interval that is honest with few seeds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

MIN_SEEDS = 3  # below, no interval kept its promise in simulation
FEW_SEEDS = 10


@dataclass(frozen=True)
class Estimate:
    """A value with its confidence limits."""

    value: float
    low: float
    high: float

    def excludes(self, value: float) -> bool:
        return not self.low <= value <= self.high


def bootstrap_weights(count: int, resamples: int, seed: int) -> NDArray[np.float64]:
    """Rows of weights (resamples, count), each summing to 1: how often a resample drew each of `count` units.

    A resampled mean is then one matrix product, and everything that shares the rows is resampled jointly.
    """
    rng = np.random.default_rng(seed)
    return rng.multinomial(count, np.full(count, 1 / count), size=resamples) / count


def interval(
    estimate: ArrayLike, resampled: NDArray[np.float64], count: int, confidence: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Confidence limits of `estimate` from its bootstrap values over `count` seeds, resamples on the first axis.

    Fewer than 10 seeds: estimate ± t √(n/(n−1)) SE, with t the Student quantile of n − 1 degrees of freedom and
    SE the standard deviation of the resampled values; from 10 seeds on the expanded percentiles of
    `percentile_interval`. Measured on synthetic peaks (600 to 1,500 repeats each, nominal 95 %): plain
    percentiles cover 75-81 % with 3 seeds, 83-90 % with 5, 90-95 % with 10 and 20; expanded percentiles 75-82,
    90-97, 94-98 and 94-97 %; the Student form 94-98, 93-97, 93-98 and 92-97 %. Hence the change at 10.
    """
    if count >= FEW_SEEDS:
        return percentile_interval(resampled, count, confidence)
    half = -_student_quantile(count, confidence) * resampled.std(axis=0)
    return np.asarray(estimate) - half, np.asarray(estimate) + half


def percentile_interval(
    resampled: NDArray[np.float64], count: int, confidence: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Expanded bootstrap percentiles: the quantiles at Φ(∓ t √(n/(n−1))) of the resampled values.

    A plain percentile interval is too short by √((n−1)/n) and ignores Student's t (Hesterberg, 2015, "What
    Teachers Should Know About the Bootstrap", section 3.3).
    """
    from scipy import stats

    tail = stats.norm.cdf(_student_quantile(count, confidence))
    low = np.quantile(resampled, tail, axis=0, method="lower")
    return low, np.quantile(resampled, 1 - tail, axis=0, method="higher")


def over_cells(
    values: NDArray[np.float64],
    statistic: Callable[..., NDArray[np.float64]],
    *,
    resamples: int = 1000,
    seed: int = 0,
    confidence: float = 0.95,
) -> Estimate:
    """`statistic(values, axis=...)` of one value per cell, with limits by resampling the cells as independent.

    NaN where there is no value; limits NaN with fewer than three.
    """
    count = len(values)
    if count == 0:
        return Estimate(np.nan, np.nan, np.nan)
    if count < MIN_SEEDS:
        return Estimate(float(statistic(values, axis=0)), np.nan, np.nan)
    draws = np.random.default_rng(seed).integers(0, count, (resamples, count))
    low, high = percentile_interval(statistic(values[draws], axis=1), count, confidence)
    return Estimate(float(statistic(values, axis=0)), float(low), float(high))


def _student_quantile(count: int, confidence: float) -> float:
    from scipy import stats

    return float(stats.t.ppf((1 - confidence) / 2, count - 1)) * np.sqrt(count / (count - 1))
