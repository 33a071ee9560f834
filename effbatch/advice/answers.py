"""What `advise` answers with: rate, plateau and accuracy at each batch size, what labels pay, and what it cost."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

from effbatch.advice.snippet import snippet
from effbatch.core.estimate import Estimate, Interval
from effbatch.core.jsonable import jsonable
from effbatch.core.pages import Shown
from effbatch.plan.practice import Departure, departure
from effbatch.plan.recipe import Recipe
from effbatch.probe.rule import Probe
from effbatch.probe.stages import Stage

if TYPE_CHECKING:
    from effbatch.advice.labels_pay import LabelsWorth
    from effbatch.advice.noise import Audit, KnownAlpha, NoAlpha

NO_RUNS = "plateau and stop_at are null: they need real runs, and nothing was trained"
BY_THEORY = "of the {} at this rate after all steps, on a held-out part of the training data"
BY_RUNS = "at the end of all steps at this rate, from {} real runs, on a held-out part of the training data"
BY = {"as given": "held-out labels as given", "checked": "right labels of the checked examples"}  # runs were scored
BY_CHECKED = "at the end of all steps at this rate, from {} real runs, on the examples checked by hand"


@dataclass(frozen=True)
class Data:
    """The data set that advice was asked for, and how it was read."""

    name: str
    examples: int
    shape: tuple[int, ...]
    num_classes: int
    read_as: str


@dataclass(frozen=True, kw_only=True, eq=False)
class LabelsAsked:
    """The labels: "clean", and noise of α was simulated on top, or "noisy", and α is what is in them.

    noise     kind of noise and what it leaves to be learned, see `Prediction.noise`
    majority  the share of the commonest class: what answering it always reaches
    audits    what checking labels by hand would narrow α to; empty where α is exact
    scored    by which labels runs are scored: those "as given", or those "checked" by hand where they are enough
    """

    are: Literal["clean", "noisy"]
    alpha: KnownAlpha | NoAlpha
    noise: dict[str, Any]
    majority: float
    audits: tuple[Audit, ...]
    scored: Literal["as given", "checked"] = "as given"


@dataclass(frozen=True)
class Cost:
    """What was trained for the answer: in runs of all steps at one batch size and one seed, and in seconds."""

    full_runs: float
    seconds: float


@dataclass(frozen=True)
class Behind:
    """What a rate and its accuracy come from: short runs, seeds of the longest of them, labels that scored them.

    labels  None where no run learned anything, so that there is no accuracy
    """

    runs: int
    seeds: int
    labels: int | None


@dataclass(frozen=True, kw_only=True, eq=False)
class Answer:
    """What is best at one batch size.

    learning_rate  η of the mean loss, from the `probe` or a law; None where only a factor or nothing is known
    factor         on the rate best with clean labels, where a law knows no more than that
    plateau        a rate between costs about one point of accuracy at most, on average, the error of the rate included
    accuracy       at that rate after all steps; `of` which labels
    as_scored      the same on the labels as given, where `accuracy` was converted from it
    law, why       what the rate is from, "probe" above all; no law where no α is known
    stop_at        the step at which an earlier end is better by more than the noise
    carried        no run was made here: the rate is that of the chosen batch size, carried by the law
    """

    batch_size: int
    steps: int
    learning_rate: Estimate
    factor: Estimate | None = None
    plateau: Interval | None = None
    accuracy: Estimate
    of: Literal["clean labels", "noisy labels"]
    as_scored: Estimate | None = None
    law: str | None
    why: str
    stop_at: int | None = None
    probe: Probe | None = None
    carried: bool = False

    @property
    def runs(self) -> Behind | None:
        """The runs at this batch size; None where none was made."""
        if self.probe is None:
            return None
        rate, accuracy = self.probe.learning_rate, self.probe.accuracy
        labels = None if accuracy.value is None else accuracy.n
        return Behind(rate.n or 0, len(self.probe.stages[-1].seeds), labels)

    def stage_with(self, rate: float) -> Stage | None:
        """The longest runs that tried rates on both sides of `rate`, and can compare it; None where none did."""
        best, stages = self.learning_rate.value, self.probe.stages if self.probe else ()
        tried = [
            one
            for one in stages
            if best is not None
            and one.nearest(rate) == rate
            and (rate == best or one.nearest(best) != rate)  # at the end next to the best there is nothing to compare
        ]
        return max(tried, key=lambda one: (one.fraction, len(one.seeds)), default=None)


@dataclass(frozen=True, kw_only=True, eq=False)
class Advice(Shown):
    """Learning rate and batch size for a network, its data and a recipe; `str` and notebooks show it as a page.

    recipe    with the advised batch size
    answers   one for each batch size asked for, the chosen one among them
    others    further batch sizes, to which the law carries the chosen one's rate
    as_good   batch sizes with an accuracy within one point of the best one's
    why       why this batch size
    pay       what more labels or cleaner labels would add; None where no α is known
    yours     a rate of the user's own, and the accuracy that it lost in short runs; None where none was asked about
    passes    how often each training example would be used
    limits    where the answer may not hold, sentences
    """

    network: str
    data: Data
    labels: LabelsAsked
    recipe: Recipe
    answers: tuple[Answer, ...]
    others: tuple[Answer, ...]
    chosen: Answer
    as_good: tuple[int, ...]
    why: str
    pay: LabelsWorth | None
    yours: tuple[float, Estimate] | None
    cost: Cost
    passes: float
    limits: tuple[str, ...]

    @property
    def alpha(self) -> KnownAlpha | NoAlpha:
        """α, its interval and where they come from."""
        return self.labels.alpha

    @property
    def batch_size(self) -> int:
        """B, labelled copies per step."""
        return self.chosen.batch_size

    @property
    def learning_rate(self) -> float | None:
        """η of the mean loss; its interval is that of `chosen.learning_rate`."""
        return self.chosen.learning_rate.value

    @property
    def steps(self) -> int:
        """T, optimiser steps."""
        return self.chosen.steps

    @property
    def accuracy(self) -> float | None:
        """Accuracy to expect, 0 to 1; its interval is that of `chosen.accuracy`."""
        return self.chosen.accuracy.value

    @property
    def practice(self) -> Departure | None:
        """How far the rate is from those that people use with this optimiser; None where none is published."""
        return departure(self.recipe, self.learning_rate)

    @property
    def snippet(self) -> str:
        """PyTorch that uses the answer; `train_set` and `network` are the user's."""
        factor = None if self.chosen.factor is None else self.chosen.factor.value
        return snippet(self.recipe, self.learning_rate, self.steps, factor=factor)

    def to_dict(self) -> dict[str, Any]:
        """The advice as JSON holds it: numbers, null with a `reason`, and sentences."""
        recipe = {name: value for name, value in asdict(self.recipe).items() if name not in ("examples", "epochs")}
        chosen = self._numbers(self.chosen)
        del chosen["batch_size"], chosen["steps"], chosen["carried"], chosen["stages"]
        pay = None if self.pay is None else {**jsonable(self.pay), "elasticities": self.pay.elasticities._asdict()}
        yours = None if self.yours is None else self._yours(*self.yours)
        return jsonable(
            {
                "network": self.network,
                "data": self.data,
                "labels": {name: value for name, value in vars(self.labels).items() if name != "majority"},
                "recipe": {
                    **recipe,
                    "momentum": self.recipe.momentum_used,
                    "steps": self.steps,
                    "as_good": self.as_good,
                    "passes": self.passes,
                    "why": self.why,
                },
                **chosen,
                "cost": self.cost,
                "batch_sizes": [self._numbers(answer) for answer in (*self.answers, *self.others)],
                "labels_pay": pay,
                "rate": yours,
                "practice": self.practice,
                "limits": self.limits,
                "snippet": self.snippet,
            }
        )

    def _yours(self, rate: float, lost: Estimate) -> dict[str, Any]:
        """A rate of the user's own, what it lost, and in runs of how many steps."""
        stage = self.chosen.stage_with(rate)
        return {"value": rate, "costs": lost, "steps": None if stage is None else stage.steps}

    def _numbers(self, answer: Answer) -> dict[str, Any]:
        """One batch size as JSON holds it."""
        runs = answer.probe is not None
        rate, accuracy = answer.learning_rate.to_json(), answer.accuracy.to_json()
        rate |= {"plateau": answer.plateau, "factor": answer.factor, "law": answer.law, "why": answer.why}
        moving = answer.law == "moving_kernel"
        by_theory = BY_THEORY.format("network whose kernel moves" if moving else "linearised network")
        by_runs = BY_CHECKED if self.labels.scored == "checked" else BY_RUNS
        how = by_theory if answer.probe is None else by_runs.format(answer.probe.kind)
        accuracy |= {"of": answer.of, "majority": self.labels.majority, "how": how}
        names = ("fraction", "steps", "learning_rates", "seeds")
        stages = [
            {name: getattr(one, name) for name in names}
            | {"accuracy": one.accuracy.tolist(), "loss": one.loss.tolist()}
            for one in (answer.probe.stages if answer.probe else ())
        ]
        return {
            "batch_size": answer.batch_size,
            "steps": answer.steps,
            "learning_rate": rate,
            "accuracy": accuracy | {"as_scored": answer.as_scored},
            "stop_at": answer.stop_at,
            "reason": None if runs else NO_RUNS,
            "carried": answer.carried,
            "runs": answer.runs,
            "stages": stages or None,
        }

    __repr__ = Shown.__str__
