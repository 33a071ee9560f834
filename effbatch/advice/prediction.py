"""One noise level and batch size -> every law's learning rate, the recommended one, and what else the noise costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from effbatch.advice.alpha_interval import Alphas
from effbatch.advice.evidence import LawScore
from effbatch.advice.law_answers import LINEARISED, PROBE, LawPrediction, answers_to, silent
from effbatch.advice.noise import Noise
from effbatch.advice.question import Anchor, Question, asked, gathered
from effbatch.advice.recommendation import Recommendation, recommend
from effbatch.core.errors import InputError
from effbatch.core.estimate import Estimate, Interval
from effbatch.core.jsonable import jsonable
from effbatch.core.pages import Shown
from effbatch.laws.base import Setting
from effbatch.noise import Labels, MatrixNoise, UniformNoise
from effbatch.plan.recipe import Recipe
from effbatch.theory.detection import clean_labels_factor

_TO_ADVISE = "has moved to advise, which takes a network and data: effbatch.advise(network, data, steps=T)"
KEPT = ("batch_size", "num_classes", "optimizer", "schedule", "steps", "examples", "anchor")  # where nothing is known
MOVED = dict.fromkeys(("spectra", "short_runs", "network", "dataset", "probe"), _TO_ADVISE)


@dataclass(frozen=True, eq=False)
class Prediction(Shown):
    """The answer of `predict`; see `to_dict` for its keys."""

    question: Question
    learning_rate: Mapping[str, LawPrediction]
    recommended: Recommendation

    @property
    def setting(self) -> Setting:
        """α, B, number of classes, optimizer, schedule and budget."""
        return self.question.setting

    @property
    def anchor(self) -> Anchor | None:
        """The tuned rate that others are carried from."""
        return self.question.anchor

    @property
    def labels(self) -> Labels:
        """What labels of this noise tell: signal, noise rate, loss floor, classes that cannot be learned."""
        return self.question.labels

    @property
    def alpha_interval(self) -> Interval | None:
        """The limits of α; None where it is exact."""
        return self.question.alpha.interval

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

    @property
    def intervals(self) -> dict[str, Any] | None:
        """The ranges over the interval of α of the numbers that depend on α and no law, by the keys of `to_dict`."""
        if self.alpha_interval is None:
            return None
        everywhere = [_consequences(labels, self.setting.batch_size) for labels in self.question.labels_in]
        return _spans(everywhere, self.question.alphas)

    @property
    def noise(self) -> dict[str, Any]:
        """The kind of noise and what it leaves to be learned, the same keys for every kind."""
        labels, asked_for = self.labels, self.question.noise
        facts = {
            "kind": asked_for.name,
            "delta": asked_for.delta,
            "effective_alpha": float(labels.effective_alpha),
            "least_signal": float(labels.least_signal),
            "unlearnable": list(labels.unlearnable),
            "reason": None,
        }
        if isinstance(labels, MatrixNoise):
            facts["reason"] = (
                "laws, effective and restoring batch are for uniform noise and taken at effective_alpha = 1/signal − "
                "1, signal the root-mean-square singular value of the centred transition matrix; clean_labels_factor "
                "is null, as it depends on which classes are confused"
            )
        return facts

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
                "accuracy": None,
                "intervals": self.intervals,
                "alpha_how": self.question.alpha.how,
            }
        )

    __repr__ = Shown.__str__


@dataclass(frozen=True)
class Unanswered(Shown):
    """The answer of `predict` where no α is known: its keys, with every number null, and why."""

    num_classes: float
    alpha: Estimate
    reason: str
    batch_size: int
    recipe: Recipe
    anchor: Anchor | None = None

    def to_dict(self) -> dict[str, Any]:
        """As `Prediction.to_dict`, its numbers unknown."""
        usual = predict(0, self.batch_size, num_classes=int(self.num_classes), recipe=self.recipe, anchor=self.anchor)
        keys = usual.to_dict()
        unknown = {key: value if key in KEPT else _unknown(value, self.reason) for key, value in keys.items()}
        unknown["recommended"] |= {"law": None, "why": self.reason}
        return unknown | {"alpha_interval": self.alpha.interval, "alpha_how": None, "reason": self.reason}


def predict(
    alpha: float | Estimate | None = None,
    batch_size: int | None = None,
    *,
    num_classes: int | None = None,
    noise: str | Noise = "uniform",
    recipe: Recipe | None = None,
    anchor: Anchor | None = None,
    parameters: Mapping[str, Mapping[str, float]] | None = None,
    evidence: Mapping[str, LawScore] | None = None,
    **given: Any,
) -> Prediction:
    """What every law says about training with α noisy labels per clean one, in batches of B.

    With an anchor, rates are factor × its rate; without, factors are relative to clean labels at the same batch size.
    Recipe, classes and kind of noise are those of the anchor. A network and data are for `advise`.

    alpha        noisy labels per clean one, or an `Estimate`: its interval gives every number a range; None where
                 the noise says how many labels are wrong
    num_classes  K; without it that of a matrix, else 10
    noise        a kind of noise, or all that is known of it (`Noise`). Laws are for uniform noise: others enter by the
                 effective α of their root-mean-square signal (`MatrixNoise.effective_alpha`), as each reason says
    recipe       optimiser, schedule and budget
    parameters   gives laws what they lack, as {"noise_scale": {"clean_noise_scale": 40.0}}
    evidence     recorded errors by law, and so intervals; by default those that effbatch itself recorded with this
                 optimizer, at a constant rate; {} for none
    given        fields of `Noise` and `Recipe` one by one: delta, matrix, transition, noise_rate, alpha_interval, ...,
                 optimizer, schedule, steps, examples, ...
    Raises InputError for values out of range, names not known, and labels without any signal.

    >>> effbatch.predict(3, 128).recommended.factor
    0.5
    >>> effbatch.predict(3, 128, optimizer="adam", anchor=effbatch.Anchor(0.001, 64)).recommended.law
    'adaptive'
    """
    noise, recipe = gathered(noise, recipe, {"alpha": alpha, "batch_size": batch_size, **given}, moved=MOVED)
    if not noise.sources:
        raise InputError(
            "a prediction needs alpha, got none: give alpha, noise_rate, checked and wrong, counts or transition"
        )
    question = asked(noise, recipe, num_classes=num_classes, anchor=anchor, parameters=parameters, evidence=evidence)
    return answered(question)


def answered(question: Question, theory: Mapping[str, LawPrediction] | None = None) -> Prediction:
    """The answers of all laws, with that of a theory of the network by its name, and the one recommended."""
    reason = "computes the rate of a network: ask `effbatch advise NETWORK DATA`"
    computed = {"linearised": silent(reason, LINEARISED), "probe": silent(reason, PROBE)}
    said = {**answers_to(question), **computed, **(theory or {})}
    return Prediction(question, said, recommend(question, said))


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


def _unknown(value: Any, reason: str) -> Any:
    """The same keys without numbers."""
    if isinstance(value, Mapping):
        changed = {"applies": False, "reason": reason}
        return {key: changed.get(key, _unknown(inner, reason)) for key, inner in value.items()}
    if isinstance(value, str | bool):
        return value
    return [] if isinstance(value, list) else None
