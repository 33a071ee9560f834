"""Cube -> best learning rates with intervals, the exponents they follow, and how well each law predicts them."""

from __future__ import annotations

from dataclasses import dataclass

import xarray as xr

from effbatch.fitting.best_rate import FitOutcome, best_learning_rates
from effbatch.fitting.collapse import Collapse, CollapseOutcome, collapse_exponent
from effbatch.fitting.compare import compare_all, compare_fitted, compare_laws
from effbatch.fitting.exponents import exponents
from effbatch.fitting.labels_needed import (
    LabelsFit,
    LabelsOutcome,
    common_exponent,
    fit_labels,
    labels_needed,
    slope_ratio,
)
from effbatch.fitting.law_fits import FittedLaw, LawOutcome, fit_law
from effbatch.fitting.regret import regret
from effbatch.fitting.resampling import Estimate
from effbatch.fitting.steps import StepsOutcome, best_steps, steps_to_target

__all__ = [
    "Collapse",
    "CollapseOutcome",
    "Estimate",
    "Fit",
    "FitOutcome",
    "FittedLaw",
    "LabelsFit",
    "LabelsOutcome",
    "LawOutcome",
    "StepsOutcome",
    "best_learning_rates",
    "best_steps",
    "collapse_exponent",
    "common_exponent",
    "compare_all",
    "compare_fitted",
    "compare_laws",
    "exponents",
    "fit",
    "fit_labels",
    "fit_law",
    "labels_needed",
    "regret",
    "slope_ratio",
    "steps_to_target",
]


@dataclass(frozen=True)
class Fit:
    """What one cube says about learning rates; see the functions of the same names.

    best        `best_learning_rates`: best rate and accuracy of every setting
    exponents   `exponents`: powers of batch size and 1 + α that the best rates follow
    laws        `compare_all`: error and regret of every known law, on cells that it has not seen
    """

    best: xr.Dataset
    exponents: xr.Dataset
    laws: xr.Dataset


def fit(cube: xr.Dataset) -> Fit:
    """Best learning rates of a cube, their exponents, and the comparison of all known laws (95 % intervals)."""
    best = best_learning_rates(cube)
    return Fit(best, exponents(best), compare_all(best, cube))
