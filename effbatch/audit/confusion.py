"""Counts of given against checked labels -> the transition matrix, whether its noise is uniform, what can be learned.

Rows are checked (true) classes, columns given labels, as everywhere. The checked examples are a random sample of the
data set (not so many of each given label), and the check is right.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from effbatch.audit.proportions import clopper_pearson
from effbatch.audit.sample import NoiseEstimate, check_confidence, estimate_noise
from effbatch.core.errors import InputError
from effbatch.core.estimate import Estimate
from effbatch.core.jsonable import jsonable
from effbatch.core.pages import Shown
from effbatch.noise import transition

MAX_CLASSES = 200  # resampling takes seconds there, and nobody checks 40,000 kinds of mistake by hand
RESAMPLES = 999

Counts = NDArray[np.int64]


class Learnability(StrEnum):
    """What the interval of a class's margin says."""

    LEARNABLE = "learnable"
    UNLEARNABLE = "cannot be learned"
    CANNOT_TELL = "cannot tell"


@dataclass(frozen=True)
class Margin:
    """T_cc − max_{k≠c} T_ck of one class, and the verdict on its sign."""

    true_class: int
    margin: Estimate
    verdict: Learnability


@dataclass(frozen=True)
class UniformTest:
    """Whether uniform noise explains the counts: G, its p-value over `resamples` draws, `fits` where p >= level."""

    statistic: float
    p_value: float
    level: float
    resamples: int
    fits: bool


@dataclass(frozen=True)
class CountsEstimate(Shown):
    """What confusion counts say of a data set; see `estimate_from_counts`.

    transition                 T̂, (K, K); NaN in rows of classes that were not checked
    low, high                  limits of each entry
    rms_signal, least_signal   of the centred T: `transition.signal_spectrum`
    """

    counts: Counts
    confidence: float
    sample: NoiseEstimate
    uniform: UniformTest
    transition: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    rms_signal: Estimate
    least_signal: Estimate
    margins: tuple[Margin, ...]

    def to_dict(self) -> dict[str, Any]:
        """As JSON holds it: the keys of the sample, and beside them what the counts add; unknown numbers are null."""
        return self.sample.to_dict() | jsonable(
            {
                "uniform_noise": self.uniform,
                "transition_matrix": {
                    "value": _null(self.transition),
                    "low": _null(self.low),
                    "high": _null(self.high),
                    "n": self.counts.sum(1).tolist(),
                },
                "signal": {"rms": self.rms_signal, "least": self.least_signal},
                "margins": self.margins,
            }
        )


def estimate_from_counts(
    counts: ArrayLike,
    *,
    examples: int | None = None,
    confidence: float = 0.95,
    method: str = "exact",
    seed: int = 0,
) -> CountsEstimate:
    """Everything that K×K counts (rows: checked class, columns: given label) say about label noise.

    alpha        for uniform noise: the likelihood depends on the counts through the wrong ones alone, so it is that
                 of `estimate_noise`, options included
    uniform      G = 2 Σ O ln(O/E) against uniform noise of that α. Given the row sums and the number of wrong labels
                 the null has no parameter left, so p comes from draws of it, right at any count; the level is
                 1 − confidence
    transition   row shares, with a Clopper-Pearson interval for each entry alone
    signal       singular values of the centred T. No singular value is further off than the error of T is large
                 (Weyl), so the limits are value ± the `confidence` quantile of that norm over redrawn rows (each
                 smoothed by half a count per label): conservative, the more so the fewer the counts
    margins      limits from the entries of the row, all K right at once (Bonferroni), hence conservative; a class
                 can be told learnable or not where they exclude 0
    `seed` is that of the draws. Raises InputError unless the counts are whole, >= 0 and K×K with 2 <= K <= 200.
    """
    O = _checked_counts(counts)  # noqa: E741 (observed)
    check_confidence(confidence)
    n, K = O.sum(1), len(O)
    total, wrong = int(O.sum()), int(O.sum() - np.trace(O))
    sample = estimate_noise(total, wrong, K, examples=examples, confidence=confidence, method=method)
    rng = np.random.default_rng(seed)
    with np.errstate(invalid="ignore"):
        T = O / n[:, None]
    low, high = (np.where(n[:, None] > 0, limit, np.nan) for limit in clopper_pearson(O, n[:, None], confidence))
    rms, least = _signal(O, T, confidence, rng)
    return CountsEstimate(
        O,
        confidence,
        sample,
        _uniform_test(O, wrong, round(1 - confidence, 12), rng),
        T,
        low,
        high,
        rms,
        least,
        _margins(O, confidence),
    )


def _uniform_test(counts: Counts, wrong: int, level: float, rng: np.random.Generator) -> UniformTest:
    """Which labels are wrong is a draw without replacement, which label each has is a fair draw of K − 1."""
    n, K = counts.sum(1), len(counts)

    def varying(o: NDArray) -> NDArray:  # the part of G/2 that is not fixed by row sums and `wrong`
        return (o * np.log(np.maximum(o, 1))).sum(-1)

    share = wrong / n.sum()
    expected = n[:, None] * np.where(np.eye(K, dtype=bool), 1 - share, share / (K - 1))
    observed = varying(counts).sum()
    fixed = (counts * np.log(np.where(expected > 0, expected, 1))).sum()
    drawn = np.zeros(RESAMPLES)
    wrong_by_row = rng.multivariate_hypergeometric(n, wrong, size=RESAMPLES, method="marginals")
    for row, w in zip(n, wrong_by_row.T, strict=True):
        false = rng.multinomial(w, np.full(K - 1, 1 / (K - 1)))
        drawn += varying(false) + varying((row - w)[:, None])
    # equal values come from equal counts in another order, whose sums differ by rounding
    p = (1 + int((drawn >= observed - 1e-9 * max(1.0, observed)).sum())) / (RESAMPLES + 1)
    return UniformTest(float(2 * (observed - fixed)), p, level, RESAMPLES, p >= level)


def _signal(counts: Counts, T: NDArray, confidence: float, rng: np.random.Generator) -> tuple[Estimate, Estimate]:
    """Root-mean-square and least singular value of the centred T, with limits by Weyl's inequality."""
    n, K, total = counts.sum(1), len(counts), int(counts.sum())
    if (n == 0).any():
        missing = ", ".join(str(c) for c in np.flatnonzero(n == 0))
        nothing = Estimate(None, n=total, reason=f"cannot tell: nothing was checked of class {missing}")
        return nothing, nothing
    smooth = (counts + 0.5) / (n[:, None] + 0.5 * K)
    spread, norm = np.empty(RESAMPLES), np.empty(RESAMPLES)
    for i in range(RESAMPLES):
        error = rng.multinomial(n, smooth) / n[:, None] - smooth
        spread[i], norm[i] = transition.rms_signal(error), transition.signal_spectrum(error)[0]
    values = float(transition.rms_signal(T)), float(transition.signal_spectrum(T)[-1])
    rms, least = (
        _singular(value, float(np.quantile(errors, confidence)), total, confidence)
        for value, errors in zip(values, (spread, norm), strict=True)
    )
    return rms, least


def _singular(value: float, error: float, n: int, level: float) -> Estimate:
    reason = None if value > error else "cannot tell it from no signal at this number of checked labels"
    return Estimate(value, max(value - error, 0.0), value + error, n=n, level=level, reason=reason)


def _margins(counts: Counts, confidence: float) -> tuple[Margin, ...]:
    n, K = counts.sum(1), len(counts)
    low, high = clopper_pearson(counts, n[:, None], 1 - (1 - confidence) / K)
    false = ~np.eye(K, dtype=bool)
    least = np.diag(low) - high.max(1, where=false, initial=0)
    most = np.diag(high) - low.max(1, where=false, initial=0)
    return tuple(_margin(c, counts[c], float(least[c]), float(most[c]), confidence) for c in range(K))


def _margin(c: int, row: Counts, low: float, high: float, level: float) -> Margin:
    n = int(row.sum())
    if n == 0:
        return Margin(c, Estimate(None, n=0, reason="nothing was checked of this class"), Learnability.CANNOT_TELL)
    verdict = Learnability.LEARNABLE if low > 0 else Learnability.UNLEARNABLE
    reason = None
    if low <= 0 < high:
        verdict, reason = Learnability.CANNOT_TELL, "the interval includes 0"
    value = float((row[c] - np.delete(row, c).max()) / n)
    return Margin(c, Estimate(value, low, high, n=n, level=level, reason=reason), verdict)


def _checked_counts(counts: ArrayLike) -> Counts:
    raw = np.asarray(counts)
    if raw.ndim != 2 or raw.shape[0] != raw.shape[1] or not 2 <= len(raw) <= MAX_CLASSES:
        raise InputError(
            f"confusion counts need one row and one column per class, 2 to {MAX_CLASSES} of them; shape {raw.shape} "
            "came: give rows = checked class, columns = given label",
            shape=raw.shape,
        )
    if raw.dtype.kind not in "iuf" or not (np.isfinite(raw) & (raw >= 0) & (raw == np.floor(raw))).all():
        raise InputError("confusion counts are whole numbers >= 0; others came: give counts, not shares")
    if not 1 <= raw.sum() <= 10**9:
        raise InputError(f"confusion counts need 1 to 10⁹ checked labels; {raw.sum():g} came")
    return raw.astype(np.int64)


def _null(matrix: NDArray) -> list:
    return [[None if np.isnan(x) else float(x) for x in row] for row in matrix]
