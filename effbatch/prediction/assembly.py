"""One noise level and batch size -> every law's learning rate, the recommended one, and what else the noise costs."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from effbatch import laws
from effbatch.detection import clean_labels_factor
from effbatch.errors import InputError
from effbatch.jsonable import jsonable
from effbatch.laws.base import LARGEST, Law, Setting, one_of, with_parameters
from effbatch.noise import Labels, MatrixNoise, UniformNoise, structured_noise_matrix
from effbatch.noise.transition import checked_matrix
from effbatch.prediction.alpha_interval import Alphas, Interval, alphas_in
from effbatch.prediction.answers import (
    LINEARISED,
    SHORT_RUNS,
    Accuracy,
    Anchor,
    LawPrediction,
    LawScore,
    Recommendation,
)
from effbatch.prediction.evidence import recorded

if TYPE_CHECKING:
    from effbatch.dynamics import Spectrum
    from effbatch.refinement import Refinement

NOISE_KINDS = ("uniform", "structured")

# Laws that compute the rate of a given network; where they apply they come before the others.
_COMPUTED = ("short_runs", "linearised")

# By optimizer, the laws to choose from (the first that applies) and the reason for the order.
_PREFERRED = {
    "sgd": (
        ("square_root_clean_count", "none"),
        "the rate goes with the square root of the clean labels in a batch, an empirical rule for SGD",
    ),
    "adam": (
        ("adam_square_root", "none"),
        "Adam, AdamW and RMSprop divide the gradient by its spread: the rate goes with the square root of B/(1 + α)²",
    ),
    "adadelta": (
        ("none",),
        "AdaDelta is nearly scale-free, so the rate is kept; this is untested",
    ),
}
_PREFERRED["momentum"] = _PREFERRED["sgd"]
_PREFERRED["adamw"] = _PREFERRED["rmsprop"] = _PREFERRED["adam"]


@dataclass(frozen=True)
class Prediction:
    """The answer of `predict`; see `to_dict` for its keys."""

    setting: Setting
    anchor: Anchor | None
    labels: Labels
    noise: Mapping[str, Any]
    learning_rate: Mapping[str, LawPrediction]
    recommended: Recommendation
    accuracy: Accuracy | None
    alpha_interval: Interval | None
    intervals: Mapping[str, Any] | None

    @property
    def effective_batch_size(self) -> dict[str, float | None]:
        """B_eff, the clean batch as good as this one, by rule: B/(1+α)² and B/(1+α); measured: None, no moments."""
        return _consequences(self.labels, self.setting.batch_size)["effective_batch_size"]

    @property
    def restoring_batch_size(self) -> float:
        """B (1+α)²: the batch that restores the gradient's signal-to-noise ratio of B clean labels."""
        return _consequences(self.labels, self.setting.batch_size)["restoring_batch_size"]

    @property
    def clean_labels_factor(self) -> float | None:
        """1 + α: times more clean labels for the same accuracy; None unless noise is uniform."""
        return _consequences(self.labels, self.setting.batch_size)["clean_labels_factor"]

    def to_dict(self) -> dict[str, Any]:
        """The prediction as JSON holds it: numbers or null, never NaN, infinity or a number in a string.

        `intervals` repeats the keys of the numbers that depend on α and no law, with their ranges over its interval.
        """
        s, numbers = self.setting, _consequences(self.labels, self.setting.batch_size)
        return jsonable(
            {
                "alpha": s.alpha,
                "alpha_interval": self.alpha_interval,
                "batch_size": s.batch_size,
                "num_classes": s.num_classes,
                "noise": self.noise,
                "optimizer": s.optimizer,
                "schedule": s.schedule,
                "steps": s.steps,
                "examples": s.examples,
                "anchor": None if self.anchor is None else asdict(self.anchor),
                **numbers,
                "labels": numbers["labels"] | {"exact": True},
                "effective_batch_size": numbers["effective_batch_size"]
                | {"reason": "measured is null: it needs the gradient moments of a network"},
                "learning_rate": {name: asdict(law) for name, law in self.learning_rate.items()},
                "recommended": asdict(self.recommended),
                "accuracy": None if self.accuracy is None else asdict(self.accuracy),
                "intervals": self.intervals,
            }
        )


def predict(
    alpha: float,
    batch_size: int,
    *,
    num_classes: int | None = None,
    alpha_interval: Interval | None = None,
    noise: str = "uniform",
    delta: float | None = None,
    order: ArrayLike | None = None,
    matrix: Any = None,
    optimizer: str = "sgd",
    momentum: float = 0.9,
    schedule: str = "constant",
    examples: int | None = None,
    steps: int | None = None,
    anchor: Anchor | None = None,
    spectra: Sequence[Spectrum] = (),
    short_runs: Refinement | None = None,
    parameters: Mapping[str, Mapping[str, float]] | None = None,
    evidence: Mapping[str, LawScore] | None = None,
) -> Prediction:
    """What every law says about training with α noisy labels per clean one, in batches of B.

    With an anchor, rates are factor × its rate; without, factors are relative to clean labels at the same
    batch size. Budget, optimizer, schedule, classes and kind of noise are those of the anchor.

    num_classes     K; without it that of the spectra or the matrix, else 10
    alpha_interval  (low, high) around alpha, high None for no limit: gives every number its range over it
    noise           "uniform", or "structured" of degree `delta` (`noise.structured_noise_matrix`)
    order           of structured noise: classes by falling preference, a row per true class; default: c + 1, c + 2, ...
    matrix          N, the law of noisy labels, for any other noise. Laws are for uniform noise: others enter by the
                    effective α of their root-mean-square signal (`MatrixNoise.effective_alpha`), as each reason says
    spectra         kernels of the untrained network, one per initialisation: they add `linearised`, from first
                    principles, and the accuracy; needs a budget
    short_runs      what `training.short_runs` found of the network: adds `short_runs`, a rate from real short runs
    momentum        coefficient where the optimizer is "momentum" (Nesterov's too); only first principles use it
    parameters      gives laws what they lack, as {"noise_scale": {"clean_noise_scale": 40.0}}
    evidence        recorded errors by law, and so intervals; by default those that effbatch itself recorded, for plain
                    SGD at a constant rate; {} for none
    Raises InputError for values out of range, names not known, and labels without any signal.
    """
    matrix = None if matrix is None else checked_matrix(matrix)
    setting = Setting(
        float(alpha),
        _whole("the batch size", batch_size),
        _whole("the number of classes", _num_classes(num_classes, matrix, spectra)),
        optimizer,
        schedule,
        None if steps is None else _whole("the number of steps", steps),
        None if examples is None else _whole("the number of examples", examples),
    )
    if spectra and setting.copies is None:
        raise InputError("first principles need a budget, and none came: give steps or examples")
    labels_at = _noise_family(noise, delta, order, matrix, setting.num_classes)
    alphas = alphas_in(setting.alpha, alpha_interval)
    everywhere = [labels_at(a) for a in alphas.tried]
    alphas = replace(alphas, tried=np.array([_effective(labels) for labels in everywhere]))
    labels, here = everywhere[0], replace(setting, alpha=float(alphas.tried[0]))
    at_anchor = labels_at(0.0 if anchor is None else anchor.alpha)
    origin, rate = replace(setting, alpha=_effective(at_anchor)), None
    if anchor is not None:
        origin, rate = replace(origin, batch_size=anchor.batch_size), anchor.learning_rate

    known = dict(laws.LAWS)
    for name, values in (parameters or {}).items():
        known[name] = with_parameters(laws.get(name), **values)
    if evidence is None:
        evidence = recorded() if (optimizer, schedule) == ("sgd", "constant") and noise == "uniform" else {}
    for name in evidence:
        if name not in _COMPUTED:
            laws.get(name)
    here_only = {name: score for name, score in evidence.items() if score.covers(setting.alpha, setting.batch_size)}
    scores, beyond = here_only, evidence.keys() - here_only.keys()
    said = {name: _ask(law, here, origin, rate, alphas, scores.get(name)) for name, law in known.items()}
    at_ends = alphas.at_ends(everywhere)
    said["linearised"] = _widened(
        _linearised(spectra, here, origin, rate, at_ends, at_anchor, alphas, momentum),
        scores.get("linearised") if alphas.bounded else None,
    )
    said["short_runs"] = _widened(_short_runs(short_runs, setting, labels), scores.get("short_runs"))
    if isinstance(labels, MatrixNoise):
        note = f"made for uniform noise; here at the effective alpha {here.alpha:.3g}"
        said = {
            name: replace(law, reason=f"{law.reason}; {note}") if law.applies and name in known else law
            for name, law in said.items()
        }
    recommended = _recommend(setting, said, scores, beyond)
    return Prediction(
        setting,
        anchor,
        labels,
        _noise_facts(noise if matrix is None else "matrix", delta, labels),
        said,
        recommended,
        _accuracy(spectra, here, recommended.value, at_ends, alphas, momentum) if spectra else None,
        alpha_interval,
        None if alpha_interval is None else _spans([_consequences(x, setting.batch_size) for x in everywhere], alphas),
    )


def _num_classes(given: float | None, matrix: Any, spectra: Sequence[Spectrum]) -> float:
    """The number of classes that everything given agrees on."""
    facts = [("num_classes", given)] if given is not None else []
    facts += [("the matrix", len(matrix))] if matrix is not None else []
    facts += [("the network", spectrum.num_classes) for spectrum in spectra]
    if len({value for _, value in facts}) > 1:
        came = ", ".join(dict.fromkeys(f"{value:g} by {what}" for what, value in facts))
        raise InputError(f"one number of classes is needed; {came} came: leave num_classes out")
    return facts[0][1] if facts else 10


def _noise_family(
    kind: str, delta: float | None, order: ArrayLike | None, matrix: Any, num_classes: int
) -> Callable[[float], Labels]:
    """The same kind of noise at any α."""
    one_of("the noise", kind, NOISE_KINDS)
    if matrix is not None and kind != "uniform":
        raise InputError("a noise matrix says all about the noise; structured noise came too: leave one out")
    if (delta is not None) != (kind == "structured"):
        raise InputError(
            f"structured noise needs delta, from 0 to 1, and no other noise takes it; {kind} noise and delta = {delta} "
            "came"
        )
    if order is not None and kind != "structured":
        raise InputError(f"order is for structured noise; it came with {kind} noise: leave it out")
    if matrix is not None:
        return lambda alpha: MatrixNoise(alpha, matrix)
    if delta is not None:
        return lambda alpha: MatrixNoise(alpha, structured_noise_matrix(alpha, num_classes, delta, order=order))
    return lambda alpha: UniformNoise(alpha, num_classes)


def _effective(labels: Labels) -> float:
    alpha = float(labels.effective_alpha)
    if alpha > LARGEST and isinstance(labels, MatrixNoise):
        raise InputError(
            f"labels of this noise matrix carry no signal at alpha = {labels.alpha:g}: their law is the same for "
            "every class, and nothing can be learned from them"
        )
    return alpha


def _noise_facts(kind: str, delta: float | None, labels: Labels) -> dict[str, Any]:
    """What JSON says of the noise, the same keys for every kind."""
    facts = {
        "kind": kind,
        "delta": delta,
        "effective_alpha": float(labels.effective_alpha),
        "least_signal": float(labels.signal_spectrum[-1]),
        "unlearnable": list(labels.unlearnable),
        "reason": None,
    }
    if isinstance(labels, MatrixNoise):
        facts["reason"] = (
            "laws, effective and restoring batch are for uniform noise and taken at effective_alpha = 1/signal − 1, "
            "signal the root-mean-square singular value of the centred transition matrix; clean_labels_factor is null, "
            "as it depends on which classes are confused"
        )
    return facts


def _consequences(labels: Labels, batch_size: int) -> dict[str, Any]:
    """The numbers that follow from the labels and B alone."""
    a, B = float(labels.effective_alpha), batch_size
    names = ("signal", "clean_probability", "noise_rate", "noise_to_signal", "loss_floor")
    return {
        "labels": {name: float(getattr(labels, name)) for name in names},
        "effective_batch_size": {"signal_to_noise": B / (1 + a) ** 2, "clean_count": B / (1 + a), "measured": None},
        "restoring_batch_size": B * (1 + a) ** 2,
        "clean_labels_factor": clean_labels_factor(a) if isinstance(labels, UniformNoise) else None,
    }


def _spans(everywhere: Sequence[Any], alphas: Alphas) -> Any:
    """Equal dictionaries, one per α -> one dictionary of ranges."""
    first = everywhere[0]
    if isinstance(first, dict):
        return {key: _spans([one[key] for one in everywhere], alphas) for key in first}
    return None if first is None else alphas.span(everywhere)


def _ask(
    law: Law, setting: Setting, anchor: Setting, rate: float | None, alphas: Alphas, score: LawScore | None
) -> LawPrediction:
    """One law's prediction, and its range over the alphas."""
    applies = law.applies(setting, anchor)
    n = None if score is None else int(score.n)
    if not applies.ok:
        return LawPrediction(None, None, None, n, *applies, law.formula, law.reference)
    factor = float(law.factor(setting, anchor))
    everywhere = np.broadcast_to(law.factor(replace(setting, alpha=alphas.tried), anchor), alphas.tried.shape)
    span = alphas.span(everywhere)
    covers = ["the interval of alpha"] * (span is not None) + [f"90 % of n = {n} recorded errors"] * (n is not None)
    spread = 1.0 if score is None else 2.0**score.quantile90_log2
    low, high = span or (factor, factor)
    factors = (None if low is None else low / spread, None if high is None else high * spread) if covers else None
    return LawPrediction(
        factor,
        None if rate is None else factor * rate,
        None if rate is None or factors is None else _times(factors, rate),
        n,
        *applies,
        law.formula,
        law.reference,
        factors,
        " and ".join(covers) or None,
    )


def _times(interval: Interval, rate: float) -> Interval:
    low, high = interval
    return (None if low is None else low * rate, None if high is None else high * rate)


def _linearised(
    spectra: Sequence[Spectrum],
    setting: Setting,
    anchor: Setting,
    rate: float | None,
    labels: Sequence[Labels],
    at_anchor: Labels,
    alphas: Alphas,
    momentum: float,
) -> LawPrediction:
    """First principles, imported only where a network was given."""
    if spectra:
        from effbatch.prediction.first_principles import linearised

        return linearised(spectra, setting, anchor, rate, labels, at_anchor, alphas, momentum=momentum)
    reason = "needs a network, a data set and a budget: it is computed from the untrained network"
    return LawPrediction(None, None, None, None, False, reason, *LINEARISED)


def _short_runs(found: Refinement | None, setting: Setting, labels: Labels) -> LawPrediction:
    """The rate that short real runs found, if any were asked for."""
    if found is None:
        reason = "needs short real runs, about two full runs of work: ask for a probe of a network"
    elif setting.optimizer != "sgd" or setting.schedule != "constant" or isinstance(labels, MatrixNoise):
        reason = "made for plain SGD at a constant rate and uniform noise"
    elif not found.learning_rate > 0:
        reason = "cannot tell: the short runs score every learning rate alike"
    else:
        reason = f"found by real short runs on the training images, worth {found.cost:.2g} full runs"
        return LawPrediction(None, found.learning_rate, None, None, True, reason, *SHORT_RUNS)
    return LawPrediction(None, None, None, None, False, reason, *SHORT_RUNS)


def _widened(law: LawPrediction, score: LawScore | None) -> LawPrediction:
    """A law that computes rates itself, its intervals widened by its recorded errors."""
    if score is None or not law.applies or law.value is None:
        return law
    spread = 2.0**score.quantile90_log2

    def wider(interval: Interval | None, value: float | None) -> Interval | None:
        low, high = interval or (value, value)
        return None if low is None or high is None else (low / spread, high * spread)

    recorded_errors = f"90 % of n = {score.n} recorded errors"
    return replace(
        law,
        interval=wider(law.interval, law.value),
        factor_interval=wider(law.factor_interval, law.factor),
        covers=f"{law.covers} and {recorded_errors}" if law.covers else recorded_errors,
        n=law.n or score.n,
    )


def _accuracy(
    spectra: Sequence[Spectrum],
    setting: Setting,
    rate: float | None,
    labels: Sequence[Labels],
    alphas: Alphas,
    momentum: float,
) -> Accuracy:
    from effbatch.prediction.first_principles import accuracy

    return accuracy(spectra, setting, rate, labels, alphas, momentum=momentum)


def _recommend(
    setting: Setting, said: Mapping[str, LawPrediction], scores: Mapping[str, LawScore], beyond: Collection[str]
) -> Recommendation:
    """First principles where they apply, else the first law preferred for the optimizer; `none` always does."""
    preferred, why = _PREFERRED[setting.optimizer]
    name = next(name for name in (*_COMPUTED, *preferred) if said[name].applies)
    chosen, score = said[name], scores.get(name)
    if name == "linearised":
        why = f"computed from the untrained network, median of n = {chosen.n} initialisations"
        if chosen.interval and score is None:
            why += "; the interval reflects these, not what the theory leaves out"
    if name == "short_runs":
        why = chosen.reason
    if score is not None:
        why += (
            f"; over n = {score.n} cells it missed the measured best rate by a factor of "
            f"{2**score.median_error_log2:.3g} (median) and {2**score.quantile90_log2:.3g} (90th percentile), "
            f"by {score.source}"
        )
    elif name in beyond:
        why += "; extrapolated far beyond where its errors were recorded, so how sure it is cannot be told"
    elif name not in _COMPUTED:
        why += "; its errors are on no record here, so it carries no interval" + (
            " but that of alpha" if chosen.factor_interval else ""
        )
    return Recommendation(
        name, chosen.factor, chosen.value, chosen.interval, chosen.n, why, chosen.factor_interval, chosen.covers
    )


def _whole(what: str, value: float) -> int:
    if not float(value).is_integer():
        raise InputError(f"{what} must be a whole number; {value} came", value=value)
    return int(value)
