"""α and a budget -> what twice the labels, or relabelling some of them, would add to d′ and to accuracy.

In the linear regime d = κ √(n_clean/(1 + α)) = κ √n λ with n labels in all and λ = 1/(1 + α) (`detection`). So m times
as many labels of the same quality make d √m times as large, and relabelling a random share s of them rightly, which
takes λ to λ′ = λ + s (1 − λ), makes it λ′/λ times as large. The two are worth the same at s = (√m − 1)/α.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

import numpy as np

from effbatch.core.estimate import Estimate
from effbatch.theory.detection import Elasticities, elasticities
from effbatch.theory.dynamics import Spectrum, best_learning_rate, learning_curve

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


def labels_worth(
    spectra: Sequence[Spectrum], alpha: float, batch_size: int, steps: int, *, momentum: float = 0.0, reason: str | None
) -> LabelsWorth:
    """See `LabelsWorth`; with a `reason` why the linearised theory does not hold, the gains in accuracy are None."""
    signal = 1 / (1 + alpha)
    cleaner_signal = signal + RELABELLED * (1 - signal)
    cleaner_alpha = 1 / cleaner_signal - 1

    def accuracy(at: float, steps: int) -> np.ndarray:
        return np.array([_best_accuracy(spectrum, at, batch_size, steps, momentum) for spectrum in spectra])

    def gain(at: float, steps_then: int) -> Estimate:
        if reason is not None:
            return Estimate(None, n=len(spectra), reason=reason)
        found = accuracy(at, steps_then) - now
        if not np.isfinite(found).all():
            return Estimate(None, n=len(spectra), reason="the theory finds no best rate here: it cannot tell")
        if len(found) == 1:
            return Estimate(float(found[0]), n=1, reason="no interval: one initialisation has no spread")
        return Estimate(float(np.median(found)), float(found.min()), float(found.max()), n=len(found))

    now = np.array([]) if reason is not None else accuracy(alpha, steps)
    equal = (sqrt(MORE) - 1) / alpha if alpha > 0 else np.inf
    return LabelsWorth(
        elasticities(alpha),
        Change(alpha, MORE * steps, sqrt(MORE), gain(alpha, MORE * steps)),
        Change(cleaner_alpha, steps, cleaner_signal / signal, gain(cleaner_alpha, steps)),
        equal if equal <= 1 else None,
    )


def _best_accuracy(spectrum: Spectrum, alpha: float, batch_size: int, steps: int, momentum: float) -> float:
    """Accuracy at the best rate; NaN where there is none."""
    rate = float(best_learning_rate(spectrum, alpha, batch_size, steps, momentum=momentum))
    if not np.isfinite(rate):
        return np.nan
    return float(learning_curve(spectrum, alpha, batch_size, rate, steps, momentum=momentum).accuracy)
