"""Label noise: α noisy copies per clean label -> matrices, rates, entropy, and the label of any one copy.

Conventions: rows of a matrix are true classes, columns given labels; N is the law of a noisy copy's label,
and T = (I + α N)/(1 + α) that of a random copy's. Copy 0 of an image carries its true label.

The drawing functions keep no state: a label is a hash of (stream, seed, image, ...), so any label can be
asked for alone and nothing is stored. They use operators only, hence run on NumPy int64 arrays and on
PyTorch int64 tensors alike, with the same bits; α, where it is an array or tensor, must be float64.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import numpy as np

from effbatch.errors import InputError

# A float, a NumPy array or a DataArray in the formulas; an int, an int64 array or tensor in the drawing.
Array = Any


@dataclass(frozen=True)
class UniformNoise:
    """Labels drawn uniformly over all K classes, the true one included: N = 11ᵀ/K, T = λ I + (1 − λ) 11ᵀ/K.

    alpha        noisy labels per clean label, finite and >= 0, not necessarily whole; an array broadcasts
    num_classes  K >= 2
    Raises InputError outside these ranges. The noise model of Rolnick et al. (2017, arXiv 1705.10694).
    """

    alpha: Array
    num_classes: int

    def __post_init__(self) -> None:
        if not np.all(np.isfinite(self.alpha)) or np.any(np.less(self.alpha, 0)):
            raise InputError(
                f"alpha must be a finite number >= 0 of noisy labels per clean label; {self.alpha} came: "
                "give 0 for clean labels",
                alpha=self.alpha,
            )
        _check_num_classes(self.num_classes)

    @property
    def signal(self) -> Array:
        """λ = 1/(1 + α), the share of clean labels."""
        return 1 / (1 + self.alpha)

    @property
    def clean_probability(self) -> Array:
        """P(label correct) = (1 + α/K)/(1 + α)."""
        return (1 + self.alpha / self.num_classes) / (1 + self.alpha)

    @property
    def noise_rate(self) -> Array:
        """ρ = P(label wrong) = α (K − 1)/(K (1 + α))."""
        K = self.num_classes
        return self.alpha * ((K - 1) / K) / (1 + self.alpha)

    @property
    def noise_to_signal(self) -> Array:
        """ξ = 1/λ² − 1 = α (2 + α): label noise against signal, as energies, in one labelled copy."""
        return self.alpha * (2 + self.alpha)

    @property
    def loss_floor(self) -> Array:
        """Entropy of a label in nats, −P_c ln P_c − (K−1) P_w ln P_w: training loss below it is memorising."""
        K = self.num_classes
        # Two log1p keep all digits at both ends: P_c -> 1 (small α) and P_c -> 1/K (large α).
        minus_log_clean = np.log1p(self.alpha) - np.log1p(self.alpha / K)
        wrong = self.noise_rate / (K - 1)
        log_wrong = np.log(wrong + (wrong == 0))  # 0 ln 0 = 0
        return self.clean_probability * minus_log_clean - self.noise_rate * log_wrong

    def noise_matrix(self) -> np.ndarray:
        """N = 11ᵀ/K, shape (K, K)."""
        return np.full((self.num_classes, self.num_classes), 1 / self.num_classes)

    def transition_matrix(self) -> np.ndarray:
        """T = λ I + (1 − λ) 11ᵀ/K, shape (*alpha.shape, K, K)."""
        return expected_targets(self.alpha, self.noise_matrix())


def alpha_from_noise_rate(noise_rate: Array, num_classes: int) -> Array:
    """α of uniform noise with wrong-label rate ρ: α = 1/λ − 1, λ = 1 − ρK/(K − 1); InputError unless λ > 0."""
    _check_num_classes(num_classes)
    K = num_classes
    limit = (K - 1) / K
    if not (np.all(np.greater_equal(noise_rate, 0)) and np.all(np.less(noise_rate, limit))):
        raise InputError(
            f"the noise rate must be >= 0 and below (K - 1)/K = {limit:.6g}, where labels of {K} classes carry "
            f"no signal; {noise_rate} came: give the share of wrong labels",
            noise_rate=noise_rate,
            limit=limit,
        )
    return noise_rate / (limit - noise_rate)


def expected_targets(alpha: Array, noise_matrix: np.ndarray) -> np.ndarray:
    """T = (I + α N)/(1 + α): the mean label of a copy, one row per true class, shape (*alpha.shape, K, K).

    Cross-entropy against row c is the objective of an infinite batch of copies of class c (for uniform N,
    label smoothing by α/(1 + α)).
    """
    a = np.asarray(alpha, dtype=float)[..., None, None]
    return (np.eye(len(noise_matrix)) + a * noise_matrix) / (1 + a)


def _check_num_classes(num_classes: int) -> None:
    if not float(num_classes).is_integer() or num_classes < 2:
        raise InputError(
            f"the number of classes must be a whole number >= 2; {num_classes} came", num_classes=num_classes
        )


class Stream(IntEnum):
    """First word of every hash: draws made for different ends never share a random number."""

    COPY = 1
    LABEL = 2
    NOISY = 3
    FRESH_LABEL = 4


def _signed(word: int) -> int:
    """The int64 with the bits of `word` modulo 2⁶⁴."""
    return (int(word) + 2**63) % 2**64 - 2**63


_GAMMA, _MIX_1, _MIX_2 = (_signed(c) for c in (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB))


def _shift_right(z: Array, bits: int) -> Array:
    """Logical shift: int64 >> copies the sign bit, the mask takes it away."""
    return (z >> bits) & ((1 << (64 - bits)) - 1)


def counter_hash(*words: Array) -> Array:
    """64 random bits of the words, as int64: h <- splitmix64(h ^ word) over the words, from h = 0.

    splitmix64 adds the golden gamma, then mixes (Steele, Lea & Flood, 2014, "Fast splittable pseudorandom
    number generators", with Stafford's constants, variant 13). Words are ints or int64 arrays or tensors,
    and broadcast.
    """
    words = tuple(_signed(w) if isinstance(w, int) else w for w in words)
    h = next((w for w in words if not isinstance(w, int)), np.int64(0)) * 0
    with np.errstate(over="ignore"):  # wrapping is meant; NumPy would warn where an array has no dimension
        for word in words:
            z = (h ^ word) + _GAMMA
            z = (z ^ _shift_right(z, 30)) * _MIX_1
            z = (z ^ _shift_right(z, 27)) * _MIX_2
            h = z ^ _shift_right(z, 31)
    return h


def uniform_from_hash(h: Array) -> Array:
    """Uniform float64 in [0, 1) from the upper 53 bits."""
    return _to_float64(_shift_right(h, 11)) * 2.0**-53


def _to_float64(x: Array) -> Array:
    return x.double() if hasattr(x, "double") else np.asarray(x, dtype=np.float64)


def _to_int64(x: Array) -> Array:
    return x.long() if hasattr(x, "long") else np.asarray(x).astype(np.int64)


def fixed_copy(alpha: Array, visit_pass: Array, image: Array, seed: Array) -> Array:
    """Which copy of an image is shown in pass p over the images: floor((u (1+α) + p) mod (1+α)), 0 to ceil(α).

    u = u(seed, image) starts every image elsewhere on a circle of length 1 + α, and each pass p moves on
    by 1. So copy 0 is shown with frequency 1/(1 + α); for whole α every copy comes exactly once in 1 + α
    passes; for fractional α the last copy counts by its fraction (α = 2.5: copies 1 and 2 fully, copy 3 by
    half).
    """
    u = uniform_from_hash(counter_hash(Stream.COPY, seed, image))
    return _to_int64((u * (1 + alpha) + visit_pass) % (1 + alpha))


def fixed_label(
    true_label: Array,
    image: Array,
    copy: Array,
    seed: Array,
    cumulative: Array = None,
    *,
    num_classes: int | None = None,
) -> Array:
    """The label of one copy, the same at every visit: true for copy 0, drawn from N by (seed, image, copy) else.

    cumulative is N.cumsum(axis=1); for uniform N leave it out and give `num_classes`.
    """
    u = uniform_from_hash(counter_hash(Stream.LABEL, seed, image, copy))
    drawn = _draw(u, true_label, cumulative, num_classes)
    return drawn + (true_label - drawn) * (copy == 0)


def fresh_label(
    true_label: Array,
    image: Array,
    visit_pass: Array,
    alpha: Array,
    seed: Array,
    cumulative: Array = None,
    *,
    num_classes: int | None = None,
) -> Array:
    """A label drawn anew at each visit p: noisy iff u₁(seed, image, p) < α/(1+α), and then drawn from N by u₂.

    Neither u depends on α (common random numbers): more noise makes more of the same labels noisy.
    cumulative is N.cumsum(axis=1); for uniform N leave it out and give `num_classes`.
    """
    noisy = uniform_from_hash(counter_hash(Stream.NOISY, seed, image, visit_pass)) < alpha / (1 + alpha)
    u = uniform_from_hash(counter_hash(Stream.FRESH_LABEL, seed, image, visit_pass))
    drawn = _draw(u, true_label, cumulative, num_classes)
    return true_label + (drawn - true_label) * noisy


def _draw(u: Array, true_label: Array, cumulative: Array, num_classes: int | None) -> Array:
    """Inverse cdf of the row of N of the true label; floor(u K) for uniform N."""
    if cumulative is None:
        if num_classes is None:
            raise InputError(
                "drawing labels needs `cumulative` (any noise) or `num_classes` (uniform noise); neither came"
            )
        return _to_int64(u * num_classes)  # u <= 1 - 2⁻⁵³, so the product rounds to less than K
    # The last entry is 1 and needs no comparison; rounded below 1 it could only do harm.
    return (cumulative[true_label][..., :-1] <= u[..., None]).sum(-1)
