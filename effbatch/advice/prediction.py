"""One noise level and batch size -> every law's learning rate, the recommended one, and what else the noise costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from effbatch import laws
from effbatch.advice.alpha_interval import Alphas, Interval, alphas_in, times
from effbatch.advice.evidence import recorded, same_cells
from effbatch.advice.first_principles import FirstPrinciples
from effbatch.advice.law_answers import (
    SHORT_RUNS,
    Accuracy,
    Anchor,
    LawPrediction,
    LawScore,
    Recommendation,
)
from effbatch.advice.noise_family import effective_alpha, noise_family, num_classes_of
from effbatch.advice.recommendation import COMPUTED, recommend
from effbatch.core.errors import InputError
from effbatch.core.jsonable import jsonable
from effbatch.laws.base import Law, Setting, with_parameters
from effbatch.noise import Labels, MatrixNoise, UniformNoise
from effbatch.noise.transition import checked_matrix
from effbatch.show import notebook
from effbatch.theory.detection import clean_labels_factor

if TYPE_CHECKING:
    from effbatch.core.figures import Figure
    from effbatch.probe.rule import Refinement
    from effbatch.theory.dynamics import Spectrum


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

    def to_figures(self) -> list[Figure]:
        """What every law says here, with intervals; `effbatch.plot` draws it."""
        from effbatch.advice.prediction_figures import laws_figure

        return [laws_figure(self)]

    def _repr_html_(self) -> str:
        """What a notebook shows: the recommendation and why, and every law that applies."""
        s, chosen = self.setting, self.recommended
        rate = (
            f"learning rate {notebook.interval(chosen.value, chosen.interval)}"
            if chosen.value is not None
            else f"{notebook.interval(chosen.factor, chosen.factor_interval)} × the rate best on clean labels"
        )
        rows = [
            (name, notebook.interval(law.factor, law.factor_interval), notebook.interval(law.value, law.interval))
            for name, law in self.learning_rate.items()
            if law.applies
        ]
        return notebook.block(
            notebook.heading(f"α = {s.alpha:.3g}, B = {s.batch_size}: {rate}"),
            notebook.sentences([f"Law {chosen.law}: {chosen.why}."]),
            notebook.table(("law", "factor", "learning rate"), rows),
        )

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
    evidence        recorded errors by law, and so intervals; by default those that effbatch itself recorded with this
                    optimizer, at a constant rate; {} for none
    Raises InputError for values out of range, names not known, and labels without any signal.
    """
    matrix = None if matrix is None else checked_matrix(matrix)
    setting = Setting(
        float(alpha),
        _whole("the batch size", batch_size),
        _whole("the number of classes", num_classes_of(num_classes, matrix, spectra)),
        optimizer,
        schedule,
        None if steps is None else _whole("the number of steps", steps),
        None if examples is None else _whole("the number of examples", examples),
    )
    if spectra and setting.copies is None:
        raise InputError("first principles need a budget, and none came: give steps or examples")
    labels_at = noise_family(noise, delta, order, matrix, setting.num_classes)
    alphas = alphas_in(setting.alpha, alpha_interval)
    everywhere = [labels_at(a) for a in alphas.tried]
    alphas = replace(alphas, tried=np.array([effective_alpha(labels) for labels in everywhere]))
    labels, here = everywhere[0], replace(setting, alpha=float(alphas.tried[0]))
    at_anchor = labels_at(0.0 if anchor is None else anchor.alpha)
    origin, rate = replace(setting, alpha=effective_alpha(at_anchor)), None
    if anchor is not None:
        origin, rate = replace(origin, batch_size=anchor.batch_size), anchor.learning_rate

    known = dict(laws.LAWS)
    for name, values in (parameters or {}).items():
        known[name] = with_parameters(laws.get(name), **values)
    rivals: Mapping[str, LawScore] = {}
    if evidence is None:
        evidence = {}
        if schedule == "constant" and noise == "uniform" and matrix is None:
            evidence, rivals = recorded(optimizer), same_cells() if optimizer == "sgd" else {}
    for name in evidence:
        if name not in COMPUTED:
            laws.get(name)
    scores, rivals = (
        {name: score for name, score in on_record.items() if score.covers(setting.alpha, setting.batch_size)}
        for on_record in (evidence, rivals)
    )
    unmoved = here == origin and bool((alphas.tried == origin.alpha).all())
    if unmoved:  # a rate carried nowhere has no error of that
        scores = {name: score for name, score in scores.items() if name in COMPUTED}
    said = {name: _ask(law, here, origin, rate, alphas, scores.get(name)) for name, law in known.items()}
    theory = FirstPrinciples(spectra, here, alphas.at_ends(everywhere), alphas, momentum)
    said["linearised"] = _widened(
        theory.learning_rate(origin, rate, at_anchor), scores.get("linearised") if alphas.bounded else None
    )
    said["short_runs"] = _widened(_short_runs(short_runs, setting, labels), scores.get("short_runs"))
    if isinstance(labels, MatrixNoise):
        note = f"made for uniform noise; here at the effective alpha {here.alpha:.3g}"
        said = {
            name: replace(law, reason=f"{law.reason}; {note}") if law.applies and name in known else law
            for name, law in said.items()
        }
    beyond = evidence.keys() - scores.keys()
    recommended = recommend(
        setting, said, scores, beyond=beyond, rivals=rivals, anchored=anchor is not None, unmoved=unmoved
    )
    return Prediction(
        setting,
        anchor,
        labels,
        _noise_facts(noise if matrix is None else "matrix", delta, labels),
        said,
        recommended,
        theory.accuracy(recommended.value) if spectra else None,
        alpha_interval,
        None if alpha_interval is None else _spans([_consequences(x, setting.batch_size) for x in everywhere], alphas),
    )


def _noise_facts(kind: str, delta: float | None, labels: Labels) -> dict[str, Any]:
    """What JSON says of the noise, the same keys for every kind."""
    facts = {
        "kind": kind,
        "delta": delta,
        "effective_alpha": float(labels.effective_alpha),
        "least_signal": float(labels.least_signal),
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
        None if rate is None else times(factors, rate),
        n,
        *applies,
        law.formula,
        law.reference,
        factors,
        " and ".join(covers) or None,
    )


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


def _whole(what: str, value: float) -> int:
    if not (isinstance(value, int) or float(value).is_integer()):  # a whole number may be too large for a float
        raise InputError(f"{what} must be a whole number; {value} came", value=value)
    return int(value)
