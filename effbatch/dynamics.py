"""The kernel spectrum of an untrained network -> its accuracy at any alpha, batch size, rate and steps.

Logits linearised around initialisation, uniform output (logit Hessian (I - 11ᵀ/K)/K) and a kernel theta that
acts alike on every logit turn SGD on noisy labels into kernel regression on g = (centred logits)/K with step
eta~ = eta/K. Everything is measured in units of the noisy target lambda (e_c - 1/K), scaled to unit energy,
with lambda = 1/(1 + alpha): one labelled copy then carries label noise of energy

    xi(alpha) = 1/lambda² - 1 = (1 + alpha)² - 1

and the function at initialisation, which does not shrink with the target, appears (1 + alpha) times larger.
With eigenvalues h_k, target energies e_k (sum 1) and initial energies z_k the expected error energies of the
modes obey

    c_k(0)   = e_k + (1 + alpha)² z_k
    c_k(t+1) = [(1 - eta~ h_k)² + eta~² h_k²/B] c_k(t) + (eta~² h_k²/B) [sum_l c_l(t) + xi(alpha)]

exactly so for Gaussian features and images drawn independently (Bordelon & Pehlevan 2022, arXiv 2106.02713,
whose recursion this is, extended here by xi and z). The mean of mode k has travelled
m_k = 1 - prod_t (1 - eta~_t h_k) of the way to the target.

The recursion draws an image and a fresh label at every visit. Fixed copies follow it until they are visited
more than a few times; memorising them is not in it. Nor are features that move, or logits that saturate.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from effbatch.errors import InputError

Floats = NDArray[np.float64]
Schedule = Literal["constant", "cosine"] | ArrayLike

_BIN_RATIO = 1.1  # modes whose eigenvalues agree this closely are stepped as one
_BIN_FLOOR = 1e-6  # modes below this fraction of h_1 hardly move in 10^5 stable steps: one bin
_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(32)


@dataclass(frozen=True)
class HeldOut:
    """What the linearised network knows of held-out images, mode by mode.

    modes     (n_test, n_modes)  phi_k(x) = sum_i theta(x, x_i) phi_k(x_i) / (n h_k), the Nyström extension
    target    (n_modes, K)       coefficients of the unit-energy target on phi_k; their squares sum to e_k
    initial   (n_modes, K)       coefficients of the initial function, same units; their squares sum to z_k
    start     (n_test, K)        the initial function itself at the held-out images, same units
    labels    (n_test,)          the true classes

    Training moves the held-out function by sum_k phi_k(x) (a_k(T) - a_k(0)), where a_k are the coefficients on
    the training images, so `start` is forgotten only as far as the modes reach.
    """

    modes: Floats
    target: Floats
    initial: Floats
    start: Floats
    labels: NDArray[np.int64]


@dataclass(frozen=True)
class Spectrum:
    """The kernel at initialisation, seen through its eigenfunctions phi_k with mean square 1 over the images.

    eigenvalues       (n_modes,) h_k of theta over the data: those of the Gram matrix divided by n, descending
    target_energies   (n_modes,) e_k >= 0 with sum 1, of the labels e_c - 1/K scaled by 1/sqrt(1 - 1/K)
    initial_energies  (n_modes,) z_k >= 0, of the centred initial logits divided by K, same scale
    num_classes       K
    examples          images that the kernel was taken on
    held_out          held-out images for the accuracy per image; None leaves the accuracy from the alignment
    """

    eigenvalues: Floats
    target_energies: Floats
    initial_energies: Floats
    num_classes: int
    examples: int
    held_out: HeldOut | None = None

    def __post_init__(self) -> None:
        h, e, z = self.eigenvalues, self.target_energies, self.initial_energies
        if not (h.ndim == 1 and h.shape == e.shape == z.shape and len(h) > 0):
            raise InputError(
                "a spectrum needs one eigenvalue, target energy and initial energy per mode; "
                f"shapes {h.shape}, {e.shape}, {z.shape} came: give three arrays of one length"
            )
        if min(h.min(), e.min(), z.min()) < 0 or h.max() == 0 or not np.isclose(e.sum(), 1):
            raise InputError(
                "a spectrum needs eigenvalues and energies >= 0, not all zero, and target energies of sum 1; "
                f"a least value of {min(h.min(), e.min(), z.min()):.3g} and a sum of {e.sum():.6g} came: "
                "drop eigenvalues below rounding and scale the target"
            )

    @property
    def trace(self) -> float:
        """tr theta = sum_k h_k, the mean of theta(x, x) over the images."""
        return float(self.eigenvalues.sum())


@dataclass(frozen=True)
class LearningCurve:
    """The prediction after `steps`, one entry per cell of the broadcast (alpha, batch_size, learning_rate).

    alignment  R, the cosine between what was learned and the clean target over the images; NaN where diverged
    accuracy   on held-out images where the spectrum has them, else from R; chance 1/K where diverged
    """

    alignment: Floats
    accuracy: Floats


def learning_curve(
    spectrum: Spectrum,
    alpha: ArrayLike,
    batch_size: ArrayLike,
    learning_rate: ArrayLike,
    steps: int,
    *,
    schedule: Schedule = "constant",
    momentum: float = 0.0,
) -> LearningCurve:
    """Alignment and accuracy after `steps` of SGD on noisy labels, for all cells in one pass.

        v_k = c_k(T) - (1 - m_k)² e_k           R = sum_k m_k e_k / sqrt(sum_k (m_k² e_k + v_k))

    `alpha`, `batch_size` and `learning_rate` broadcast. `schedule` multiplies the learning rate: "constant",
    "cosine" (½(1 + cos(pi t/T))) or an array of T multipliers. Momentum enters as eta/(1 - momentum), its
    limit for small eta. Modes with eigenvalues within 10 % of each other are stepped as one, which moves the
    accuracy by less than 0.001. A cell whose mean runs away (some |1 - m_k| > 1) or whose energies overflow
    has diverged: the linear model has nothing more to say there, and the accuracy is chance.

    Labels are fresh at every visit and images are drawn independently; with a finite training set and many
    passes this stays a fair picture as long as labels are redrawn, and becomes optimistic for fixed copies
    once they are being memorised.

    Raises InputError for values out of range. Source: Bordelon & Pehlevan 2022 (arXiv 2106.02713).
    """
    alphas, batches, rates = np.broadcast_arrays(*(np.asarray(v, float) for v in (alpha, batch_size, learning_rate)))
    _check(alphas, batches, rates, steps, momentum)
    multipliers = _multipliers(schedule, steps)
    shape = alphas.shape
    a, b, eta = (v.reshape(-1, 1) for v in (alphas, batches, rates / (1 - momentum)))

    error, noise = _step(spectrum, a, b, eta / spectrum.num_classes, multipliers)
    diverged = ~np.isfinite(noise).all(-1) | ~(np.abs(error) <= 1).all(-1)
    alignment, accuracy = np.full(len(a), np.nan), np.full(len(a), 1 / spectrum.num_classes)
    error, noise, a = error[~diverged], noise[~diverged], a[~diverged]
    alignment[~diverged] = _alignment(spectrum, a, error, noise)
    accuracy[~diverged] = (
        accuracy_from_alignment(alignment[~diverged], spectrum.num_classes)
        if spectrum.held_out is None
        else _held_out_accuracy(spectrum.held_out, a, error, noise)
    )
    return LearningCurve(alignment.reshape(shape), accuracy.reshape(shape))


def best_learning_rate(
    spectrum: Spectrum,
    alpha: ArrayLike,
    batch_size: ArrayLike,
    steps: int,
    *,
    schedule: Schedule = "constant",
    momentum: float = 0.0,
    confident_edge: bool = True,
) -> Floats:
    """The learning rate of highest predicted accuracy, broadcast over (alpha, batch_size).

    Derived: the argmax of `learning_curve` over 16 octaves in quarter octaves, up to the stability edge
    2K/h_1 of uniform output, then the vertex of a parabola in log2 eta through the three best rates. NaN where the
    argmax is the lowest rate of the grid: no learning rate can be told from none.

    `confident_edge` returns the smaller of that and

        4 / (h_1 + K tr(theta)/B)

    Derived: at B -> infinity this is 2/sharpness for a network whose softmax has reached its largest
    curvature, 1/2 (Böhning 1992), where uniform output has 1/K. Only observed: that small alpha trains best
    right there, and the term K tr(theta)/B for small batches (small ReLU networks, K = 5 and 10); the
    mean-square stability of that quadratic would give tr(theta)/B, without the K. Networks whose kernel grows
    in training (two hidden layers, default initialisation) need a smaller rate than either.
    """
    alphas, batches = np.broadcast_arrays(np.asarray(alpha, float), np.asarray(batch_size, float))
    h_1, classes = spectrum.eigenvalues.max(), spectrum.num_classes
    exponents = np.arange(-16, 0.01, 0.25)
    grid = (1 - momentum) * 2 * classes / h_1 * 2.0**exponents
    curve = learning_curve(
        spectrum, alphas[..., None], batches[..., None], grid, steps, schedule=schedule, momentum=momentum
    )
    peak = curve.accuracy.argmax(-1)
    inner = np.clip(peak, 1, len(grid) - 2)
    below, top, above = (np.take_along_axis(curve.accuracy, (inner + i)[..., None], -1)[..., 0] for i in (-1, 0, 1))
    bend = below - 2 * top + above
    with np.errstate(divide="ignore", invalid="ignore"):
        shift = np.where((inner == peak) & (bend < 0), 0.25 * (below - above) / (2 * bend), 0.0)
    best = np.where(peak == 0, np.nan, grid[peak] * 2.0**shift)
    if confident_edge:
        best = np.minimum(best, (1 - momentum) * 4 / (h_1 + classes * spectrum.trace / batches))
    return best


def accuracy_from_alignment(alignment: ArrayLike, num_classes: int) -> Floats:
    """Accuracy of a function at cosine R with the target: forced choice with d' = sqrt(K) R/sqrt(1 - R²).

    The target (e_c - 1/K)/sqrt(1 - 1/K) lifts the true logit over its rivals by R/sqrt(1 - 1/K); the rest, of
    energy 1 - R², is spread evenly over K - 1 directions: standard deviation sqrt((1 - R²)/(K - 1)) per
    logit.
    """
    r = np.asarray(alignment, float)
    with np.errstate(divide="ignore"):
        d = np.sqrt(num_classes) * r / np.sqrt(1 - r**2)
    return forced_choice(np.repeat(d[..., None], num_classes - 1, -1))


def forced_choice(margins: ArrayLike) -> Floats:
    """Probability that the true logit is the largest: integral of N(u) prod_j Phi(u + margin_j) du.

    `margins` (..., K - 1): mean of the true logit minus mean of each rival, over the standard deviation of
    one logit, noise independent and alike on all K (Green & Swets 1966). By 32 Gauss-Hermite nodes, exact to
    2e-4 for K <= 100 and 1e-3 for K = 1000.
    """
    from scipy.special import ndtr

    lead = np.asarray(margins, float)
    # one node at a time: all at once would need 32 times the memory of the margins
    return sum(w * ndtr(lead + u).prod(-1) for u, w in zip(_NODES, _WEIGHTS / np.sqrt(2 * np.pi), strict=True))


def _step(spectrum: Spectrum, alpha: Floats, batch: Floats, eta: Floats, multipliers: Floats) -> tuple[Floats, Floats]:
    """Run the recursion: per cell and mode what is left of the mean error, 1 - m_k, and its variance."""
    h = spectrum.eigenvalues
    bins = np.floor(np.log(np.maximum(h / h.max(), _BIN_FLOOR)) / np.log(_BIN_RATIO))
    levels, bin_of_mode = np.unique(bins, return_inverse=True)
    member = np.equal.outer(bins, levels).astype(float)  # (n_modes, n_bins): x @ member sums x over each bin

    rate = eta * (h @ member) / member.sum(0)  # eta~ h of each bin
    start = (spectrum.target_energies + (1 + alpha) ** 2 * spectrum.initial_energies) @ member
    xi = (1 + alpha) ** 2 - 1
    c, error = start.copy(), np.ones_like(rate)
    with np.errstate(over="ignore", invalid="ignore"):
        for multiplier, run in groupby(multipliers):
            x, count = multiplier * rate, len(list(run))
            keep = (1 - x) ** 2 + x**2 / batch
            inject = (multiplier * eta) ** 2 * (h**2 @ member) / batch
            error *= (1 - x) ** count
            for _ in range(count):
                noise = c.sum(-1, keepdims=True) + xi
                c *= keep
                c += inject * noise
        variance = np.maximum(c - error**2 * start, 0)  # >= 0 but for the rounding of this difference
        share = h**2 / (h**2 @ member)[bin_of_mode]  # noise enters the modes of a bin as h²
        return error[:, bin_of_mode], variance[:, bin_of_mode] * share


def _alignment(spectrum: Spectrum, alpha: Floats, error: Floats, noise: Floats) -> Floats:
    e, z = spectrum.target_energies, spectrum.initial_energies
    signal = ((1 - error) * e).sum(-1)
    energy = ((1 - error) ** 2 * e + (1 + alpha) ** 2 * error**2 * z + noise).sum(-1)
    return np.divide(signal, np.sqrt(energy), out=np.zeros_like(signal), where=energy > 0)


def _held_out_accuracy(test: HeldOut, alpha: Floats, error: Floats, noise: Floats) -> Floats:
    """Forced choice per held-out image, from its own mean logits and noise, averaged over the images."""
    classes = test.target.shape[1]
    rivals = np.arange(classes) != test.labels[:, None]
    # noise spreads evenly over the K - 1 centred directions of the logits
    sd = np.sqrt(noise @ (test.modes**2).T / (classes - 1))
    accuracy = np.empty(len(alpha))
    for cell, (scale, left) in enumerate(zip(1 + alpha[:, 0], error, strict=True)):
        moved = (1 - left)[:, None] * (test.target - scale * test.initial)
        mean = scale * test.start + test.modes @ moved
        lead = np.take_along_axis(mean, test.labels[:, None], 1) - mean
        # the least positive number breaks ties of a noiseless network at random
        with np.errstate(over="ignore"):
            margins = lead / np.maximum(sd[cell, :, None], np.finfo(float).tiny)
        accuracy[cell] = forced_choice(margins[rivals].reshape(-1, classes - 1)).mean()
    return accuracy


def _multipliers(schedule: Schedule, steps: int) -> Floats:
    if isinstance(schedule, str):
        if schedule == "constant":
            return np.ones(steps)
        if schedule == "cosine":
            return (1 + np.cos(np.pi * np.arange(steps) / steps)) / 2
        raise InputError(f"schedule needs 'constant', 'cosine' or an array of {steps} multipliers; {schedule!r} came")
    multipliers = np.asarray(schedule, float)
    if multipliers.shape != (steps,) or not (np.isfinite(multipliers) & (multipliers >= 0)).all():
        raise InputError(
            f"a schedule array needs one finite multiplier >= 0 per step, shape ({steps},); "
            f"shape {multipliers.shape} came: give as many multipliers as steps"
        )
    return multipliers


def _check(alpha: Floats, batch: Floats, rate: Floats, steps: int, momentum: float) -> None:
    for name, values, valid, need in (
        ("alpha", alpha, alpha >= 0, ">= 0"),
        ("batch_size", batch, batch >= 1, ">= 1"),
        ("learning_rate", rate, rate > 0, "> 0"),
    ):
        if not (valid & np.isfinite(values)).all():
            bad = values[~(valid & np.isfinite(values))].flat[0]
            raise InputError(f"{name} needs finite values {need}; {bad:g} came: leave it out of the grid")
    if steps < 1 or int(steps) != steps:
        raise InputError(f"steps needs a whole number >= 1; {steps} came: give the optimiser steps of the run")
    if not 0 <= momentum < 1:
        raise InputError(f"momentum needs a value in [0, 1); {momentum:g} came: give 0 for plain SGD")
