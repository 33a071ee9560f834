"""The saturating law: a fitted noise scale and two powers -> learning rate that levels off at large batches."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from effbatch.laws.base import (
    OPTIMIZERS,
    SMALLEST,
    Applies,
    Array,
    Setting,
    in_range,
    open_parameters,
    require_parameters,
    transfers,
)
from effbatch.laws.bibliography import EFFBATCH


@dataclass(frozen=True)
class Saturating:
    """η* = η_max/(1 + (B_0 (1 + α)^δ/B)^γ), the form of McCandlish et al. (2018, eq. 2.6) with free powers.

    clean_noise_scale  B_0, in labelled copies
    delta              δ: 2 where the signal-to-noise ratio counts, 1 where the number of clean labels does
    gamma              γ: 1 for SGD, ½ for Adam
    """

    name: ClassVar[str] = "saturating"
    formula: ClassVar[str] = "η = η_max/(1 + (B_0 (1+α)^δ/B)^γ)"
    reference: ClassVar[str] = EFFBATCH.reference
    bibtex: ClassVar[str] = EFFBATCH.bibtex
    regime: ClassVar[str] = "as good as the sweep it was fitted on, and only inside it"
    optimizers: ClassVar[tuple[str, ...]] = OPTIMIZERS

    clean_noise_scale: Array = None
    delta: Array = None
    gamma: Array = None

    def __post_init__(self) -> None:
        in_range("clean_noise_scale", self.clean_noise_scale, "labelled copies", least=SMALLEST)
        in_range("delta", self.delta, "power of 1 + alpha", least=0, most=3)
        in_range("gamma", self.gamma, "power of the noise scale over the batch", least=0, most=3)

    def factor(self, setting: Setting, anchor: Setting) -> Array:
        require_parameters(self)
        return self._slowdown(anchor) / self._slowdown(setting)

    def _slowdown(self, setting: Setting) -> Array:
        return 1 + (self.clean_noise_scale * (1 + setting.alpha) ** self.delta / setting.batch_size) ** self.gamma

    def applies(self, setting: Setting, anchor: Setting) -> Applies:
        if reason := transfers(setting, anchor, self.optimizers):
            return Applies(False, reason)
        if open_parameters(self):
            return Applies(False, "its noise scale and powers come from a fit, and none was given")
        return Applies(True, self.regime)


LAWS = (Saturating(),)
