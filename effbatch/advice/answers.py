"""What `advise` answers with: numbers as data, as text, as a notebook shows them, and as figures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from effbatch.advice.first_principles import steps_of
from effbatch.advice.knowledge import Audit, KnownAlpha
from effbatch.advice.labels_pay import LabelsWorth
from effbatch.advice.law_answers import LawScore
from effbatch.advice.prediction import Prediction
from effbatch.core.jsonable import jsonable

if TYPE_CHECKING:
    from effbatch.core.figures import Figure


@dataclass(frozen=True)
class Curve:
    """Accuracy against learning rate at the advised batch size, by the linearised theory: median over initialisations.

    accuracy  one row per α, one column per learning rate
    """

    alphas: Sequence[float]
    learning_rates: Sequence[float]
    accuracy: Sequence[Sequence[float]]


@dataclass(frozen=True)
class Probe:
    """What short real runs add: recorded errors in powers of two of the learning rate, without and with them."""

    without: LawScore
    with_probe: LawScore
    done: bool


@dataclass(frozen=True)
class Advice:
    """Batch size and learning rate for a network, its data and a budget; `str` and notebooks show it as a page.

    chosen       the prediction at the advised batch size, see `prediction.Prediction`; `predictions` has all of them
    as_good      batch sizes with a predicted accuracy within one point of the best one's
    why          why this batch size
    labels       whether more labels or cleaner labels pay more
    audits       what checking labels by hand would narrow α to; empty where α is exact
    passes       how often each training image would be used
    limits       where the answer may not hold, sentences
    snippet      PyTorch that uses it; `train_set` and `network` are the user's
    """

    network: str
    data: str
    alpha: KnownAlpha
    predictions: tuple[Prediction, ...]
    chosen: Prediction
    as_good: tuple[int, ...]
    why: str
    labels: LabelsWorth
    audits: tuple[Audit, ...]
    probe: Probe
    curve: Curve | None
    passes: float
    limits: tuple[str, ...]
    snippet: str

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
        return steps_of(self.chosen.setting)

    @property
    def accuracy(self) -> float | None:
        """Test accuracy to expect, 0 to 1; None outside the theory."""
        return None if self.chosen.accuracy is None else self.chosen.accuracy.value

    def to_dict(self) -> dict[str, Any]:
        """The advice as JSON holds it: numbers or null, and sentences."""
        return jsonable(
            {
                "network": self.network,
                "data": self.data,
                "alpha": asdict(self.alpha),
                "optimizer": self.chosen.setting.optimizer,
                "steps": self.steps,
                "passes": self.passes,
                "batch_size": self.batch_size,
                "learning_rate": asdict(self.chosen.recommended),
                "accuracy": asdict(self.chosen.accuracy) if self.chosen.accuracy else None,
                "why": self.why,
                "as_good": self.as_good,
                "batch_sizes": [
                    {
                        "batch_size": p.setting.batch_size,
                        "steps": steps_of(p.setting),
                        "learning_rate": asdict(p.recommended),
                        "accuracy": asdict(p.accuracy) if p.accuracy else None,
                    }
                    for p in self.predictions
                ],
                "labels": {**jsonable(self.labels), "elasticities": self.labels.elasticities._asdict()},
                "audits": self.audits,
                "probe": asdict(self.probe),
                "curve": None if self.curve is None else asdict(self.curve),
                "limits": self.limits,
                "snippet": self.snippet,
            }
        )

    def to_figures(self) -> list[Figure]:
        """What each batch size, learning rate and kind of label would give; `effbatch.plot` draws them."""
        from effbatch.advice.figures import figures_of

        return figures_of(self)

    def __str__(self) -> str:
        from effbatch.advice.page import as_text

        return as_text(self)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        from effbatch.advice.page import as_html

        return as_html(self)
