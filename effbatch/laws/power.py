"""Power laws: batch size and α, each to a fixed power -> ratio of best learning rates."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass

from effbatch.laws import bibliography as source
from effbatch.laws.base import (
    ADAPTIVE,
    OPTIMIZERS,
    SGD,
    Applies,
    Array,
    Setting,
    in_range,
    open_parameters,
    require_parameters,
    transfers,
)


@dataclass(frozen=True)
class PowerLaw:
    """η ∝ B^b (1 + α)^a, with b = batch_exponent and a = alpha_exponent (None: to be fitted).

    regime        what the law rests on, printed where it applies
    too_steep     True if the law was measured to be far too steep when the number of steps is fixed
    """

    name: str
    formula: str
    source: source.Source
    _: KW_ONLY
    batch_exponent: float | None
    alpha_exponent: float | None
    regime: str
    optimizers: tuple[str, ...] = SGD
    too_steep: bool = False

    def __post_init__(self) -> None:
        in_range("batch_exponent", self.batch_exponent, "power of the batch size", least=-4, most=4)
        in_range("alpha_exponent", self.alpha_exponent, "power of 1 + alpha", least=-4, most=4)

    @property
    def reference(self) -> str:
        return self.source.reference

    @property
    def bibtex(self) -> str:
        return self.source.bibtex

    def factor(self, setting: Setting, anchor: Setting) -> Array:
        """(B/B')^b ((1 + α)/(1 + α'))^a."""
        require_parameters(self)
        batch = setting.batch_size / anchor.batch_size
        return batch**self.batch_exponent * ((1 + setting.alpha) / (1 + anchor.alpha)) ** self.alpha_exponent

    def applies(self, setting: Setting, anchor: Setting) -> Applies:
        if reason := transfers(setting, anchor, self.optimizers):
            return Applies(False, reason)
        if open_parameters(self):
            return Applies(False, "its exponents come from a fit, and none was given")
        if self.too_steep and setting.steps is not None:
            return Applies(False, "measured to be far too steep at a fixed number of steps")
        return Applies(True, self.regime)


_NOISE_DOMINATED = "only for batches far below the noise scale; measured to be far too steep at a fixed number of steps"

LAWS = (
    PowerLaw(
        "none",
        "η = constant",
        source.ZEILER_2012,
        batch_exponent=0.0,
        alpha_exponent=0.0,
        regime="keeps the rate: the baseline for every optimizer",
        optimizers=OPTIMIZERS,
    ),
    PowerLaw(
        "linear",
        "η ∝ B",
        source.GOYAL_2017,
        batch_exponent=1.0,
        alpha_exponent=0.0,
        regime="for batches far below the noise scale and a fixed number of examples; takes no notice of the labels",
    ),
    PowerLaw(
        "square_root",
        "η ∝ √B",
        source.KRIZHEVSKY_2014,
        batch_exponent=0.5,
        alpha_exponent=0.0,
        regime="keeps the variance of an update; takes no notice of the labels",
    ),
    PowerLaw(
        "signal_to_noise",
        "η ∝ B/(1+α)²",
        source.MCCANDLISH_2018,
        batch_exponent=1.0,
        alpha_exponent=-2.0,
        regime=_NOISE_DOMINATED,
        too_steep=True,
    ),
    PowerLaw(
        "clean_count",
        "η ∝ B/(1+α)",
        source.ROLNICK_2017,
        batch_exponent=1.0,
        alpha_exponent=-1.0,
        regime=_NOISE_DOMINATED,
        too_steep=True,
    ),
    PowerLaw(
        "square_root_clean_count",
        "η ∝ √(B/(1+α))",
        source.EFFBATCH,
        batch_exponent=0.5,
        alpha_exponent=-0.5,
        regime="empirical, from small ReLU networks at a fixed number of steps; safest from an anchor tuned with noise",
    ),
    PowerLaw(
        "adam_square_root",
        "η ∝ √B/(1+α)",
        source.MALLADI_2022,
        batch_exponent=0.5,
        alpha_exponent=-1.0,
        regime="for batches far below the noise scale, where Adam, AdamW and RMSprop step by the sign of noise",
        optimizers=ADAPTIVE,
    ),
    PowerLaw(
        "adaptive",
        "η ∝ B^¼ (1+α)^−¾",
        source.EFFBATCH,
        batch_exponent=0.25,
        alpha_exponent=-0.75,
        regime="empirical, from Adam and AdaDelta on a small ReLU network at a fixed number of steps; safest from an "
        "anchor tuned with noise",
        optimizers=(*ADAPTIVE, "adadelta"),
    ),
    PowerLaw(
        "fitted",
        "η ∝ B^b (1+α)^a, b and a fitted",
        source.EFFBATCH,
        batch_exponent=None,
        alpha_exponent=None,
        regime="as good as the sweep it was fitted on, and only inside it",
        optimizers=OPTIMIZERS,
    ),
)
