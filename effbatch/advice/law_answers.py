"""What `predict` is given and answers with: anchors, records of errors, and one answer per law."""

from __future__ import annotations

from dataclasses import dataclass

from effbatch.advice.alpha_interval import Interval
from effbatch.laws.base import SMALLEST, in_range

# Formula and reference of `first_principles`, told also where it was not asked
LINEARISED = (
    "η = min(argmax of the linearised accuracy, 4/(h_1 + K trθ/B))",
    "Bordelon & Pehlevan 2022, arXiv 2106.02713; label noise: the effbatch developers 2026, this package",
)


SHORT_RUNS = (
    "peaks of real runs of T/16, T/4 and T/2 steps, each carried to T by f^((1−λ²)/2)",
    "the effbatch developers 2026, this package; stages: Jamieson & Talwalkar 2016, arXiv 1502.07943",
)


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
    """How well a law predicted best rates it had not seen: |log2(predicted/measured)| over n cells.

    alpha, batch_size   least and greatest at which it was tried
    interval_log2       95 % interval of the median
    """

    median_error_log2: float
    quantile90_log2: float
    n: int
    source: str
    alpha: tuple[float, float] = (0.0, float("inf"))
    batch_size: tuple[float, float] = (0.0, float("inf"))
    interval_log2: tuple[float, float] | None = None

    def covers(self, alpha: float, batch_size: float) -> bool:
        """Whether 1 + α and B lie where the errors were recorded, or within a factor of two of that."""
        return all(
            low / 2 <= value <= 2 * high
            for value, low, high in (
                (1 + alpha, 1 + self.alpha[0], 1 + self.alpha[1]),
                (batch_size, *self.batch_size),
            )
        )

    def __post_init__(self) -> None:
        in_range("the median error", self.median_error_log2, "powers of two", least=0, most=60)
        in_range("the 90th percentile of the error", self.quantile90_log2, "powers of two", least=0, most=60)
        in_range("n", self.n, "cells compared", least=1)


@dataclass(frozen=True)
class LawPrediction:
    """What one law says; numbers are None, and `reason` tells why, where it does not apply.

    factor           η/η_anchor, exact given the law; without an anchor, relative to clean labels at the same B; None
                     where the law gives the rate alone
    factor_interval  its range over what `covers` names: the interval of α, recorded errors of the law
    value            η = factor × anchor rate; without an anchor None, or from first principles the rate itself
    interval         the same range for the value; None where nothing is known of its uncertainty. A limit that is
                     None does not exist
    n                cells of the record, or initialisations, behind the interval
    """

    factor: float | None
    value: float | None
    interval: Interval | None
    n: int | None
    applies: bool
    reason: str
    formula: str
    reference: str
    factor_interval: Interval | None = None
    covers: str | None = None


@dataclass(frozen=True)
class Recommendation:
    """The law chosen for the optimizer, its numbers (see `LawPrediction`), and why in one sentence."""

    law: str
    factor: float | None
    value: float | None
    interval: Interval | None
    n: int | None
    why: str
    factor_interval: Interval | None = None
    covers: str | None = None


@dataclass(frozen=True)
class Accuracy:
    """Test accuracy computed before training, at the recommended rate; `n` counts training runs, so it is None.

    interval         least to greatest over initialisations, and over the interval of α where there is one
    initialisations  untrained networks that it was computed from
    """

    value: float | None
    interval: Interval | None
    n: None
    initialisations: int
    how: str
    reason: str | None
