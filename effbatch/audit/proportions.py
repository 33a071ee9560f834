"""A count of n -> an interval of the proportion behind it, for draws with and without replacement.

All intervals are two-sided and central: each limit is missed with a chance of (1 − confidence)/2 or less (Wilson:
about that).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]


def clopper_pearson(count: ArrayLike, n: ArrayLike, confidence: float) -> tuple[Floats, Floats]:
    """Exact binomial limits (Clopper & Pearson 1934): P(X >= count | low) = P(X <= count | high) = (1 − confidence)/2.

    They cover at least as often as they say at every n; broadcasts. `n` need not be whole: an effective sample size.
    """
    from scipy.special import betaincinv

    k, n, tail = np.asarray(count, float), np.asarray(n, float), (1 - confidence) / 2
    low = np.where(k > 0, betaincinv(np.where(k > 0, k, 1), n - k + 1, tail), 0.0)
    high = np.where(k < n, betaincinv(k + 1, np.where(k < n, n - k, 1), 1 - tail), 1.0)
    return low, high


def wilson(count: float, n: int, confidence: float, *, population: int | None = None) -> tuple[float, float]:
    """Score limits (Wilson 1927): |p̂ − p| = z √(p (1 − p)/n). They cover about as often as they say, on average.

    Drawn without replacement from `population`, the variance shrinks by (N − n)/(N − 1), so n grows by the inverse.
    """
    from scipy.special import ndtri

    p = count / n
    if population is not None:
        if population == n:
            return p, p
        n = n * (population - 1) / (population - n)  # type: ignore[assignment]
    z2 = ndtri((1 - confidence) / 2) ** 2  # of the lower tail, which keeps its digits near confidence 1
    centre, half = p + z2 / (2 * n), np.sqrt(z2 * (p * (1 - p) / n + z2 / (4 * n * n)))
    low, high = (centre - half) / (1 + z2 / n), (centre + half) / (1 + z2 / n)
    return (0.0 if count == 0 else float(low)), (1.0 if p == 1 else float(high))  # exact there but for rounding


def hypergeometric(count: int, n: int, population: int, confidence: float) -> tuple[float, float]:
    """Exact limits without replacement: the least and largest W/N, W of N marked, whose tail exceeds its share.

    P(X >= count | W) and P(X <= count | W) > (1 − confidence)/2: the tests are inverted over whole W, so the limits
    cover at least as often as they say (Buonaccorsi 1987).
    """
    tail, (low, high) = (1 - confidence) / 2, (count, population - n + count)
    least, most = low, high
    while least < high:  # the first W with P(X >= count) > tail
        middle = (least + high) // 2
        enough = 1 - _chance_of_at_most(count - 1, n, middle, population) > tail
        least, high = (least, middle) if enough else (middle + 1, high)
    while low < most:  # the last W with P(X <= count) > tail
        middle = (low + most + 1) // 2
        enough = _chance_of_at_most(count, n, middle, population) > tail
        low, most = (middle, most) if enough else (low, middle - 1)
    return least / population, most / population


def _chance_of_at_most(count: int, n: int, marked: int, population: int) -> float:
    """P(X <= count) when n of `population` are drawn without replacement and `marked` of them count.

    P(k) = C(n, k) M(M−1)... · (N−M)(N−M−1)... / N(N−1)..., k, n − k and n factors: as sums of logarithms of ratios
    near 1 it keeps its digits for any N, where differences of log-factorials would not.
    """
    from scipy.special import gammaln

    if count < 0:
        return 0.0
    i = np.arange(n)
    with np.errstate(divide="ignore"):
        marked_factors = np.log(np.maximum(marked - i, 0) / population)
        other_factors = np.log(np.maximum(population - marked - i, 0) / population)
    all_factors = np.log((population - i) / population).sum()
    k = np.arange(count + 1)
    ways = gammaln(n + 1) - gammaln(k + 1) - gammaln(n - k + 1)
    chance = np.exp(ways + _sums(marked_factors)[k] + _sums(other_factors)[n - k] - all_factors)
    return float(chance.sum())


def _sums(x: Any) -> Any:
    """0, x_0, x_0 + x_1, ..."""
    return np.concatenate([[0.0], np.cumsum(x)])
