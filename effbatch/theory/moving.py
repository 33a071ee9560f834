"""The kernel spectrum of a homogeneous network -> its accuracy and best rate where features and softmax move with it.

The recursion of `dynamics`, with three things that are constant there in motion. They follow from what the network has
learned so far, its L layers of weights, and the energy X = E|x|² of its inputs; nothing is measured along a run.

Kernel. Layers that are balanced and aligned, each scaling by a, turn an image of energy X into an output of size
s = a^L √X. The kernel, the sum over layers of what the others pass on, is then the least that any weights have for it,

    tr theta = L a^(2(L−1)) X = L X^(1/L) s^(2(L−1)/L)

(deep linear networks: Saxe et al. 2014, arXiv 1312.6120). An untrained network is not aligned. For two layers
h² = h_0² + (2 √X s)², exactly so where the output is (w₊² − w₋²)·x (Woodworth et al. 2020, arXiv 2002.09277). This is
taken for all depths, mode by mode, the moved part in the shape of the inputs: w_k, their energy along mode k, of sum X.

    h_k(t)² = (h_k(0) e^−D)² + (tr theta · w_k/X)²

Label noise shrinks the unaligned part (HaoChen et al. 2021, arXiv 2006.08680): noise r in a logit multiplies w₊ w₋ by
1 − eta² r² X/B, and behind layers that pass on a², of which tr theta(0) = L a^(2(L−1)) X tells,

    D(t+1) = D(t) + eta² E r² X a^(2(L−2))/B

s is the size of the mean logits that training has added; what label noise adds changes its sign before features follow.

Softmax. A true logit that leads by M is right with p(M) = 1/(1 + (K−1) e^−M). Labels ask for M* = ln(1 + K/alpha), at
most K/(1 + alpha), where uniform output would stop, and the residual is a secant of the softmax between both,

    kappa = K²/(K−1) [p(M*) − p(M)]/(M* − M)         1 at uniform output

times eta~. Logits that scatter with variance v about M make it flatter: M and kappa by 1/√(1 + pi v/8) (MacKay 1992).
So a network whose slow modes learn while fast ones swing does not diverge: kappa falls as their size s, and with
h ∝ s^(2(L−1)/L) the product falls for L = 1, stays for L = 2 and grows for L > 2. Deep networks are lost, shallow not.

Edge. Along its way to M* the softmax has curvature p(1−p) K/(K−1), and a batch of B adds its scatter:

    eta < 2 / max over M <= M* of p(1−p) K/(K−1) [h_1(M) + tr theta(M)/B]

Limits: layers that scale (ReLU, no normalisation, no skip; biases do not count), plain SGD and its momentum, uniform
noise, fresh labels. First logits larger than about 1 take the kernel with them when they are forgotten, which is not in
it: from the weights of He et al. (2015) its rates are far too low. With a cosine they are about an octave off.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from effbatch.core.errors import InputError
from effbatch.theory.detection import accuracy_from_alignment
from effbatch.theory.dynamics import (
    Schedule,
    binned,
    cells_of,
    held_out_accuracy,
    highest,
    multipliers_of,
    share_of_noise,
)
from effbatch.theory.spectrum import Spectrum

Floats = NDArray[np.float64]

_LOST = 1e4  # times as far from the target as at the start
_BEYOND = 6.0  # logits beyond the steepest softmax: there its curvature falls faster than any kernel grows
_LEADS = 200


def least_trace(size: ArrayLike, depth: int, input_energy: float) -> Floats:
    """L X^(1/L) s^(2(L−1)/L): trace of the kernel of `depth` balanced, aligned layers with outputs of `size` s.

    >>> round(float(least_trace(3.0, 1, 64.0)), 6), round(float(least_trace(3.0, 2, 64.0)), 6)
    (64.0, 48.0)
    """
    return depth * input_energy ** (1 / depth) * np.asarray(size, float) ** (2 * (depth - 1) / depth)


def moving_accuracy(
    spectrum: Spectrum,
    depth: int,
    alpha: ArrayLike,
    batch_size: ArrayLike,
    learning_rate: ArrayLike,
    steps: int,
    *,
    schedule: Schedule = "constant",
    momentum: float = 0.0,
) -> Floats:
    """Accuracy after `steps` of SGD on uniformly noisy labels, by cell of (alpha, batch_size, learning_rate).

    `depth` is the number of layers with weights. `spectrum` needs `inputs`, as `measure_spectrum` gives it; schedule
    and momentum are those of `dynamics.learning_curve`. Chance where training runs away. Raises InputError for values
    out of range and spectra of foreign images or without the energies of the inputs.
    """
    (a, b, eta), shape = cells_of(alpha, batch_size, learning_rate, steps, momentum)
    scale, error, noise = _step(spectrum, depth, a, b, eta, multipliers_of(schedule, steps))

    K, e = spectrum.num_classes, spectrum.target_energies
    accuracy = np.full(len(a), 1 / K)
    alive = np.isfinite(noise).all(-1) & (np.abs(error) <= _LOST).all(-1)
    scale, error, noise = scale[alive], error[alive], noise[alive]
    if spectrum.held_out is None:
        energy = (1 - error) ** 2 * e + scale**2 * error**2 * spectrum.initial_energies + noise
        alignment = ((1 - error) * e).sum(-1) / np.sqrt(energy.sum(-1))
        accuracy[alive] = accuracy_from_alignment(alignment, K)
    else:
        target = spectrum.held_out.target
        accuracy[alive] = held_out_accuracy(spectrum.held_out, lambda _: target, scale - 1, error, noise)
    return accuracy.reshape(shape)


def moving_rate(
    spectrum: Spectrum,
    depth: int,
    alpha: ArrayLike,
    batch_size: ArrayLike,
    steps: int,
    *,
    schedule: Schedule = "constant",
    momentum: float = 0.0,
) -> Floats:
    """The learning rate of highest `moving_accuracy` below the edge, broadcast over (alpha, batch_size).

    NaN where 2⁻¹⁶ of the edge is best: no rate can be told from none.
    """
    alphas, batches = np.broadcast_arrays(np.asarray(alpha, float), np.asarray(batch_size, float))
    edge = (1 - momentum) * softmax_edge(spectrum, depth, alphas, batches)

    def accuracy(exponents: Floats) -> Floats:
        cells = (alphas[..., None], batches[..., None], edge[..., None] * 2.0**exponents)
        return moving_accuracy(spectrum, depth, *cells, steps, schedule=schedule, momentum=momentum)

    return edge * 2.0 ** np.minimum(highest(accuracy), 0)  # the quarter octaves around it reach above


def softmax_edge(spectrum: Spectrum, depth: int, alpha: ArrayLike, batch_size: ArrayLike) -> Floats:
    """2 over the greatest curvature on the way to M*, the edge above; broadcast over (alpha, batch_size)."""
    kernel = MovingKernel.of(spectrum, depth)
    alphas, batches = (np.asarray(v, float)[..., None] for v in np.broadcast_arrays(alpha, batch_size))
    K = spectrum.num_classes
    steepest = np.log(K) + _BEYOND
    with np.errstate(divide="ignore"):
        lead = np.minimum(np.log1p(K / alphas), steepest) * np.linspace(0, 1, _LEADS)
    h = kernel.at(lead[..., None] * np.sqrt(1 - 1 / K))
    p, h_1, trace = _right(lead, K), h.max(-1), h.sum(-1)
    return 2 / (K / (K - 1) * p * (1 - p) * (h_1 + trace / batches)).max(-1)


@dataclass(frozen=True)
class MovingKernel:
    """The kernel of `depth` layers, mode by mode or by the means over bins of modes."""

    first: Floats  # h_k(0)
    inputs: Floats  # w_k
    depth: int
    energy: float  # X

    @classmethod
    def of(cls, spectrum: Spectrum, depth: int) -> MovingKernel:
        if spectrum.inputs is None or spectrum.foreign is not None:
            raise InputError(
                "a moving kernel needs a spectrum with the energies of its inputs and without foreign images, got "
                "another: take it from measure_spectrum, or use dynamics.learning_curve"
            )
        if depth < 1:
            raise InputError(
                f"depth needs to be at least 1, the number of layers with weights, got {depth}: count them"
            )
        return cls(spectrum.eigenvalues, spectrum.inputs, depth, float(spectrum.inputs.sum()))

    def binned(self, member: Floats) -> MovingKernel:
        """Means over the bins that `member` (n_modes, n_bins) says."""
        count = member.sum(0)
        return replace(self, first=self.first @ member / count, inputs=self.inputs @ member / count)

    def at(self, size: ArrayLike, forgotten: ArrayLike = 0.0) -> Floats:
        """h_k (..., n_modes) where training has added outputs of `size` (..., 1), and noise D = `forgotten`."""
        if self.depth == 1:
            return self.first + 0 * np.asarray(size)
        moved = least_trace(size, self.depth, self.energy) * self.inputs / self.energy
        return np.hypot(self.first * np.exp(-np.asarray(forgotten)), moved)

    @property
    def forgetting(self) -> float:
        """X a^(2(L−2)), by which noise shrinks the unaligned part; none where there is but one layer."""
        if self.depth == 1:
            return 0.0
        passed = self.first.sum() / (self.depth * self.energy)  # a^(2(L−1))
        return float(self.energy * passed ** ((self.depth - 2) / (self.depth - 1)))


def _step(
    spectrum: Spectrum, depth: int, alpha: Floats, batch: Floats, eta: Floats, multipliers: Floats
) -> tuple[Floats, Floats, Floats]:
    """By cell: how much larger the initial function is than in units of the target, and by mode what is left and noise.

    Units are those of the target of lead M*, in which energies are (M*)² (1 − 1/K) times as large in logits.
    """
    K = spectrum.num_classes
    member, bin_of_mode = binned(spectrum.eigenvalues)
    modes = MovingKernel.of(spectrum, depth)
    count, kernel, forgetting = member.sum(0), modes.binned(member), modes.forgetting
    e, z = spectrum.target_energies @ member, spectrum.initial_energies @ member
    goal = _asked(alpha, K)  # M*
    steeper = K / (1 + alpha) / goal  # than at uniform output
    scale, logits = (1 + alpha) * steeper, goal * np.sqrt(1 - 1 / K)
    xi, start = (1 + alpha) ** 2 - 1, e + scale**2 * z
    c, error, forgotten = np.broadcast_to(start, (len(eta), len(e))).copy(), np.ones((len(eta), len(e))), 0 * eta
    with np.errstate(over="ignore", invalid="ignore"):
        for rate in np.multiply.outer(multipliers, eta / K):
            moved = (1 - error) ** 2
            h = kernel.at(logits * np.sqrt((moved * start).sum(-1, keepdims=True)), forgotten)
            learned = ((1 - error) * e).sum(-1, keepdims=True)
            variance = np.maximum(c - error**2 * start, 0)
            energy = (moved * e + error**2 * scale**2 * z + variance).sum(-1, keepdims=True)
            scatter = 2 * logits**2 * np.maximum(energy - learned**2, 0) / (K - 1)  # of a difference of two logits
            kappa = _secant(goal * learned, goal, scatter, K)
            x, residual = rate * kappa * h, (kappa / steeper) ** 2 * c.sum(-1, keepdims=True) + xi
            c = ((1 - x) ** 2 + x**2 / batch) * c + (rate * steeper * h) ** 2 * count / batch * residual
            error = error * (1 - x)
            by_logit = np.minimum(residual / (1 + alpha) ** 2, 2) * (1 - 1 / K) / K  # E r²; |p − e_y|² is 2 at most
            forgotten = forgotten + (K * rate) ** 2 * by_logit * forgetting / batch
        variance = np.maximum(c - error**2 * start, 0)
        h = modes.at(logits * np.sqrt(((1 - error) ** 2 * start).sum(-1, keepdims=True)), forgotten)
        return scale, error[:, bin_of_mode], variance[:, bin_of_mode] * share_of_noise(h, member, bin_of_mode)


def _asked(alpha: Floats, K: int) -> Floats:
    """M*, the lead that labels with uniform noise ask for, at most that of the linear model."""
    with np.errstate(divide="ignore"):
        return np.minimum(np.log1p(K / alpha), K / (1 + alpha))


def _right(lead: Floats, K: int) -> Floats:
    """p(M), the softmax of a logit that leads all others by M."""
    return 1 / (1 + (K - 1) * np.exp(-np.clip(lead, -500, 500)))


def _secant(lead: Floats, goal: Floats, scatter: Floats, K: int) -> Floats:
    """kappa, the slope of the softmax from the lead to the goal over that at uniform output."""
    flatter = 1 / np.sqrt(1 + np.pi * scatter / 8)
    gap = goal - lead * flatter
    there = np.abs(gap) < 1e-3  # the tangent
    gap, p = np.where(there, 1, gap), _right(goal, K)
    slope = np.where(there, p * (1 - p), (p - _right(lead * flatter, K)) / gap)
    return K**2 / (K - 1) * slope * flatter
