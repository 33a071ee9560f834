"""Cube -> best learning rates with intervals, the exponents they follow, and how well each law predicts them."""

from __future__ import annotations

from dataclasses import dataclass, field

import xarray as xr

from effbatch.core.figures import Figure
from effbatch.fitting.best_rate import FitOutcome, best_learning_rates
from effbatch.fitting.collapse import Collapse, CollapseOutcome, collapse_exponent
from effbatch.fitting.compare import compare_all, compare_fitted, compare_laws
from effbatch.fitting.figures import accuracy_map, rates_and_laws, steps_collapsed
from effbatch.fitting.labels_needed import (
    LabelsFit,
    LabelsOutcome,
    common_exponent,
    fit_labels,
    labels_needed,
    slope_ratio,
)
from effbatch.fitting.law_fits import FittedLaw, LawOutcome, exponents, fit_law
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
    """What one cube says about learning rates; see the functions of the same names. `effbatch.plot` draws it.

    best        `best_learning_rates`: best rate and accuracy of every setting
    exponents   `exponents`: powers of batch size and 1 + α that the best rates follow
    laws        `compare_all`: error and regret of every known law, on cells that it has not seen
    steps       `best_steps`: steps to the target at the best rate; None without a target
    collapse    `collapse_exponent` of those steps
    cube        what was fitted
    """

    best: xr.Dataset
    exponents: xr.Dataset
    laws: xr.Dataset
    steps: xr.Dataset | None
    collapse: Collapse | None
    cube: xr.Dataset = field(repr=False)

    def to_figures(self) -> list[Figure]:
        """Best rates with the laws, accuracy over noise and rates, and the collapse, as far as the grid shows them."""
        figures = [rates_and_laws("best_rate", self.best)]
        if self.cube.sizes["alpha"] > 1 and self.cube.sizes["learning_rate"] > 1:
            figures.append(accuracy_map("accuracy", self.cube, self.best))
        if self.steps is not None and self.collapse is not None and self.collapse.base is not None:
            figures.append(steps_collapsed("collapse", self.steps, self.collapse))
        return [figure for figure in figures if figure.panels]


def fit(cube: xr.Dataset, *, target: float | None = None) -> Fit:
    """Best learning rates of a cube, their exponents, and the comparison of all known laws (95 % intervals).

    With a `target` accuracy also the collapse of the steps to it; the cube then has no dims beside α, batch size,
    learning rate and seed: InputError says which to select.
    """
    best = best_learning_rates(cube)
    steps = None if target is None else best_steps(cube, target)
    collapse = None if steps is None else collapse_exponent(steps["seed_steps"])
    return Fit(best, exponents(best), compare_all(best, cube), steps, collapse, cube)
