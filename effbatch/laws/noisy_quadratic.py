"""The noisy quadratic model of a whole run: how fast loss falls -> powers of B, α and examples."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from effbatch.core.errors import InputError
from effbatch.laws.base import SGD, SMALLEST, Applies, Array, Setting, in_range, require_parameters, transfers
from effbatch.laws.bibliography import ZHANG_2019


@dataclass(frozen=True)
class NoisyQuadratic:
    """η* ∝ B (1 + α)^(−2/(1+s)) n^(−s/(1+s)), the noisy quadratic model of Zhang et al. (2019).

    decay_exponent is s: without noise the excess loss falls as (ηT)^(−s). Noise adds a loss ∝ η (1+α)²/B.
    With T = n/B the sum is least where x = η/B solves s n^(−s) x^(−s−1) ∝ (1+α)². Where neither setting
    has a budget, n is taken as equal.
    """

    name: ClassVar[str] = "noisy_quadratic"
    formula: ClassVar[str] = "η ∝ B (1+α)^(−2/(1+s)) n^(−s/(1+s))"
    reference: ClassVar[str] = ZHANG_2019.reference
    bibtex: ClassVar[str] = ZHANG_2019.bibtex
    regime: ClassVar[str] = "while noise limits the rate, not the edge of stability"
    optimizers: ClassVar[tuple[str, ...]] = SGD

    decay_exponent: Array = None

    def __post_init__(self) -> None:
        in_range("decay_exponent", self.decay_exponent, "s in loss ∝ (ηT)^(−s)", least=SMALLEST)

    def factor(self, setting: Setting, anchor: Setting) -> Array:
        require_parameters(self)
        s = self.decay_exponent
        batch = setting.batch_size / anchor.batch_size
        noise = (1 + setting.alpha) / (1 + anchor.alpha)
        return batch * noise ** (-2 / (1 + s)) * _copies_ratio(setting, anchor) ** (-s / (1 + s))

    def applies(self, setting: Setting, anchor: Setting) -> Applies:
        if reason := transfers(setting, anchor, self.optimizers):
            return Applies(False, reason)
        if self.decay_exponent is None:
            return Applies(False, "needs decay_exponent, the power by which the loss falls: fit it")
        if (setting.copies is None) != (anchor.copies is None):
            return Applies(False, "needs the budget of both settings or of neither")
        budget = "at equal numbers of examples, " if setting.copies is None else ""
        return Applies(True, f"{budget}{self.regime}")


def _copies_ratio(setting: Setting, anchor: Setting) -> Array:
    if setting.copies is None and anchor.copies is None:
        return 1.0
    if setting.copies is None or anchor.copies is None:
        raise InputError("noisy_quadratic needs the budget of both settings or of neither, got one: give both")
    return setting.copies / anchor.copies


LAWS = (NoisyQuadratic(),)
