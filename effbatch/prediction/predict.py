"""One noise level and batch size -> every law's learning rate, the recommended one, and what else the noise costs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from effbatch import laws
from effbatch.detection import clean_labels_factor
from effbatch.errors import InputError
from effbatch.laws.base import SMALLEST, Law, Setting, in_range, with_parameters
from effbatch.noise import UniformNoise

Interval = tuple[float, float]

# By optimizer, the laws to choose from (the first that applies) and the reason for the order.
_PREFERRED = {
    "sgd": (
        ("square_root_clean_count", "none"),
        "the rate goes with the square root of the clean labels in a batch, an empirical rule for SGD",
    ),
    "adam": (
        ("adam_square_root", "none"),
        "Adam divides the gradient by its spread, so the rate goes with the square root of B/(1 + α)²",
    ),
    "adadelta": (
        ("none",),
        "AdaDelta is nearly scale-free, so the rate is kept; this is untested",
    ),
}
_PREFERRED["momentum"] = _PREFERRED["sgd"]


@dataclass(frozen=True)
class Anchor:
    """A learning rate that was tuned, and the batch size and α it was tuned at."""

    learning_rate: float
    batch_size: int
    alpha: float = 0.0

    def __post_init__(self) -> None:
        in_range("the anchor's learning rate", self.learning_rate, "step size", least=SMALLEST)
        in_range("the anchor's batch size", self.batch_size, "labelled copies per step", least=1)
        in_range("the anchor's alpha", self.alpha, "noisy labels per clean label", least=0)


@dataclass(frozen=True)
class LawScore:
    """How well a law predicted best rates it had not seen: |log2(predicted/measured)| over n cells."""

    median_error_log2: float
    quantile90_log2: float
    n: int
    source: str

    def __post_init__(self) -> None:
        in_range("the median error", self.median_error_log2, "powers of two", least=0, most=60)
        in_range("the 90th percentile of the error", self.quantile90_log2, "powers of two", least=0, most=60)
        in_range("n", self.n, "cells compared", least=1)


@dataclass(frozen=True)
class LawPrediction:
    """What one law says; numbers are None, and `reason` tells why, where it does not apply.

    factor     η/η_anchor, exact given the law; without an anchor, relative to clean labels at the same B
    value      η = factor × anchor rate; None without an anchor
    interval   value × 2^±q, q the 90th percentile of the recorded error over n cells; None without a record
    """

    factor: float | None
    value: float | None
    interval: Interval | None
    n: int | None
    applies: bool
    reason: str
    formula: str
    reference: str


@dataclass(frozen=True)
class Recommendation:
    """The law chosen for the optimizer, its numbers, and why in one sentence."""

    law: str
    factor: float
    value: float | None
    interval: Interval | None
    n: int | None
    why: str


@dataclass(frozen=True)
class Prediction:
    """The answer of `predict`; see `to_dict` for its keys."""

    setting: Setting
    anchor: Anchor | None
    labels: UniformNoise
    learning_rate: Mapping[str, LawPrediction]
    recommended: Recommendation

    @property
    def effective_batch_size(self) -> dict[str, float | None]:
        """B_eff, the clean batch as good as this one, by rule: B/(1+α)² and B/(1+α); measured: None, no moments."""
        B, a = self.setting.batch_size, self.setting.alpha
        return {"signal_to_noise": B / (1 + a) ** 2, "clean_count": B / (1 + a), "measured": None}

    @property
    def restoring_batch_size(self) -> float:
        """B (1+α)²: the batch that restores the gradient's signal-to-noise ratio of B clean labels."""
        return self.setting.batch_size * (1 + self.setting.alpha) ** 2

    @property
    def clean_labels_factor(self) -> float:
        """1 + α: times more clean labels for the same accuracy."""
        return clean_labels_factor(self.setting.alpha)

    def to_dict(self) -> dict[str, Any]:
        """The prediction as JSON holds it: numbers or null, never NaN, infinity or a number in a string."""
        s = self.setting
        return {
            "alpha": s.alpha,
            "batch_size": s.batch_size,
            "num_classes": s.num_classes,
            "noise": {"kind": "uniform"},
            "optimizer": s.optimizer,
            "schedule": s.schedule,
            "steps": s.steps,
            "examples": s.examples,
            "anchor": None if self.anchor is None else asdict(self.anchor),
            "labels": {
                "signal": self.labels.signal,
                "clean_probability": self.labels.clean_probability,
                "noise_rate": self.labels.noise_rate,
                "noise_to_signal": self.labels.noise_to_signal,
                "loss_floor": float(self.labels.loss_floor),
                "exact": True,
            },
            "effective_batch_size": {
                **self.effective_batch_size,
                "reason": "measured is null: it needs the gradient moments of a network",
            },
            "learning_rate": {name: _json(asdict(law)) for name, law in self.learning_rate.items()},
            "recommended": _json(asdict(self.recommended)),
            "restoring_batch_size": self.restoring_batch_size,
            "clean_labels_factor": self.clean_labels_factor,
            "accuracy": None,
        }


def predict(
    alpha: float,
    batch_size: int,
    *,
    num_classes: int = 10,
    noise: str = "uniform",
    optimizer: str = "sgd",
    schedule: str = "constant",
    examples: int | None = None,
    steps: int | None = None,
    anchor: Anchor | None = None,
    parameters: Mapping[str, Mapping[str, float]] | None = None,
    evidence: Mapping[str, LawScore] | None = None,
) -> Prediction:
    """What every law says about training with α noisy labels per clean one, in batches of B.

    With an anchor, rates are factor × its rate; without, factors are relative to clean labels at the same
    batch size. Budget, optimizer, schedule and classes are those of the anchor. `parameters` gives laws
    what they lack, as {"noise_scale": {"clean_noise_scale": 40.0}}; `evidence` gives recorded errors by
    law, and so intervals. Raises InputError for values out of range and names not known.
    """
    if noise != "uniform":
        raise InputError(f"predict knows noise 'uniform'; {noise!r} came: leave `noise` out", noise=noise)
    setting = Setting(
        float(alpha),
        _whole("the batch size", batch_size),
        _whole("the number of classes", num_classes),
        optimizer,
        schedule,
        None if steps is None else _whole("the number of steps", steps),
        None if examples is None else _whole("the number of examples", examples),
    )
    labels = UniformNoise(setting.alpha, setting.num_classes)
    if anchor is None:
        origin, rate = replace(setting, alpha=0.0), None
    else:
        origin, rate = replace(setting, alpha=anchor.alpha, batch_size=anchor.batch_size), anchor.learning_rate
    known = dict(laws.LAWS)
    for name, values in (parameters or {}).items():
        known[name] = with_parameters(laws.get(name), **values)
    scores = {laws.get(name).name: score for name, score in (evidence or {}).items()}
    said = {name: _ask(law, setting, origin, rate, scores.get(name)) for name, law in known.items()}
    return Prediction(setting, anchor, labels, said, _recommend(setting, said, scores))


def _ask(law: Law, setting: Setting, anchor: Setting, rate: float | None, score: LawScore | None) -> LawPrediction:
    """One law's prediction."""
    applies = law.applies(setting, anchor)
    factor = float(law.factor(setting, anchor)) if applies.ok else None
    value = None if factor is None or rate is None else factor * rate
    interval = None
    if value is not None and score is not None:
        spread = 2.0**score.quantile90_log2
        interval = (value / spread, value * spread)
    n = None if score is None else int(score.n)
    return LawPrediction(factor, value, interval, n, *applies, law.formula, law.reference)


def _recommend(setting: Setting, said: Mapping[str, LawPrediction], scores: Mapping[str, LawScore]) -> Recommendation:
    """The first law preferred for the optimizer that applies; `none` always does."""
    preferred, why = _PREFERRED[setting.optimizer]
    name = next(name for name in preferred if said[name].applies)
    chosen = said[name]
    assert chosen.factor is not None  # a law that applies has a factor
    if score := scores.get(name):
        why += (
            f"; over n = {score.n} cells it missed the measured best rate by a factor of "
            f"{2**score.median_error_log2:.3g} (median) and {2**score.quantile90_log2:.3g} (90th percentile), "
            f"by {score.source}"
        )
    else:
        why += "; no record of its errors was given, so it carries no interval"
    return Recommendation(name, chosen.factor, chosen.value, chosen.interval, chosen.n, why)


def _whole(what: str, value: float) -> int:
    if not float(value).is_integer():
        raise InputError(f"{what} must be a whole number; {value} came", value=value)
    return int(value)


def _json(values: dict[str, Any]) -> dict[str, Any]:
    """Tuples as JSON will read them back."""
    return {key: list(v) if isinstance(v, tuple) else v for key, v in values.items()}
