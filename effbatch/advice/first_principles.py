"""Untrained networks -> learning rate and accuracy of linearised SGD, over initialisations and the interval of α.

A thin layer over `dynamics`, which has the theory: answers with their spread, and their limits in words.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from effbatch.advice.alpha_interval import Alphas
from effbatch.advice.law_answers import LINEARISED, Accuracy, LawPrediction
from effbatch.laws.base import SGD, Setting, transfers
from effbatch.noise import Labels, UniformNoise
from effbatch.plan.recipe import steps_bought
from effbatch.theory.dynamics import Spectrum, best_learning_rate, learning_curve

Floats = NDArray[np.float64]

INITIALISATIONS = 4  # their least and greatest hold the median over all with a chance of 1 − 2⁻³ = 88 %

REGIME = (
    "no training: features stay as initialised and labels are fresh at every visit, so fixed copies once memorised and "
    "kernels that grow in training (two hidden layers and more; with four the rate was eight times too high) need "
    "lower rates; the edge that caps the rate, mostly at small alpha, is observed on small ReLU networks, not derived"
)
HOW = (
    "accuracy of the linearised network after all steps at the recommended rate, on a held-out part of the training "
    "images; no training run"
)


@dataclass(frozen=True)
class FirstPrinciples:
    """Untrained networks and what they are to be trained on.

    spectra   one per initialisation
    labels    those at α, then those at the ends of its interval
    momentum  counts where the optimizer of the setting is "momentum"
    """

    spectra: Sequence[Spectrum]
    setting: Setting
    labels: Sequence[Labels]
    alphas: Alphas
    momentum: float

    def learning_rate(self, anchor: Setting, rate: float | None, at_anchor: Labels) -> LawPrediction:
        """The best rate η of the setting by `dynamics.best_learning_rate`: median over initialisations.

        `at_anchor` are the labels of the anchor. factor is η/η(anchor); value is η itself or, with the `rate` tuned at
        the anchor, factor × rate. The intervals go from the least to the greatest over initialisations and the ends
        of α's interval; None where α has no upper limit, or nothing varies.
        """
        if not self.spectra:
            return _silent("needs a network, a data set and a budget: it is computed from the untrained network")
        if reason := transfers(self.setting, anchor, SGD):
            return _silent(reason)
        rates = self._best_rates(self.setting, self.labels)
        base = self._best_rates(anchor, [at_anchor])
        if not (np.isfinite(rates).all() and np.isfinite(base).all()):
            return _silent("its best rate lies below all that it tries, 2⁻¹⁶ of the edge of stability: it cannot tell")
        factors = rates / base
        values = rates if rate is None else factors * rate
        covers = [f"least to greatest of n = {len(self.spectra)} initialisations"] * (len(self.spectra) > 1)
        covers += ["the interval of alpha"] * (self.alphas.interval is not None)
        known = self.alphas.bounded and bool(covers)
        return LawPrediction(
            float(np.median(factors[:, 0])),
            float(np.median(values[:, 0])),
            _range(values) if known else None,
            len(self.spectra),
            True,
            REGIME,
            *LINEARISED,
            _range(factors) if known else None,
            " over ".join(covers) if known else None,
        )

    def accuracy(self, rate: float | None) -> Accuracy:
        """Accuracy at one learning rate by `dynamics.learning_curve`: median over initialisations, least to greatest.

        The rate is the same at every α of the interval: it is chosen once, whatever α turns out to be.
        """
        n, setting = len(self.spectra), self.setting
        if setting.optimizer not in SGD:
            reason = f"the theory is for {' and '.join(SGD)}, not for {setting.optimizer}"
            return Accuracy(None, None, None, n, HOW, reason)
        if rate is None:
            return Accuracy(None, None, None, n, HOW, "no learning rate is recommended to compute it at")

        def reached(spectrum: Spectrum, alpha: ArrayLike, **noise: Any) -> Floats:
            how = self._training(setting) | noise
            return learning_curve(spectrum, alpha, setting.batch_size, rate, steps_of(setting), **how).accuracy

        found = _over_labels(reached, self.spectra, self.labels)
        why = None
        if not self.alphas.bounded:
            why = "interval is null: alpha has no upper limit"
        elif found.size == 1:
            why = "interval is null: one initialisation has no spread"
        return Accuracy(float(np.median(found[:, 0])), _range(found) if why is None else None, None, n, HOW, why)

    def _best_rates(self, setting: Setting, labels: Sequence[Labels]) -> Floats:
        """Best rate by initialisation and labels (whose α stands in for the setting's); NaN: none."""

        def best(spectrum: Spectrum, alpha: ArrayLike, **noise: Any) -> Floats:
            how = self._training(setting) | noise
            return best_learning_rate(spectrum, alpha, setting.batch_size, steps_of(setting), **how)

        return _over_labels(best, self.spectra, labels)

    def _training(self, setting: Setting) -> dict[str, Any]:
        return {
            "schedule": setting.schedule,
            "momentum": self.momentum if setting.optimizer == "momentum" else 0.0,
        }


def _silent(reason: str) -> LawPrediction:
    return LawPrediction(None, None, None, None, False, reason, *LINEARISED)


def _over_labels(theory: Callable[..., Floats], spectra: Sequence[Spectrum], labels: Sequence[Labels]) -> Floats:
    """theory(spectrum, alpha) by spectrum and labels: uniform ones in one pass, others with their own matrix each."""
    if all(isinstance(at, UniformNoise) for at in labels):
        return np.stack([theory(spectrum, np.array([at.alpha for at in labels])) for spectrum in spectra])
    return np.array(
        [[float(theory(spectrum, at.alpha, noise_matrix=_matrix(at))) for at in labels] for spectrum in spectra]
    )


def _matrix(labels: Labels) -> Floats:
    return labels.noise_matrix() if isinstance(labels, UniformNoise) else labels.matrix


def steps_of(setting: Setting) -> int:
    """T: `steps`, or as many steps as the examples fill."""
    budget = {"examples": setting.examples} if setting.steps is None else {"steps": setting.steps}
    return steps_bought(budget, setting.batch_size)


def _range(values: Floats) -> tuple[float, float]:
    return float(values.min()), float(values.max())
