"""α and a budget -> what twice the labels, or relabelling some of them, would add to d′ and to accuracy.

In the linear regime d = κ √(n_clean/(1 + α)) = κ √n λ with n labels in all and λ = 1/(1 + α) (`detection`). So m times
as many labels of the same quality make d √m times as large, and relabelling a random share s of them rightly, which
takes λ to λ′ = λ + s (1 − λ), makes it λ′/λ times as large. The two are worth the same at s = (√m − 1)/α. For noise
that is not uniform α is the effective one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import sqrt

import numpy as np

from effbatch.advice.untrained import Linearised, over_initialisations
from effbatch.core.estimate import Estimate
from effbatch.noise import Labels
from effbatch.theory.detection import Elasticities, elasticities

MORE = 2  # times as many labels
RELABELLED = 0.1  # share of the labels


@dataclass(frozen=True)
class Change:
    """One way to change the labels: the α and steps it leads to, and what it gains.

    d_factor  d after it over d before, exact in the linear regime
    gain      in accuracy, each at its own best rate: median over initialisations of the linearised theory, least to
              greatest; None outside of it
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
    """

    elasticities: Elasticities
    more: Change
    cleaner: Change
    equal_share: float | None


def labels_worth(theory: Linearised, labels: Labels, batch_size: int, *, reason: str | None) -> LabelsWorth:
    """See `LabelsWorth`; with a `reason` why the linearised theory does not hold, the gains in accuracy are None."""
    steps, alpha, share = theory.steps(batch_size), float(labels.effective_alpha), 1 / (1 + labels.alpha)
    cleaner = replace(labels, alpha=1 / (share + RELABELLED * (1 - share)) - 1)
    longer = replace(theory, recipe=replace(theory.recipe, steps=MORE * steps, examples=None))

    def gain(then: Linearised, labels_then: Labels) -> Estimate:
        if reason is not None:
            return Estimate(None, n=len(theory.spectra), reason=reason)
        found = _accuracies(then, labels_then, batch_size) - now
        if not np.isfinite(found).all():
            return Estimate(None, n=len(found), reason="the theory finds no best rate here: it cannot tell")
        return over_initialisations(found[:, None])

    now = np.array([]) if reason is not None else _accuracies(theory, labels, batch_size)
    cleaner_alpha = float(cleaner.effective_alpha)
    equal = (sqrt(MORE) - 1) / alpha if alpha > 0 else np.inf
    return LabelsWorth(
        elasticities(alpha),
        Change(alpha, MORE * steps, sqrt(MORE), gain(longer, labels)),
        Change(cleaner_alpha, steps, (1 + alpha) / (1 + cleaner_alpha), gain(theory, cleaner)),
        equal if equal <= 1 else None,
    )


def _accuracies(theory: Linearised, labels: Labels, batch_size: int) -> np.ndarray:
    """Accuracy of every initialisation at its own best rate; NaN where it has none."""
    rates = theory.rates(batch_size, [labels])[:, 0]
    return np.array(
        [
            float(replace(theory, spectra=[spectrum]).accuracies(batch_size, [labels], rate).item())
            if np.isfinite(rate)
            else np.nan
            for spectrum, rate in zip(theory.spectra, rates, strict=True)
        ]
    )
