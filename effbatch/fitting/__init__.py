"""Cube -> best learning rates with intervals, the exponents they follow, and how well each law predicts them."""

from __future__ import annotations

from effbatch.fitting.best_rate import FitOutcome, best_learning_rates
from effbatch.fitting.collapse import Collapse, CollapseOutcome, collapse_exponent
from effbatch.fitting.compare import compare_all, compare_fitted, compare_laws
from effbatch.fitting.labels_needed import (
    LabelsFit,
    LabelsOutcome,
    common_exponent,
    fit_labels,
    labels_needed,
    slope_ratio,
)
from effbatch.fitting.law_fits import exponents
from effbatch.fitting.of_cube import Fit, fit
from effbatch.fitting.regret import regret
from effbatch.fitting.steps import StepsOutcome, best_steps, steps_to_target

__all__ = [
    "Collapse",
    "CollapseOutcome",
    "Fit",
    "FitOutcome",
    "LabelsFit",
    "LabelsOutcome",
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
    "labels_needed",
    "regret",
    "slope_ratio",
    "steps_to_target",
]
