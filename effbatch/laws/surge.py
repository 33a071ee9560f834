"""The surge law of adaptive optimisers: B_noise(α) -> learning rate that rises as √B, peaks and falls."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from effbatch.laws.base import (
    ADAPTIVE,
    SMALLEST,
    Applies,
    Array,
    Setting,
    in_range,
    require_parameters,
    transfers,
)
from effbatch.laws.bibliography import LI_2024
from effbatch.moments import GradientMoments


@dataclass(frozen=True)
class Surge:
    """η* = η_max/[½(√(B_n/B) + √(B/B_n))], B_n = B_noise(α) (Li et al., 2024).

    clean_noise_scale is B_noise(0) in labelled copies; at uniform output it gives B_noise(α). That η_max
    does not depend on α is an assumption.
    """

    name: ClassVar[str] = "surge"
    formula: ClassVar[str] = "η = 2 η_max/(√(B_noise(α)/B) + √(B/B_noise(α)))"
    reference: ClassVar[str] = LI_2024.reference
    bibtex: ClassVar[str] = LI_2024.bibtex

    clean_noise_scale: Array = None

    def __post_init__(self) -> None:
        in_range("clean_noise_scale", self.clean_noise_scale, "labelled copies", least=SMALLEST)

    def factor(self, setting: Setting, anchor: Setting) -> Array:
        require_parameters(self)
        return self._slowdown(anchor) / self._slowdown(setting)

    def _slowdown(self, setting: Setting) -> Array:
        moments = GradientMoments.at_uniform_output(self.clean_noise_scale)
        root = (moments.noise_scale(setting.alpha) / setting.batch_size) ** 0.5
        return (root + 1 / root) / 2

    def applies(self, setting: Setting, anchor: Setting) -> Applies:
        if reason := transfers(setting, anchor, ADAPTIVE):
            return Applies(False, reason)
        if self.clean_noise_scale is None:
            return Applies(
                False,
                "needs clean_noise_scale, the noise scale with clean labels: measure it at a checkpoint",
            )
        return Applies(True, "for Adam stepping by signs near uniform output; assumes a peak rate independent of alpha")


LAWS = (Surge(),)
