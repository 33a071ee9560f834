"""An accuracy and α -> what twice the labels, or relabelling some of them, would add to d′ and to accuracy.

In the linear regime d = κ √(n_clean/(1 + α)) = κ √n λ with n labels in all and λ = 1/(1 + α) (`detection`). So m times
as many labels of the same quality make d √m times as large, and relabelling a random share s of them rightly, which
takes λ to λ′ = λ + s (1 − λ), makes it λ′/λ times as large. The two are worth the same at s = (√m − 1)/α. For noise
that is not uniform α is the effective one. The accuracy tells d, and d tells the accuracy after the change.

Real networks gain less from more of the same: where short runs have shown that d grows as the power g < ½ of the labels
seen, a change is taken to make d larger by the power 2g of its linear factor.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import inf, sqrt

import numpy as np

from effbatch.core.estimate import Estimate, exact
from effbatch.noise import Labels
from effbatch.theory.detection import Elasticities, accuracy, d_prime, elasticities

MORE = 2  # times as many labels
RELABELLED = 0.1  # share of the labels
LINEAR = exact(0.5)  # the power of the labels seen that d grows by in the linear regime


@dataclass(frozen=True)
class Change:
    """One way to change the labels: the α and steps it leads to, and what it gains.

    d_factor  d after it over d before, exact in the linear regime
    gain      in accuracy, A_K(d · d_factor^2g) − A_K(d); None where the accuracy on clean labels is not known
    """

    alpha: float
    steps: int
    d_factor: float
    gain: Estimate


@dataclass(frozen=True)
class LabelsWorth:
    """Whether more labels or cleaner labels pay more.

    elasticities  relative change of d for one of the clean, and one of the noisy labels (`detection.elasticities`)
    more          twice the labels of the same quality, each used as often, so twice the steps
    cleaner       a tenth of the labels, drawn at random, relabelled rightly; the budget stays
    equal_share   relabelling this share gains d as much as twice the labels do; None where no share does
    growth        the power g of the labels seen that d grows by: ½ in the linear regime, else as short runs showed
    """

    elasticities: Elasticities
    more: Change
    cleaner: Change
    equal_share: float | None
    growth: Estimate


def labels_worth(reached: Estimate, labels: Labels, steps: int, power: Estimate = LINEAR) -> LabelsWorth:
    """See `LabelsWorth`; `reached` is the accuracy on clean labels, `power` is g."""
    alpha, share = float(labels.effective_alpha), 1 / (1 + labels.alpha)
    cleaner = replace(labels, alpha=1 / (share + RELABELLED * (1 - share)) - 1)
    cleaner_alpha = float(cleaner.effective_alpha)
    equal = (sqrt(MORE) - 1) / alpha if alpha > 0 else inf

    def change(a: float, t: int, factor: float) -> Change:
        return Change(a, t, factor, _gain(reached, factor, power, labels.num_classes))

    return LabelsWorth(
        elasticities(alpha),
        change(alpha, MORE * steps, sqrt(MORE)),
        change(cleaner_alpha, steps, (1 + alpha) / (1 + cleaner_alpha)),
        equal if equal <= 1 else None,
        power,
    )


def _gain(reached: Estimate, factor: float, power: Estimate, num_classes: int) -> Estimate:
    """What d · factor^2g adds to an accuracy; its limits are least and greatest over those of the accuracy and of g."""
    if reached.value is None:
        return reached
    known = [a for a in (reached.value, reached.low, reached.high) if a is not None]
    powers = np.array([g for g in (power.value, power.low, power.high) if g is not None])[:, None]
    d = np.maximum(d_prime(np.clip(known, 1 / num_classes, 1 - 1e-9), num_classes), 0)
    gains = (accuracy(d * factor ** (2 * powers), num_classes) - accuracy(d, num_classes)).ravel().round(6)
    bounded = len(known) == 3
    low, high = (float(gains.min()), float(gains.max())) if bounded else (None, None)
    return replace(reached, value=float(gains[0]), low=low, high=high, level=reached.level if bounded else None)
