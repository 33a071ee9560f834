"""The law of the gradient noise scale: B_noise(α) -> learning rate that saturates at large batches."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from effbatch.laws.base import SGD, SMALLEST, Applies, Array, Setting, in_range, require_parameters, transfers
from effbatch.laws.bibliography import MCCANDLISH_2018
from effbatch.theory.moments import GradientMoments


@dataclass(frozen=True)
class NoiseScaleLaw:
    """η* = η_max/slowdown(B_noise(α)/B): what `noise_scale` and `surge` share.

    clean_noise_scale is B_noise(0) in labelled copies; at uniform output it gives B_noise(α).
    """

    name: ClassVar[str]
    formula: ClassVar[str]
    reference: ClassVar[str]
    bibtex: ClassVar[str]
    optimizers: ClassVar[tuple[str, ...]]
    regime: ClassVar[str]

    clean_noise_scale: Array = None

    def __post_init__(self) -> None:
        in_range("clean_noise_scale", self.clean_noise_scale, "labelled copies", least=SMALLEST)

    def slowdown(self, noise_per_batch: Array) -> Array:
        """η_max/η* as a function of B_noise(α)/B."""
        raise NotImplementedError

    def factor(self, setting: Setting, anchor: Setting) -> Array:
        require_parameters(self)
        moments = GradientMoments.at_uniform_output(self.clean_noise_scale)
        here, there = (self.slowdown(moments.noise_scale(s.alpha) / s.batch_size) for s in (setting, anchor))
        return there / here

    def applies(self, setting: Setting, anchor: Setting) -> Applies:
        if reason := transfers(setting, anchor, self.optimizers):
            return Applies(False, reason)
        if self.clean_noise_scale is None:
            reason = "needs clean_noise_scale, the noise scale with clean labels: measure it at a checkpoint"
            return Applies(False, reason)
        return Applies(True, self.regime)


@dataclass(frozen=True)
class NoiseScale(NoiseScaleLaw):
    """η* = η_max/(1 + B_noise(α)/B) (McCandlish et al., 2018, eq. 2.6-2.7, with the simple noise scale for B_H).

    η_max does not depend on α because the Hessian at uniform output does not depend on the labels.
    """

    name: ClassVar[str] = "noise_scale"
    formula: ClassVar[str] = "η = η_max/(1 + B_noise(α)/B), B_noise(α) + 1 = (1+α)² (B_noise(0) + 1)"
    reference: ClassVar[str] = MCCANDLISH_2018.reference
    bibtex: ClassVar[str] = MCCANDLISH_2018.bibtex
    optimizers: ClassVar[tuple[str, ...]] = SGD
    regime: ClassVar[str] = "the best single step near uniform output; a whole run may differ"

    def slowdown(self, noise_per_batch: Array) -> Array:
        return 1 + noise_per_batch


LAWS = (NoiseScale(),)
