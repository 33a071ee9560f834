"""Untrained networks -> learning rate and accuracy of linearised SGD, over initialisations and the interval of α.

A thin layer over `theory.dynamics`, which has the mathematics: answers with their spread, and their limits in words.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from effbatch.advice.law_answers import LINEARISED, LawPrediction, silent
from effbatch.advice.prediction import Prediction, answered
from effbatch.advice.question import Question
from effbatch.core.estimate import Estimate
from effbatch.laws.base import SGD, transfers
from effbatch.noise import Labels, UniformNoise
from effbatch.plan.recipe import Recipe, steps_bought
from effbatch.theory import schedules
from effbatch.theory.dynamics import best_learning_rate, learning_curve
from effbatch.theory.spectrum import Spectrum

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
class Linearised:
    """Untrained networks, one spectrum per initialisation, and what they are to be trained with."""

    spectra: Sequence[Spectrum]
    recipe: Recipe

    def rates(self, batch_size: int, labels: Sequence[Labels]) -> Floats:
        """Best rate by initialisation and labels; NaN where less is always better."""

        def best(spectrum: Spectrum, alpha: Floats, **noise: Any) -> Floats:
            how = self._training(batch_size) | noise
            return best_learning_rate(spectrum, alpha, batch_size, self.steps(batch_size), **how)

        return self._over_labels(best, labels)

    def accuracies(self, batch_size: int, labels: Sequence[Labels], rates: ArrayLike) -> Floats:
        """Accuracy at the end by initialisation, labels and rate, (spectra, labels, rates)."""

        def reached(spectrum: Spectrum, alpha: Floats, **noise: Any) -> Floats:
            how = self._training(batch_size) | noise
            eta = np.atleast_1d(rates)
            return learning_curve(spectrum, alpha[:, None], batch_size, eta, self.steps(batch_size), **how).accuracy

        return self._over_labels(reached, labels)

    def steps(self, batch_size: int) -> int:
        """T, the steps that the budget of the recipe buys."""
        return steps_bought(self.recipe.budget, batch_size)

    def _training(self, batch_size: int) -> dict[str, Any]:
        recipe = self.recipe
        schedule: str | Floats = recipe.schedule
        if recipe.warmup:
            schedule = schedules.multipliers(recipe.schedule, self.steps(batch_size), warmup=recipe.warmup)
        return {"schedule": schedule, "momentum": recipe.momentum_used}

    def _over_labels(self, theory: Callable[..., Floats], labels: Sequence[Labels]) -> Floats:
        """theory(spectrum, alphas) by spectrum: uniform labels in one pass, others each with their own matrix."""
        alphas = np.array([at.alpha for at in labels])
        if all(isinstance(at, UniformNoise) for at in labels):
            return np.stack([theory(spectrum, alphas) for spectrum in self.spectra])
        each = [(alphas[i : i + 1], at.noise_matrix()) for i, at in enumerate(labels)]
        return np.stack(
            [np.concatenate([theory(s, alpha, noise_matrix=matrix) for alpha, matrix in each]) for s in self.spectra]
        )


def predicted(question: Question, theory: Linearised, probed: LawPrediction) -> Prediction:
    """All laws on one question, also those of untrained networks and of a probe, and the accuracy to expect."""
    computed = {"linearised": rate_answer(theory, question), "probe": probed.widened(question.scores.get("probe"))}
    said = answered(question, computed)
    return replace(said, accuracy=accuracy_answer(theory, question, said.recommended.value))


def rate_answer(theory: Linearised, question: Question) -> LawPrediction:
    """The best rate η: median over initialisations, least to greatest over these and the ends of α's interval.

    With an anchor the rates are carried from it, factor × its rate, the factor being η/η(anchor). The interval is
    None where α has no upper limit, or nothing varies.
    """
    if reason := transfers(question.here, question.origin, SGD):
        return silent(reason, LINEARISED)
    values = theory.rates(question.setting.batch_size, _at_ends(question))
    factors = None
    if question.rate is not None:  # only then is the rate at the origin asked for
        factors = values / theory.rates(question.origin.batch_size, [question.labels_of_anchor])
        values = factors * question.rate
    if not np.isfinite(values).all():
        return silent(
            "its best rate lies below all that it tries, 2⁻¹⁶ of the edge of stability: it cannot tell", LINEARISED
        )
    n, alphas = len(theory.spectra), question.alphas
    covers = [f"least to greatest of n = {n} initialisations"] * (n > 1)
    covers += ["the interval of alpha"] * (alphas.interval is not None)
    known = alphas.bounded and bool(covers)
    answer = LawPrediction(
        factor=None if factors is None else float(np.median(factors[:, 0])),
        value=float(np.median(values[:, 0])),
        interval=_range(values) if known else None,
        n=n,
        applies=True,
        reason=REGIME,
        formula=LINEARISED[0],
        reference=LINEARISED[1],
        factor_interval=_range(factors) if known and factors is not None else None,
        covers=" over ".join(covers) if known else None,
    )
    return answer.widened(question.scores.get("linearised") if alphas.bounded else None)


def accuracy_answer(theory: Linearised, question: Question, rate: float | None) -> Estimate:
    """Accuracy at one rate: median over initialisations, least to greatest over these and the ends of α's interval.

    The rate is the same at every α of the interval: it is chosen once, whatever α turns out to be.
    """
    n, optimizer = len(theory.spectra), theory.recipe.optimizer
    if optimizer not in SGD:
        return Estimate(None, n=n, reason=f"the theory is for {' and '.join(SGD)}, not for {optimizer}")
    if rate is None:
        return Estimate(None, n=n, reason="no learning rate is recommended to compute it at")
    found = over_initialisations(theory.accuracies(question.setting.batch_size, _at_ends(question), rate)[..., 0])
    if question.alphas.bounded:
        return found
    return replace(found, low=None, high=None, reason="no interval: alpha has no upper limit")


def over_initialisations(found: Floats) -> Estimate:
    """Median of the first column of `found`, (initialisations, alphas), and the least to greatest of all of it."""
    value = float(np.median(found[:, 0]))
    if found.size == 1:
        return Estimate(value, n=1, reason="no interval: one initialisation has no spread")
    return Estimate(value, *_range(found), n=len(found))


def _at_ends(question: Question) -> list[Labels]:
    """The labels at α, and at the limits of its interval where it has both."""
    return question.alphas.at_ends(question.labels_in)


def _range(values: Floats) -> tuple[float, float]:
    return float(values.min()), float(values.max())
