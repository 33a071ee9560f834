"""Counts of given against checked labels -> the transition matrix, whether its noise is uniform, what can be learned.

Rows are checked (true) classes, columns given labels, as everywhere. How the checked examples were drawn is their
`Design`; the check is right.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from effbatch.audit.design import Counts, Design, RandomSample
from effbatch.audit.repeated import Checks, RepeatedChecks
from effbatch.audit.sample import NoiseEstimate, check_confidence, estimate_noise
from effbatch.audit.stratified import StratifiedSample
from effbatch.audit.tables import MAX_CLASSES
from effbatch.audit.uniform_test import RESAMPLES, UniformTest
from effbatch.core.errors import InputError
from effbatch.core.estimate import Estimate
from effbatch.core.jsonable import jsonable
from effbatch.core.pages import Shown
from effbatch.noise import transition


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


@dataclass(frozen=True, kw_only=True)
class CountsEstimate(Shown):
    """What counts of a hand check say about a data set; `estimate_from_counts` returns it.

    class_names                (K,), or None
    facts                      how the examples were drawn, by JSON key
    sample                     noise rate and α, as `estimate_noise` returns them
    transition                 T̂, (K, K); NaN in the rows of classes that nobody checked
    low, high                  (K, K), limits of each entry
    checked_per_class          (K,), the labels or images that the limits of each row rest on
    shares                     (K,), of each true class in the data set; the largest is what always answering it reaches
    rms_signal, least_signal   of the centred T: see `transition.signal_spectrum`
    margins                    lead of each true label over the commonest false one; above 0 the class can be learned
    """

    counts: Counts
    class_names: tuple[str, ...] | None
    facts: dict[str, Any]
    confidence: float
    sample: NoiseEstimate
    uniform: UniformTest
    transition: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    checked_per_class: NDArray[np.int64]
    shares: NDArray[np.float64]
    rms_signal: Estimate
    least_signal: Estimate
    margins: tuple[Margin, ...]

    @property
    def balanced_noise_rate(self) -> float | None:
        """The share of wrong labels with every class counted alike; None where a class was not checked."""
        rate = float(1 - np.diag(self.transition).mean())
        return None if np.isnan(rate) else rate

    def name(self, c: int) -> str:
        """That of class c, its number where it has none."""
        return str(c) if self.class_names is None else self.class_names[c]

    def to_dict(self) -> dict[str, Any]:
        """As JSON holds it: what answers, the keys of the sample, and what the counts add; unknown numbers are null."""
        names = {} if self.class_names is None else {"class_names": list(self.class_names)}
        answer = {"answer": "alpha" if self.uniform.fits else "transition_matrix"}
        return (
            (answer | names | self.facts)
            | self.sample.to_dict()
            | jsonable(
                {
                    "uniform_noise": self.uniform,
                    "transition_matrix": {
                        "value": _null(self.transition),
                        "low": _null(self.low),
                        "high": _null(self.high),
                        "n": self.checked_per_class.tolist(),
                    },
                    "signal": {"rms": self.rms_signal, "least": self.least_signal},
                    "margins": self.margins,
                    "class_shares": self.shares.tolist(),
                    "balanced_noise_rate": self.balanced_noise_rate,
                }
            )
        )


def estimate_from_counts(
    counts: ArrayLike,
    *,
    sizes: ArrayLike | None = None,
    class_names: Sequence[str] | None = None,
    examples: int | None = None,
    confidence: float = 0.95,
    method: str = "exact",
    seed: int = 0,
) -> CountsEstimate:
    """Estimate label noise from K×K counts of a hand check: noise rate, α, transition matrix, what the labels teach.

    counts       (K, K), whole numbers >= 0 with 2 <= K <= 200; rows are checked classes, columns given labels
    sizes        (K,), examples of each given label in the data set. Give them if the check drew a number of each given
                 label instead of a random sample: see `stratified`
    class_names  (K,), what the answer calls the classes
    seed         of the redrawn samples behind the limits of the signal
    `examples`, `confidence` and `method` are those of `estimate_noise`. The answer holds

    alpha        for uniform noise: its likelihood depends on the counts through the wrong labels alone, so α is the one
                 of `estimate_noise`. Where uniform noise does not fit, the transition matrix T is the answer, and α its
                 average
    uniform      the test of uniform noise of that α, G = 2 Σ O ln(O/E), at the level 1 − confidence
    transition   the shares of each row; every entry has an interval of its own
    signal       the singular values of the centred T. None is further off than the norm of the error of T (Weyl, 1912),
                 so their limits are value ± the `confidence` quantile of that norm: conservative, more so with few
                 counts
    margins      limits from all K entries of a row at once (Bonferroni), conservative. Where they exclude 0, they tell
                 whether the class can be learned
    Raises InputError for counts of another shape or kind, and for sizes that do not go with the other options.

    >>> estimate = estimate_from_counts([[45, 5], [10, 40]])
    >>> round(estimate.sample.noise_rate.value, 2), round(estimate.sample.alpha.value, 2)
    (0.15, 0.43)
    """
    O = _checked_counts(counts)  # noqa: E741 (observed)
    check_confidence(confidence)
    if class_names is not None and len(class_names) != len(O):
        raise InputError(f"each of the {len(O)} classes needs a name, got {len(class_names)}: name them all")
    total, wrong = int(O.sum()), int(O.sum() - np.trace(O))
    sample = estimate_noise(total, wrong, len(O), examples=examples, confidence=confidence, method=method)
    if sizes is not None and (examples is not None or method != "exact"):
        what = "the number of examples" if examples is not None else f"the method {method}"
        raise InputError(
            f"sizes of the given labels need the method exact and say how many examples, got {what}: leave it out"
        )
    design: Design = RandomSample(O, sample)
    if sizes is not None:
        design = StratifiedSample(O, sizes, confidence=confidence)
    return _described(design, class_names, seed)


def estimate_from_checks(
    checks: Checks, *, class_names: Sequence[str] | None = None, confidence: float = 0.95, seed: int = 0
) -> CountsEstimate:
    """The same from checks of images drawn at random, some of them checked several times: see `repeated`."""
    if not 2 <= checks.num_classes <= MAX_CLASSES:
        raise InputError(f"checks need 2 to {MAX_CLASSES} classes, got {checks.num_classes}: merge or add some")
    check_confidence(confidence)
    return _described(RepeatedChecks(checks, confidence=confidence), class_names, seed)


def _described(design: Design, class_names: Sequence[str] | None, seed: int) -> CountsEstimate:
    rng = np.random.default_rng(seed)
    confidence, n = design.sample.confidence, design.counts.sum(1)
    low, high = (np.where(n[:, None] > 0, limit, np.nan) for limit in design.limits(confidence))
    rms, least = _signal(design, rng)
    return CountsEstimate(
        counts=design.counts,
        class_names=None if class_names is None else tuple(class_names),
        facts=design.facts,
        confidence=confidence,
        sample=design.sample,
        uniform=design.uniform(round(1 - confidence, 12), rng),
        transition=design.transition,
        low=low,
        high=high,
        checked_per_class=design.n,
        shares=design.shares,
        rms_signal=rms,
        least_signal=least,
        margins=_margins(design),
    )


def _signal(design: Design, rng: np.random.Generator) -> tuple[Estimate, Estimate]:
    """Root-mean-square and least singular value of the centred T, with limits by Weyl's inequality."""
    n, total, level = design.n, design.sample.noise_rate.n, design.sample.confidence
    if (n == 0).any():
        missing = ", ".join(str(c) for c in np.flatnonzero(n == 0))
        nothing = Estimate(None, n=total, reason=f"cannot tell: nothing was checked of class {missing}")
        return nothing, nothing
    spread, norm = np.empty(RESAMPLES), np.empty(RESAMPLES)
    for i in range(RESAMPLES):
        error = design.error(rng)
        spread[i], norm[i] = transition.rms_signal(error), transition.signal_spectrum(error)[0]
    T = design.transition
    values = float(transition.rms_signal(T)), float(transition.signal_spectrum(T)[-1])
    rms, least = (
        _singular(value, float(np.quantile(errors, level)), total, level)
        for value, errors in zip(values, (spread, norm), strict=True)
    )
    return rms, least


def _singular(value: float, error: float, n: int | None, level: float) -> Estimate:
    reason = None if value > error else "cannot tell it from no signal at this number of checked labels"
    return Estimate(value, max(value - error, 0.0), value + error, n=n, level=level, reason=reason)


def _margins(design: Design) -> tuple[Margin, ...]:
    K, level = len(design.n), design.sample.confidence
    low, high = design.limits(1 - (1 - level) / K)
    false = ~np.eye(K, dtype=bool)
    least = np.diag(low) - high.max(1, where=false, initial=0)
    most = np.diag(high) - low.max(1, where=false, initial=0)
    return tuple(
        _margin(c, int(design.n[c]), design.transition[c], float(least[c]), float(most[c]), level) for c in range(K)
    )


def _margin(c: int, n: int, row: NDArray, low: float, high: float, level: float) -> Margin:
    if n == 0:
        return Margin(c, Estimate(None, n=0, reason="nothing was checked of this class"), Learnability.CANNOT_TELL)
    verdict = Learnability.LEARNABLE if low > 0 else Learnability.UNLEARNABLE
    reason = None
    if low <= 0 < high:
        verdict, reason = Learnability.CANNOT_TELL, "the interval includes 0"
    value = float(row[c] - np.delete(row, c).max())
    return Margin(c, Estimate(value, low, high, n=n, level=level, reason=reason), verdict)


def _checked_counts(counts: ArrayLike) -> Counts:
    raw = np.asarray(counts)
    if raw.ndim != 2 or raw.shape[0] != raw.shape[1] or not 2 <= len(raw) <= MAX_CLASSES:
        raise InputError(
            f"confusion counts need one row and one column per class, 2 to {MAX_CLASSES} of them, got shape "
            f"{raw.shape}: give rows = checked class, columns = given label",
            shape=raw.shape,
        )
    if raw.dtype.kind not in "iuf" or not (np.isfinite(raw) & (raw >= 0) & (raw == np.floor(raw))).all():
        raise InputError("confusion counts are whole numbers >= 0, got others: give counts, not shares")
    if not 1 <= raw.sum() <= 10**9:
        raise InputError(f"confusion counts need 1 to 10⁹ checked labels, got {raw.sum():g}: give counts")
    return raw.astype(np.int64)


def _null(matrix: NDArray) -> list:
    return [[None if np.isnan(x) else float(x) for x in row] for row in matrix]
