"""Counts, and how they were drawn -> whether uniform noise explains them, with a p-value from draws of the null."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 999
_LEVELS = 100  # of λ on the grid of the stratified test


@dataclass(frozen=True)
class UniformTest:
    """Whether uniform noise explains the counts: G, its p-value over `resamples` draws, `fits` where p >= level."""

    statistic: float
    p_value: float
    level: float
    resamples: int
    fits: bool


def uniform_test(counts: NDArray[np.int64], level: float, rng: np.random.Generator) -> UniformTest:
    """G = 2 Σ O ln(O/E), for a random sample: rows checked class, columns given label.

    Given the row sums and the number of wrong labels the null has no parameter left, so p is right at any count. Which
    labels are wrong is a draw without replacement, which label each has is a fair draw of K − 1.
    """
    n, K = counts.sum(1), len(counts)
    wrong = int(counts.sum() - np.trace(counts))
    share = wrong / n.sum()
    expected = n[:, None] * np.where(np.eye(K, dtype=bool), 1 - share, share / (K - 1))
    observed = _varying(counts).sum()
    fixed = (counts * np.log(np.where(expected > 0, expected, 1))).sum()
    drawn = np.zeros(RESAMPLES)
    wrong_by_row = rng.multivariate_hypergeometric(n, wrong, size=RESAMPLES, method="marginals")
    for row, w in zip(n, wrong_by_row.T, strict=True):
        false = rng.multinomial(w, np.full(K - 1, 1 / (K - 1)))
        drawn += _varying(false) + _varying((row - w)[:, None])
    return _result(float(observed), drawn, float(fixed), level)


def uniform_test_of_strata(
    counts: NDArray[np.int64], weights: NDArray[np.float64], level: float, rng: np.random.Generator
) -> UniformTest:
    """G, for so many checked of each given label, which `weights`, a share of the data set, has.

    Uniform noise of signal λ gives label j to w_j = λ π_j + (1 − λ)/K of all, π_j being the true class's share. So
    P(true c | given j) = π_c (λ [c = j] + (1 − λ)/K)/w_j has one parameter, and λ cannot be below 1 − K min w. It is
    fitted, to the counts and to each draw from the fit, on a grid of 100 values.
    """
    n, K = counts.sum(0), len(counts)
    least = max(0.0, 1 - K * float(weights.min()))
    grid = least + (1 - least) * np.linspace(0.5 / _LEVELS, 1, _LEVELS)
    true = np.maximum(weights - (1 - grid[:, None]) / K, 0) / grid[:, None]
    null = true[:, :, None] * (grid[:, None, None] * np.eye(K) + (1 - grid[:, None, None]) / K)
    null /= np.maximum(null.sum(1, keepdims=True), 1e-300)
    log_null = np.log(np.maximum(null, 1e-12)).reshape(_LEVELS, -1)

    def misfit(o: NDArray) -> tuple[NDArray, NDArray]:
        """G/2 but for what column sums fix, and the value of the grid that fits best."""
        likelihood = o.reshape(len(o), -1) @ log_null.T
        return _varying(o.reshape(len(o), -1)) - likelihood.max(1), likelihood.argmax(1)

    observed, best = misfit(counts[None].astype(float))
    fixed = _varying(n).sum()
    fitted = null[best[0]]
    drawn = np.empty(RESAMPLES)
    for start in range(0, RESAMPLES, 100):
        size = min(100, RESAMPLES - start)
        columns = [rng.multinomial(m, p / p.sum(), size=size) for m, p in zip(n, fitted.T, strict=True)]
        drawn[start : start + size] = misfit(np.stack(columns, axis=2).astype(float))[0]
    return _result(float(observed[0]), drawn, float(fixed), level)


def _result(observed: float, drawn: NDArray, fixed: float, level: float) -> UniformTest:
    # equal values come from equal counts in another order, whose sums differ by rounding
    p = (1 + int((drawn >= observed - 1e-9 * max(1.0, observed)).sum())) / (RESAMPLES + 1)
    return UniformTest(float(2 * (observed - fixed)), p, level, RESAMPLES, p >= level)


def _varying(o: NDArray) -> NDArray:
    """Σ O ln O: the part of G/2 that is not fixed by the sums."""
    return (o * np.log(np.maximum(o, 1))).sum(-1)
