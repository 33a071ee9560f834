"""(seed, image, copy or pass) -> the label of a noisy copy, or the foreign image it shows, by a counter-based hash.

No state is kept: a label is a hash of (stream, seed, image, ...), so any label can be asked for alone and nothing
is stored. The functions use operators only, hence run on NumPy int64 arrays and on PyTorch int64 tensors alike, with
the same bits; α, where it is an array or tensor, must be float64. Copy 0 of an image carries its true label.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Any

import numpy as np

Array = Any  # an int, a NumPy int64 array or a PyTorch int64 tensor


class Stream(IntEnum):
    """First word of every hash: draws made for different ends never share a random number."""

    COPY = 1
    LABEL = 2
    NOISY = 3
    FRESH_LABEL = 4
    FOREIGN = 5
    FRESH_FOREIGN = 6


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
    row: Array = None,
    num_classes: int | None = None,
) -> Array:
    """The label of one copy, the same at every visit: true for copy 0, drawn from N by (seed, image, copy) else.

    cumulative is N.cumsum(axis=1); for uniform N leave it out and give `num_classes`. `row` says which row of it each
    label is drawn from, where that is not `true_label`: the N of several α may stand under each other.
    """
    u = uniform_from_hash(counter_hash(Stream.LABEL, seed, image, copy))
    drawn = _draw(u, true_label if row is None else row, cumulative, num_classes)
    return drawn + (true_label - drawn) * (copy == 0)


def fresh_label(
    true_label: Array,
    image: Array,
    visit_pass: Array,
    alpha: Array,
    seed: Array,
    cumulative: Array = None,
    *,
    row: Array = None,
    num_classes: int | None = None,
) -> Array:
    """A label drawn anew at each visit p: true, or where `fresh_noisy` says so drawn from N by u₂(seed, image, p).

    u₂ does not depend on α either. cumulative, row and num_classes are those of `fixed_label`.
    """
    u = uniform_from_hash(counter_hash(Stream.FRESH_LABEL, seed, image, visit_pass))
    drawn = _draw(u, true_label if row is None else row, cumulative, num_classes)
    return true_label + (drawn - true_label) * fresh_noisy(image, visit_pass, alpha, seed)


def fresh_noisy(image: Array, visit_pass: Array, alpha: Array, seed: Array) -> Array:
    """Whether visit p shows a noisy copy: u₁(seed, image, p) < α/(1+α).

    u₁ does not depend on α (common random numbers): more noise makes more of the same visits noisy.
    """
    return uniform_from_hash(counter_hash(Stream.NOISY, seed, image, visit_pass)) < alpha / (1 + alpha)


def fixed_foreign(image: Array, copy: Array, seed: Array, available: int) -> Array:
    """Which of `available` foreign images a noisy copy shows at every visit, drawn with replacement."""
    return _to_int64(uniform_from_hash(counter_hash(Stream.FOREIGN, seed, image, copy)) * available)


def fresh_foreign(image: Array, visit_pass: Array, seed: Array, available: int) -> Array:
    """Which of `available` foreign images visit p shows where it is noisy, drawn anew at each visit."""
    return _to_int64(uniform_from_hash(counter_hash(Stream.FRESH_FOREIGN, seed, image, visit_pass)) * available)


def _draw(u: Array, row: Array, cumulative: Array, num_classes: int | None) -> Array:
    """Inverse cdf of a row of N, the number of cumulative probabilities <= u; floor(u K) for uniform N."""
    if cumulative is None:
        return _to_int64(u * num_classes)  # u <= 1 - 2⁻⁵³, so the product rounds to less than K
    # The last entry is 1 and needs no comparison; rounded below 1 it could only do harm. One column at a time: all
    # at once would need K numbers per label.
    return _to_int64(sum(cumulative[:, k][row] <= u for k in range(cumulative.shape[1] - 1)))
