"""Signal detection: how far the true class stands out, d -> accuracy among K classes, and labels needed.

In the linear regime n_clean clean labels with α noisy ones each make the true class stand out by
d = κ √(n_clean/(1 + α)) standard deviations; choosing the largest of K noisy scores is a K-alternative
forced choice (Green & Swets, 1966, "Signal Detection Theory and Psychophysics").
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from effbatch.core.errors import InputError

Array = Any

# Trapezoid rule for x = z − d. The integrand is analytic and below 1e-17 at the ends, so the rule converges
# faster than any power of the spacing; this one is good to 1e-12 for K up to 10⁵.
_X, _SPACING = np.linspace(-9.0, 9.0, 181, retstep=True)
_WEIGHT = np.exp(-0.5 * _X**2) / np.sqrt(2 * np.pi) * _SPACING

_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(16)

_LOWEST, _HIGHEST = -20.0, 20.0


def accuracy(d: Array, num_classes: int) -> Array:
    """A_K(d) = ∫ φ(z − d) Φ(z)^(K−1) dz, the chance that the true class, raised by d, has the largest score.

    d is in standard deviations, of any sign; absolute error below 1e-10 for K from 2 to 10⁵.
    """
    from scipy.special import ndtr

    _check_num_classes(num_classes)
    rivals_below = ndtr(np.asarray(d, dtype=float)[..., None] + _X) ** (num_classes - 1)
    return rivals_below @ _WEIGHT


def accuracy_from_alignment(alignment: ArrayLike, num_classes: int) -> Array:
    """Accuracy of a function at cosine R with the target: forced choice with d' = sqrt(K) R/sqrt(1 - R²).

    The target (e_c - 1/K)/sqrt(1 - 1/K) lifts the true logit over its rivals by R/sqrt(1 - 1/K); the rest, of
    energy 1 - R², is spread evenly over K - 1 directions: standard deviation sqrt((1 - R²)/(K - 1)) per
    logit.
    """
    r = np.asarray(alignment, float)
    with np.errstate(divide="ignore"):
        d = np.sqrt(num_classes) * r / np.sqrt(1 - r**2)
    return forced_choice(np.repeat(d[..., None], num_classes - 1, -1))


def forced_choice(margins: ArrayLike) -> Array:
    """Probability that the true logit is the largest: integral of N(u) prod_j Phi(u + margin_j) du.

    `margins` (..., K - 1): mean of the true logit minus mean of each rival, over the standard deviation of
    one logit, noise independent and alike on all K (Green & Swets 1966). By 16 Gauss-Hermite nodes, exact to
    1e-4 for K <= 10 and 1e-3 for K <= 1000; averaged over 500 images of different margins, to 3e-5.
    """
    from scipy.special import ndtr

    lead = np.asarray(margins, float)
    # one node at a time: all at once would need 16 times the memory of the margins
    return sum(w * ndtr(lead + u).prod(-1) for u, w in zip(_NODES, _WEIGHTS / np.sqrt(2 * np.pi), strict=True))


def d_prime(proportion_correct: Array, num_classes: int) -> Array:
    """The d with A_K(d) = proportion_correct: 0 at chance 1/K, negative below it, infinite at 0 and 1.

    Found by bisection: d to 1e-10 for proportions from 1e-6 to 1 − 1e-4; in the flat tails beyond, rounding
    of A_K (1e-16) is divided by its slope, and nothing below 1e-12 is resolved. NaN stays NaN; InputError
    outside [0, 1].
    """
    target = np.asarray(proportion_correct, dtype=float)
    if np.any((target < 0) | (target > 1)):
        raise InputError(
            f"the proportion correct must lie in [0, 1], got {proportion_correct}: give a share, not percent",
            proportion_correct=proportion_correct,
        )
    low, high = np.full(target.shape, _LOWEST), np.full(target.shape, _HIGHEST)
    for _ in range(60):  # 40 / 2⁶⁰ is below the spacing of floats
        middle = (low + high) / 2
        below = accuracy(middle, num_classes) < target
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    d = np.where(np.isnan(target), np.nan, (low + high) / 2)
    return np.where(target == 0, -np.inf, np.where(target == 1, np.inf, d))[()]


def accuracy_curve(n_clean: Array, alpha: Array, kappa: Array, num_classes: int, *, ceiling: Array = 1.0) -> Array:
    """Accuracy after training on n_clean clean labels with α noisy ones each, d = κ √(n_clean/(1 + α)).

    `ceiling` a_∞ is what clean data would reach: 1/K + (a_∞ − 1/K) (A_K(d) − 1/K)/(1 − 1/K).
    """
    chance = 1 / num_classes
    detected = accuracy(kappa * np.sqrt(np.divide(n_clean, 1 + alpha)), num_classes)
    return chance + (ceiling - chance) * (detected - chance) / (1 - chance)


class Elasticities(NamedTuple):
    """Relative change of d for a relative change of one kind of label, the other kept fixed."""

    clean: Array
    noisy: Array


def elasticities(alpha: Array) -> Elasticities:
    """∂ln d/∂ln n_clean = 1 − 1/(2(1+α)), ∂ln d/∂ln n_noisy = −α/(2(1+α)): 2 to 1 for heavy noise."""
    noisy_share = alpha / (1 + alpha)
    return Elasticities(clean=(1 + noisy_share) / 2, noisy=-noisy_share / 2)


def clean_labels_factor(alpha: Array) -> Array:
    """1 + α: times more clean labels for the same d, against training on clean labels alone."""
    return 1 + alpha


def _check_num_classes(num_classes: int) -> None:
    if num_classes < 2:
        raise InputError(
            f"the number of classes must be at least 2, got {num_classes}: count them", num_classes=num_classes
        )
