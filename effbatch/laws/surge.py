"""The surge of Adam-like optimizers: learning rate that rises as √B, peaks at B = B_noise(α), and falls."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from effbatch.laws.base import ADAPTIVE, Array
from effbatch.laws.bibliography import LI_2024
from effbatch.laws.noise_scale import NoiseScaleLaw


@dataclass(frozen=True)
class Surge(NoiseScaleLaw):
    """η* = η_max/[½(√(B_n/B) + √(B/B_n))], B_n = B_noise(α) (Li et al., 2024).

    That η_max does not depend on α is an assumption.
    """

    name: ClassVar[str] = "surge"
    formula: ClassVar[str] = "η = 2 η_max/(√(B_noise(α)/B) + √(B/B_noise(α)))"
    reference: ClassVar[str] = LI_2024.reference
    bibtex: ClassVar[str] = LI_2024.bibtex
    optimizers: ClassVar[tuple[str, ...]] = ADAPTIVE
    regime: ClassVar[str] = (
        "for Adam, AdamW and RMSprop stepping by signs near uniform output; assumes a peak rate independent of alpha"
    )

    def slowdown(self, noise_per_batch: Array) -> Array:
        root = noise_per_batch**0.5
        return (root + 1 / root) / 2


LAWS = (Surge(),)
