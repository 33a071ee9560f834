"""The kernel spectrum of an untrained network -> its accuracy at any alpha, noise matrix, batch size, rate and steps.

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

Any noise matrix N, in the same units. The mean label of class c is row c of T = (I + alpha N)/(1 + alpha), which
makes the target (e_c - 1/K) + alpha (N_c - 1/K). With p_k the coefficients of the K class indicators on mode k
and s = 1/sqrt(1 - 1/K),

    a_k = d_k + alpha b_k        d_k = s p_k (I - 11ᵀ/K), the clean target       b_k = s p_k (N - 11ᵀ/K)

The mean recursion is linear and acts on every logit alike, so the mean logits travel towards a_k in all K
directions as they did towards d_k. The part of the rows of N that all classes share stays in: a label that
everything is taken for competes with the true one at every image. In c_k(0), |a_k|² replaces e_k, and label
noise, of covariance diag(T_c) - T_c T_cᵀ, enters with its trace averaged over the images (mean_c):

    xi(alpha) = (1 + alpha)² mean_c(1 - |T_c|²)/(1 - 1/K) = 2 alpha w + alpha² u
    w = mean_c(1 - N_cc)/(1 - 1/K)        u = mean_c(1 - |N_c|²)/(1 - 1/K)

For uniform N, b = 0 and w = u = 1: the formulas above. Two things are only approximate. The forced choice of an
image sees its own mean logits, all rivals, but label noise spread evenly over images and logits, though it is
largest between a class and the one that it is taken for: on digits the accuracy over all classes was as close as
for uniform N, that of two classes swapped with each other up to 20 points too high. And a label much more
frequent than 1/K soon makes the output far from uniform: where every class was often taken for the same one, the
accuracy was up to 15 points too low.

Foreign images. Where a noisy copy shows another image x' in place of the clean one, with a uniform label, it does
harm only as far as x' overlaps the modes, omega_k = mean of phi_k(x')². It pulls mode k towards 0 by omega_k, so that
curvature and target of the mean become

    q_k = lambda + (1 - lambda) omega_k = (1 + alpha omega_k)/(1 + alpha)        a_k = d_k/q_k

and every copy brings the noise of its own image. With c_k measured from this a_k, x_k = eta~ h_k and
s_k = 1/q_k - (1 + alpha), the distance of a_k from the labels of the clean copies,

    c_k(0)   = e_k/q_k² + (1 + alpha)² z_k
    c_k(t+1) = [(1 - x_k q_k)² + (x_k²/B) (2 lambda + 2 (1 - lambda) omega_k² - q_k²)] c_k(t)
               + (eta~² h_k²/B) [lambda F(t) + (1 - lambda) omega_k (G(t) + (1 + alpha)²)]
    F = sum_l c_l + (s_l² - 2 (1 - m_l) s_l/q_l) e_l        residual energy on a clean copy
    G = sum_l omega_l [c_l + (1 - 2 (1 - m_l)) e_l/q_l²]     energy of the output on a foreign one

omega = 1 gives back the recursion above, omega = 0 leaves every mode without label noise. Modes are taken as
uncorrelated over the foreign images, and what these images teach outside the modes is left out.

The recursion draws an image and a fresh label at every visit. Fixed copies follow it until they are visited
more than a few times; memorising them is not in it. Nor are features that move, or logits that saturate.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import groupby

import numpy as np
from numpy.typing import ArrayLike, NDArray

from effbatch.core.errors import InputError
from effbatch.noise.transition import checked_matrix
from effbatch.theory import schedules
from effbatch.theory.detection import accuracy_from_alignment, forced_choice
from effbatch.theory.spectrum import HeldOut, Spectrum

Floats = NDArray[np.float64]
Schedule = str | ArrayLike  # a name of `schedules.SCHEDULES`, or one multiplier per step

_BIN_RATIO = 1.1  # modes whose eigenvalues agree this closely are stepped as one
MAX_STEPS = 10_000_000  # each is computed
_BIN_FLOOR = 1e-6  # modes below this fraction of h_1 hardly move in 10^5 stable steps: one bin


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
    noise_matrix: ArrayLike | None = None,
) -> LearningCurve:
    """Alignment and accuracy after `steps` of SGD on noisy labels, for all cells in one pass.

        v_k = c_k(T) - (1 - m_k)² |a_k|²        R = sum_k m_k a_k·d_k / sqrt(sum_k (m_k² |a_k|² + v_k))

    `alpha`, `batch_size` and `learning_rate` broadcast. `noise_matrix` is N (K, K), rows = true class, None for
    uniform noise (a_k = d_k, |d_k|² = e_k), the same at every alpha: where it depends on alpha, as structured
    noise of a given degree does, call once per alpha. Only spectra with held-out images know what any other matrix
    does: a class whose true label is not the likeliest is in the end not learned. Where `spectrum.foreign` says how
    foreign images overlap the modes, noisy copies show these; their labels are uniform.

    `schedule` multiplies the learning rate: a name of `schedules.SCHEDULES` or an array of T multipliers. Momentum
    enters as eta/(1 - momentum), its limit for small eta; Nesterov's is the same, as either moves the weights by
    eta/(1 - momentum) times each gradient in the end, Nesterov's sooner. Weight decay is not in it. Modes with
    eigenvalues within 10 % of each other are stepped as one, which moves the accuracy by less than 0.001. A cell
    whose mean runs away (some |1 - m_k| > 1) or whose energies overflow has diverged: the linear model has nothing
    more to say there, and the accuracy is chance.

    Labels are fresh at every visit and images are drawn independently; with a finite training set and many
    passes this stays a fair picture as long as labels are redrawn, and becomes optimistic for fixed copies
    once they are being memorised.

    Raises InputError for values out of range and unusable matrices.
    Source: Bordelon & Pehlevan 2022 (arXiv 2106.02713).
    """
    (a, b, eta), shape = cells_of(alpha, batch_size, learning_rate, steps, momentum)
    multipliers = multipliers_of(schedule, steps)
    labels: _NoisyLabels | _ForeignCopies
    if spectrum.foreign is None:
        labels = _noisy_labels(spectrum, noise_matrix)
        error, noise = _step(spectrum, labels, a, b, eta / spectrum.num_classes, multipliers)
    else:
        labels = _foreign_copies(spectrum, noise_matrix)
        error, noise = _step_foreign(spectrum, labels, a, b, eta / spectrum.num_classes, multipliers)
    diverged = ~np.isfinite(noise).all(-1) | ~(np.abs(error) <= 1).all(-1)
    alignment, accuracy = np.full(len(a), np.nan), np.full(len(a), 1 / spectrum.num_classes)
    error, noise, a = error[~diverged], noise[~diverged], a[~diverged]
    alignment[~diverged] = _alignment(spectrum, labels, a, error, noise)
    if (test := spectrum.held_out) is None:
        accuracy[~diverged] = accuracy_from_alignment(alignment[~diverged], spectrum.num_classes)
    else:
        target = test.target
        accuracy[~diverged] = held_out_accuracy(test, lambda alpha: labels.goal(target, alpha), a, error, noise)
    return LearningCurve(alignment.reshape(shape), accuracy.reshape(shape))


def best_learning_rate(
    spectrum: Spectrum,
    alpha: ArrayLike,
    batch_size: ArrayLike,
    steps: int,
    *,
    schedule: Schedule = "constant",
    momentum: float = 0.0,
    noise_matrix: ArrayLike | None = None,
    confident_edge: bool = True,
) -> Floats:
    """The learning rate of highest predicted accuracy, broadcast over (alpha, batch_size).

    Derived: the argmax of `learning_curve` over the 16 octaves below the stability edge 2K/h_1 of uniform output, then
    over the quarter octaves around it, then the vertex of a parabola in log2 eta through the three best rates. NaN
    where the lowest octave is best: no learning rate can be told from none. `noise_matrix` is that of
    `learning_curve`.

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
    edge = (1 - momentum) * 2 * classes / h_1

    def accuracy(exponents: Floats) -> Floats:
        return learning_curve(
            spectrum,
            alphas[..., None],
            batches[..., None],
            edge * 2.0**exponents,
            steps,
            schedule=schedule,
            momentum=momentum,
            noise_matrix=noise_matrix,
        ).accuracy

    best = edge * 2.0 ** highest(accuracy)
    if confident_edge:
        best = np.minimum(best, (1 - momentum) * 4 / (h_1 + classes * spectrum.trace / batches))
    return best


def highest(accuracy: Callable[[Floats], Floats]) -> Floats:
    """The exponent of 2, from -16 to 0, where `accuracy` (..., exponents) is highest; NaN where it is so at -16.

    The best octave, the best quarter octave around it, then the vertex of a parabola through the three best.
    """
    octaves = np.arange(-16.0, 1.0)
    octave = octaves[accuracy(octaves).argmax(-1)][..., None]
    quarters = octave + np.arange(-4, 5) / 4
    heights = accuracy(quarters)
    peak = np.clip(heights.argmax(-1)[..., None], 1, quarters.shape[-1] - 2)
    below, top, above = (np.take_along_axis(heights, peak + i, -1)[..., 0] for i in (-1, 0, 1))
    bend = below - 2 * top + above
    vertex = np.take_along_axis(quarters, peak, -1)[..., 0]
    with np.errstate(divide="ignore", invalid="ignore"):
        shift = np.where((bend < 0) & (vertex < 0), 0.25 * (below - above) / (2 * bend), 0.0)
    return np.where(octave[..., 0] == octaves[0], np.nan, vertex + np.clip(shift, -0.25, 0.25))


@dataclass(frozen=True)
class _NoisyLabels:
    """The labels of one noise matrix at every alpha: target a_k = d_k + alpha b_k, label noise xi."""

    clean: Floats  # |d_k|² = e_k
    cross: Floats  # d_k·b_k
    bias: Floats  # b_k, (n_modes, K)
    wrong: float = 1.0  # w
    spread: float = 1.0  # u

    def energies(self, alpha: Floats) -> Floats:
        """|a_k|² of each cell, (cells, n_modes)."""
        return self.clean + 2 * alpha * self.cross + alpha**2 * (self.bias**2).sum(1)

    def overlaps(self, alpha: Floats) -> Floats:
        """a_k·d_k, the clean part of the target."""
        return self.clean + alpha * self.cross

    def noise(self, alpha: Floats) -> Floats:
        """xi(alpha)."""
        return 2 * alpha * self.wrong + alpha**2 * self.spread

    def goal(self, target: Floats, alpha: float) -> Floats:
        """a_k of one cell, (n_modes, K)."""
        return target + alpha * self.bias


@dataclass(frozen=True)
class _ForeignCopies:
    """Noisy copies that show other images, uniformly labelled, at every alpha: target a_k = d_k/q_k."""

    clean: Floats  # |d_k|² = e_k
    overlap: Floats  # omega_k

    def curvature(self, alpha: Floats) -> Floats:
        """q_k of each cell, (cells, n_modes)."""
        return (1 + alpha * self.overlap) / (1 + alpha)

    def energies(self, alpha: Floats) -> Floats:
        """|a_k|²."""
        return self.clean / self.curvature(alpha) ** 2

    def overlaps(self, alpha: Floats) -> Floats:
        """a_k·d_k."""
        return self.clean / self.curvature(alpha)

    def goal(self, target: Floats, alpha: float) -> Floats:
        """a_k of one cell, (n_modes, K)."""
        return target / self.curvature(np.asarray(alpha))[:, None]


def _noisy_labels(spectrum: Spectrum, noise_matrix: ArrayLike | None) -> _NoisyLabels:
    e, classes, test = spectrum.target_energies, spectrum.num_classes, spectrum.held_out
    if noise_matrix is None:
        return _NoisyLabels(e, np.zeros_like(e), np.zeros((len(e), classes)))
    N = checked_matrix(noise_matrix, num_classes=classes)
    if test is None:
        raise InputError(
            "a noise matrix needs a spectrum that tells the classes apart, got one without held-out images: "
            "take it from measure_spectrum, or leave the matrix out for uniform noise"
        )
    bias = test.target_of(N)
    share = (test.indicators**2).sum(0)  # of each class among the images: the mean of its indicator squared
    wrong, spread = share @ (1 - np.diag(N)), share @ (1 - (N**2).sum(1))
    scale = 1 - 1 / classes
    return _NoisyLabels(e, (test.target * bias).sum(1), bias, wrong / scale, spread / scale)


def _foreign_copies(spectrum: Spectrum, noise_matrix: ArrayLike | None) -> _ForeignCopies:
    if noise_matrix is not None:
        raise InputError("foreign images carry uniform labels, got a noise matrix too: leave it out")
    assert spectrum.foreign is not None
    h2, (member, bin_of_mode) = spectrum.eigenvalues**2, binned(spectrum.eigenvalues)
    total = h2 @ member  # 0 where no mode of the bin is ever learned: omega does not matter
    omega = np.divide((h2 * spectrum.foreign) @ member, total, out=np.zeros_like(total), where=total > 0)
    return _ForeignCopies(spectrum.target_energies, omega[bin_of_mode])


def _step(
    spectrum: Spectrum, labels: _NoisyLabels, alpha: Floats, batch: Floats, eta: Floats, multipliers: Floats
) -> tuple[Floats, Floats]:
    """Run the recursion: per cell and mode what is left of the mean error, 1 - m_k, and its variance."""
    h = spectrum.eigenvalues
    member, bin_of_mode = binned(h)
    rate = eta * (h @ member) / member.sum(0)  # eta~ h of each bin
    start = (labels.energies(alpha) + (1 + alpha) ** 2 * spectrum.initial_energies) @ member
    xi = labels.noise(alpha)
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
        return error[:, bin_of_mode], variance[:, bin_of_mode] * share_of_noise(h, member, bin_of_mode)


def _step_foreign(
    spectrum: Spectrum, copies: _ForeignCopies, alpha: Floats, batch: Floats, eta: Floats, multipliers: Floats
) -> tuple[Floats, Floats]:
    """`_step` where noisy copies show foreign images."""
    h = spectrum.eigenvalues
    member, bin_of_mode = binned(h)
    size = member.sum(0)
    # the means over each bin; q and omega are the same for all of its modes
    mean_h, omega, q = (h @ member) / size, (copies.overlap @ member) / size, (copies.curvature(alpha) @ member) / size
    e, clean, s = spectrum.target_energies @ member, 1 / (1 + alpha), 1 / q - (1 + alpha)
    start = e / q**2 + (1 + alpha) ** 2 * (spectrum.initial_energies @ member)
    c, error = start.copy(), np.ones_like(q)
    with np.errstate(over="ignore", invalid="ignore"):
        for multiplier in multipliers:
            step = multiplier * eta
            keep = (1 - step * mean_h * q) ** 2 + (step * mean_h) ** 2 / batch * (
                2 * (clean + (1 - clean) * omega**2) - q**2
            )
            on_clean = (c + (s**2 - 2 * error * s / q) * e).sum(-1, keepdims=True)
            on_foreign = (omega * (c + (1 - 2 * error) / q**2 * e)).sum(-1, keepdims=True) + (1 + alpha) ** 2
            noise = clean * on_clean + (1 - clean) * omega * on_foreign
            c = keep * c + step**2 * (h**2 @ member) / batch * noise
            error = error * (1 - step * mean_h * q)
        variance = np.maximum(c - error**2 * start, 0)
        return error[:, bin_of_mode], variance[:, bin_of_mode] * share_of_noise(h, member, bin_of_mode)


def binned(h: Floats) -> tuple[Floats, NDArray[np.intp]]:
    """Modes of nearly equal eigenvalues: `x @ member` (n_modes, n_bins) sums x over each bin; the bin of each mode."""
    bins = np.floor(np.log(np.maximum(h / h.max(), _BIN_FLOOR)) / np.log(_BIN_RATIO))
    levels, bin_of_mode = np.unique(bins, return_inverse=True)
    return np.equal.outer(bins, levels).astype(float), bin_of_mode


def share_of_noise(h: Floats, member: Floats, bin_of_mode: NDArray[np.intp]) -> Floats:
    """How the variance of a bin spreads over its modes: noise enters as h², and modes that never move have none."""
    total = (h**2 @ member)[..., bin_of_mode]
    return np.divide(h**2, total, out=np.zeros_like(h), where=total > 0)


def _alignment(
    spectrum: Spectrum, labels: _NoisyLabels | _ForeignCopies, alpha: Floats, error: Floats, noise: Floats
) -> Floats:
    z = spectrum.initial_energies
    signal = ((1 - error) * labels.overlaps(alpha)).sum(-1)
    energy = ((1 - error) ** 2 * labels.energies(alpha) + (1 + alpha) ** 2 * error**2 * z + noise).sum(-1)
    return np.divide(signal, np.sqrt(energy), out=np.zeros_like(signal), where=energy > 0)


def held_out_accuracy(
    test: HeldOut, goal: Callable[[float], Floats], alpha: Floats, error: Floats, noise: Floats
) -> Floats:
    """Forced choice per held-out image, from its own mean logits and noise, averaged over the images.

    `goal(alpha)` (n_modes, K) is where the modes of a cell travel to, in units in which the initial function is
    1 + alpha times as large; of each cell `error` is what is left of the way and `noise` the variance of each mode.
    """
    classes = test.indicators.shape[1]
    rivals = np.arange(classes) != test.labels[:, None]
    with np.errstate(over="ignore"):  # noise that is about to diverge: infinite, and the choice is blind
        # it spreads evenly over the K - 1 centred directions of the logits
        sd = np.sqrt(noise @ (test.modes**2).T / (classes - 1))
    accuracy = np.empty(len(alpha))
    for cell, (a, left) in enumerate(zip(alpha[:, 0], error, strict=True)):
        moved = (1 - left)[:, None] * (goal(a) - (1 + a) * test.initial)
        mean = (1 + a) * test.start + test.modes @ moved
        lead = np.take_along_axis(mean, test.labels[:, None], 1) - mean
        # the least positive number breaks ties of a noiseless network at random
        with np.errstate(over="ignore"):
            margins = lead / np.maximum(sd[cell, :, None], np.finfo(float).tiny)
        accuracy[cell] = forced_choice(margins[rivals].reshape(-1, classes - 1)).mean()
    return accuracy


def multipliers_of(schedule: Schedule, steps: int) -> Floats:
    if isinstance(schedule, str):
        return schedules.multipliers(schedule, steps)
    multipliers = np.asarray(schedule, float)
    if multipliers.shape != (steps,) or not (np.isfinite(multipliers) & (multipliers >= 0)).all():
        raise InputError(
            f"a schedule array needs one finite multiplier >= 0 per step, shape ({steps},), "
            f"got shape {multipliers.shape}: give as many multipliers as steps"
        )
    return multipliers


def cells_of(
    alpha: ArrayLike, batch_size: ArrayLike, learning_rate: ArrayLike, steps: int, momentum: float
) -> tuple[tuple[Floats, Floats, Floats], tuple[int, ...]]:
    """Columns (cells, 1) of alpha, B and eta/(1 - momentum), which broadcast, and their common shape.

    Raises InputError for values out of range.
    """
    a, b, rate = np.broadcast_arrays(*(np.asarray(v, float) for v in (alpha, batch_size, learning_rate)))
    for name, values, valid, need in (
        ("alpha", a, a >= 0, ">= 0"),
        ("batch_size", b, b >= 1, ">= 1"),
        ("learning_rate", rate, rate > 0, "> 0"),
    ):
        if not (valid & np.isfinite(values)).all():
            bad = values[~(valid & np.isfinite(values))].flat[0]
            raise InputError(f"{name} needs finite values {need}, got {bad:g}: leave it out of the grid")
    if not 1 <= steps <= MAX_STEPS or int(steps) != steps:
        raise InputError(
            f"steps needs a whole number from 1 to {MAX_STEPS:,}, got {steps}: give the optimiser steps of the run"
        )
    if not 0 <= momentum < 1:
        raise InputError(f"momentum needs a value in [0, 1), got {momentum:g}: give 0 for plain SGD")
    return (a.reshape(-1, 1), b.reshape(-1, 1), rate.reshape(-1, 1) / (1 - momentum)), a.shape
