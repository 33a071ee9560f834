"""Seeds -> bootstrap weights, and resampled estimates -> an interval and a p-value that are honest with few seeds."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
from numpy.typing import ArrayLike, NDArray

from effbatch.core.estimate import Estimate
from effbatch.fitting.student import CONFIDENCE, FEW_SEEDS, MIN_SEEDS, student_p_value, student_quantile

RESAMPLES = 1000


def bootstrap_weights(count: int, resamples: int) -> NDArray[np.float64]:
    """Rows of weights (resamples, count), each summing to 1: how often a resample drew each of `count` units.

    A resampled mean is then one matrix product, and everything that has the same seeds is resampled jointly: the rows
    are the same at every call.
    """
    return bootstrap_counts(count, resamples) / count


def bootstrap_counts(count: int, resamples: int) -> NDArray[np.int64]:
    """How often each resample drew each of `count` units, (resamples, count), each row summing to `count`."""
    return np.random.default_rng(0).multinomial(count, np.full(count, 1 / count), size=resamples)


def interval(
    estimate: ArrayLike, resampled: NDArray[np.float64], count: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Confidence limits of `estimate` from its bootstrap values over `count` seeds, resamples on the first axis.

    Fewer than 10 seeds: estimate ± t √(n/(n−1)) SE, with t the Student quantile of n − 1 degrees of freedom and
    SE the standard deviation of the resampled values; from 10 seeds on the expanded percentiles of
    `percentile_interval`. Measured on synthetic peaks (600 to 1,500 repeats each, nominal 95 %): plain
    percentiles cover 75-81 % with 3 seeds, 83-90 % with 5, 90-95 % with 10 and 20; expanded percentiles 75-82,
    90-97, 94-98 and 94-97 %; the Student form 94-98, 93-97, 93-98 and 92-97 %. Hence the change at 10.
    """
    if count >= FEW_SEEDS:
        return percentile_interval(resampled, count)
    half = _expanded(count) * resampled.std(axis=0)
    return np.asarray(estimate) - half, np.asarray(estimate) + half


def percentile_interval(resampled: NDArray[np.float64], count: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Expanded bootstrap percentiles: the quantiles at Φ(∓ t √(n/(n−1))) of the resampled values.

    A plain percentile interval is too short by √((n−1)/n) and ignores Student's t (Hesterberg, 2015, "What
    Teachers Should Know About the Bootstrap", section 3.3).
    """
    from scipy import stats

    tail = stats.norm.cdf(-_expanded(count))
    low = np.quantile(resampled, tail, axis=0, method="lower")
    return low, np.quantile(resampled, 1 - tail, axis=0, method="higher")


def p_value(value: float, *, estimate: float, resampled: NDArray[np.float64], count: int) -> float:
    """Two-sided p-value of "the truth is `value`": 1 - the confidence at which a limit of `interval` falls on it."""
    if count >= FEW_SEEDS:
        return percentile_p_value(value, estimate=estimate, resampled=resampled, count=count)
    return _student_p_value(value, estimate, resampled, count)


def percentile_p_value(value: float, *, estimate: float, resampled: NDArray[np.float64], count: int) -> float:
    """The same for `percentile_interval`.

    Where no resample lies beyond `value`, percentiles say no more than that p is small; the Student form, estimate
    ± t √(n/(n−1)) SE, takes over there.
    """
    from scipy import stats

    beyond = min((resampled <= value).mean(), (resampled >= value).mean())
    if beyond == 0:
        return _student_p_value(value, estimate, resampled, count)
    z = min(stats.norm.ppf(beyond), 0.0)  # above 0 where most resamples are `value` itself
    return float(student_p_value(z * np.sqrt((count - 1) / count), count - 1))


def over_seeds(
    values: NDArray[np.float64],
    statistic: Callable[[NDArray[np.float64]], NDArray[np.float64]],
    *,
    resamples: int = 2000,
) -> Estimate:
    """`statistic` of the seed mean of `values` (seeds, ...), with limits by resampling whole seeds: `interval`.

    statistic   means (rows, ...) -> (rows,)
    No limits with fewer than three seeds, or where some resample has no finite statistic.
    """
    count = len(values)
    value = float(statistic(values.mean(axis=0, keepdims=True))[0])
    if count < MIN_SEEDS:
        return Estimate(value, n=count)
    means = np.tensordot(bootstrap_weights(count, resamples), values, axes=1)
    return resampled_estimate(value, statistic(means), count)


def resampled_estimate(value: float, resampled: NDArray[np.float64], count: int) -> Estimate:
    """`value` with the limits of `interval` and the test of `p_value`; neither where some resample is not finite."""
    if not np.isfinite(resampled).all():
        return Estimate(value, n=count)
    low, high = interval(value, resampled, count)
    test = partial(p_value, estimate=value, resampled=resampled, count=count)
    return Estimate(value, float(low), float(high), n=count, level=CONFIDENCE, test=test)


def over_cells(
    values: NDArray[np.float64],
    statistic: Callable[..., NDArray[np.float64]],
    *,
    resamples: int = RESAMPLES,
) -> Estimate:
    """`statistic(values, axis=...)` of one value per cell, with limits by resampling the cells as independent.

    None where there is no value, no limits with fewer than three.
    """
    count = len(values)
    if count == 0:
        return Estimate(None, n=0)
    if count < MIN_SEEDS:
        return Estimate(float(statistic(values, axis=0)), n=count)
    draws = np.random.default_rng(0).integers(0, count, (resamples, count))
    value, resampled = float(statistic(values, axis=0)), statistic(values[draws], axis=1)
    low, high = percentile_interval(resampled, count)
    test = partial(percentile_p_value, estimate=value, resampled=resampled, count=count)
    return Estimate(value, float(low), float(high), n=count, level=CONFIDENCE, test=test)


def _expanded(count: int) -> float:
    """t √(n/(n−1)): Student's quantile, and what the bootstrap's standard error lacks."""
    return student_quantile(count - 1) * np.sqrt(count / (count - 1))


def _student_p_value(value: float, estimate: float, resampled: NDArray[np.float64], count: int) -> float:
    error = resampled.std() * np.sqrt(count / (count - 1))
    if error == 0:
        return float(estimate == value)
    return float(student_p_value((estimate - value) / error, count - 1))
