"""What `advise` answers with: batch size, learning rate and accuracy, what labels pay, and where it may not hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from effbatch.advice.evidence import LawScore
from effbatch.advice.labels_pay import LabelsWorth
from effbatch.advice.noise import Audit, KnownAlpha
from effbatch.advice.prediction import Prediction
from effbatch.advice.snippet import snippet
from effbatch.advice.untrained import HOW
from effbatch.core.jsonable import jsonable
from effbatch.core.pages import Shown
from effbatch.plan.recipe import steps_bought

LEVEL = 0.9  # of an interval that holds recorded errors
NO_PLATEAU = "plateau is null: it needs the accuracy of real runs at several rates"
NO_STOP = "stop_at is null: the theory draws labels afresh at every visit, and knows nothing of memorising"


@dataclass(frozen=True)
class Data:
    """The data set that advice was asked for, and how it was read."""

    name: str
    examples: int
    shape: tuple[int, ...]
    num_classes: int
    read_as: str


@dataclass(frozen=True)
class Curve:
    """Accuracy against learning rate at the advised batch size, by the linearised theory: median over initialisations.

    accuracy  one row per α, one column per learning rate
    """

    alphas: Sequence[float]
    learning_rates: Sequence[float]
    accuracy: Sequence[Sequence[float]]


@dataclass(frozen=True)
class ProbeRecord:
    """What a probe adds: recorded errors in powers of two of the learning rate, without and with it."""

    without: LawScore
    with_probe: LawScore
    done: bool


@dataclass(frozen=True)
class Cost:
    """What was trained for the answer: in runs of all steps at one batch size and one seed, and in seconds."""

    full_runs: float
    seconds: float


@dataclass(frozen=True, kw_only=True, eq=False)
class Advice(Shown):
    """Batch size and learning rate for a network, its data and a budget; `str` and notebooks show it as a page.

    labels_are   "clean": noise of α was computed on top; "noisy": α is what is in them
    majority     the share of the commonest class among the training labels: what answering it always reaches
    chosen       the prediction at the advised batch size, see `prediction.Prediction`; `predictions` has all of them
    as_good      batch sizes with a predicted accuracy within one point of the best one's
    why          why this batch size
    labels       whether more labels or cleaner labels pay more
    audits       what checking labels by hand would narrow α to; empty where α is exact
    passes       how often each training image would be used
    limits       where the answer may not hold, sentences
    """

    network: str
    data: Data
    labels_are: Literal["clean", "noisy"]
    majority: float
    predictions: tuple[Prediction, ...]
    chosen: Prediction
    as_good: tuple[int, ...]
    why: str
    labels: LabelsWorth
    audits: tuple[Audit, ...]
    probe: ProbeRecord
    cost: Cost
    curve: Curve | None
    passes: float
    limits: tuple[str, ...]

    @property
    def alpha(self) -> KnownAlpha:
        """α, its interval and where they come from."""
        return self.chosen.question.alpha

    @property
    def batch_size(self) -> int:
        """B, labelled copies per step."""
        return int(self.chosen.setting.batch_size)

    @property
    def learning_rate(self) -> float | None:
        """η of the mean loss; None where only a factor on a rate tuned with clean labels is known."""
        return self.chosen.recommended.value

    @property
    def steps(self) -> int:
        """T, optimiser steps."""
        return steps_of(self.chosen)

    @property
    def accuracy(self) -> float | None:
        """Test accuracy to expect, 0 to 1; None outside the theory."""
        return None if self.chosen.accuracy is None else self.chosen.accuracy.value

    @property
    def snippet(self) -> str:
        """PyTorch that uses the answer; `train_set` and `network` are the user's."""
        return snippet(self.chosen.question.recipe, self.chosen.recommended, self.steps)

    def to_dict(self) -> dict[str, Any]:
        """The advice as JSON holds it: numbers, null with a `reason`, and sentences."""
        recipe = self.chosen.question.recipe
        names = ("optimizer", "momentum", "nesterov", "schedule", "warmup", "weight_decay", "label_smoothing", "clip")
        return jsonable(
            {
                "network": self.network,
                "data": asdict(self.data),
                "labels": {
                    "are": self.labels_are,
                    "alpha": asdict(self.alpha),
                    "noise": self.chosen.noise,
                    "audits": self.audits,
                },
                "recipe": {
                    **{name: getattr(recipe, name) for name in names},
                    "momentum": recipe.momentum_used,
                    "steps": self.steps,
                    "batch_size": self.batch_size,
                    "as_good": self.as_good,
                    "passes": self.passes,
                    "why": self.why,
                },
                "learning_rate": _rate(self.chosen),
                "accuracy": self._accuracy(self.chosen),
                "stop_at": None,
                "reason": NO_STOP,
                "cost": asdict(self.cost),
                "batch_sizes": [
                    {
                        "batch_size": p.setting.batch_size,
                        "steps": steps_of(p),
                        "learning_rate": _rate(p),
                        "accuracy": self._accuracy(p),
                    }
                    for p in self.predictions
                ],
                "labels_pay": {**jsonable(self.labels), "elasticities": self.labels.elasticities._asdict()},
                "probe": asdict(self.probe),
                "curve": None if self.curve is None else asdict(self.curve),
                "limits": self.limits,
                "snippet": self.snippet,
            }
        )

    def _accuracy(self, prediction: Prediction) -> dict[str, Any] | None:
        if prediction.accuracy is None:
            return None
        how = {"of": f"{self.labels_are} labels", "majority": self.majority, "how": HOW}
        return prediction.accuracy.to_json() | how

    __repr__ = Shown.__str__


def steps_of(prediction: Prediction) -> int:
    """T at the batch size of a prediction that has a budget."""
    return steps_bought(prediction.question.recipe.budget, prediction.setting.batch_size)


def _rate(prediction: Prediction) -> Mapping[str, Any]:
    """The recommended rate as JSON holds it."""
    chosen = asdict(prediction.recommended)
    recorded = chosen["interval"] is not None and chosen["law"] in prediction.question.scores
    reason = NO_PLATEAU
    if chosen["value"] is None:
        reason = f"value is null: only the factor on the rate best with clean labels is known; {reason}"
    return {
        **{key: chosen.pop(key) for key in ("value", "interval")},
        "level": LEVEL if recorded else None,
        "plateau": None,
        **chosen,
        "reason": reason,
    }
