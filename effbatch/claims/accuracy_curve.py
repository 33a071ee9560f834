"""Claim: the accuracy at the best rate, as a function of α or of how structured noise is, is the one predicted before.

Rule: the root-mean-square difference between predicted and measured accuracy over the curve is at most `max_rmse`;
its interval is over seeds, whose own scatter is taken out of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import xarray as xr

from effbatch.claims.base import Claim, Setup
from effbatch.claims.shared import linearised, stored
from effbatch.claims.shared.accuracy_curves import Curves, by_setting, percent
from effbatch.claims.shared.case import Case
from effbatch.claims.shared.judgement import Judgement, at_most
from effbatch.core.errors import SpecError, hint
from effbatch.core.estimate import Estimate, exact
from effbatch.core.figures import Number
from effbatch.core.formats import estimate_text
from effbatch.fitting.student import root_mean_square
from effbatch.laws.bibliography import BORDELON_2022, ROLNICK_2017
from effbatch.noise import UniformNoise
from effbatch.plan.cube import num_classes
from effbatch.plan.keys import key
from effbatch.plan.words import value_in_words


@dataclass(frozen=True)
class AccuracyCurveClaim(Claim):
    """Predicted and measured accuracy agree along a list of the grid."""

    asks = "the accuracy at the best rate is the predicted one"
    references = (ROLNICK_2017.bibtex, BORDELON_2022.bibtex)

    max_rmse: float = key(0.05, "largest root mean square of predicted minus measured accuracy over the curve", low=0)
    along: str = key("alpha", "the list of numbers in [grid] that the curve runs along")

    @property
    def headline(self) -> str:
        return f"error of the predicted curve at most {100 * self.max_rmse:g} points"

    def predict(self, setup: Setup) -> dict[str, Any]:
        """The linearised theory's accuracy at every cell, from the untrained networks."""
        numeric = [key for key, values in setup.grid.items() if not isinstance(values[0], str)]
        if self.along not in numeric:
            raise SpecError(
                f"[claim] along = {self.along!r} is no list of numbers in [grid]; {hint(self.along, numeric)}"
            )
        return linearised.prediction(setup)

    def describe(self, prediction: Mapping[str, Any]) -> str:
        predicted = stored.theory(prediction)["accuracy"].max("learning_rate")
        if not bool(predicted.notnull().any()):
            return "The linearised theory says nothing about training like this: there is nothing to judge."
        first, last = (value_in_words(self.along, float(predicted[self.along][i])) for i in (0, -1))
        lines = [
            f"{label} {percent(c.values[0])} at {first}, {percent(c.values[-1])} at {last}"
            for label, c in by_setting(predicted, self.along)
        ]
        return (
            "Linearised SGD with label noise, computed from the untrained networks, predicts the accuracy at the best "
            f"learning rate: {'; '.join(lines)}. The claim holds if the root-mean-square error over all points is at "
            f"most {self.max_rmse * 100:g} percentage points."
        )

    def judge(self, case: Case) -> Judgement:
        predicted = case.theory["accuracy"].max("learning_rate")
        curves = Curves(case.accuracy, predicted, self.along)
        rmse = _rmse(curves.measured, predicted)
        verdict, p_value = at_most(rmse, self.max_rmse)
        mean = curves.measured.mean("seed")
        gap = 100 * (mean - predicted)
        finding = (
            f"Predicted and measured accuracy differ by {100 * rmse.floats.value:.1f} points "
            f"(root mean square, {mean.size} points)."
        )
        lost = _lost_margin(case.theory, curves)
        return Judgement(
            verdict=verdict,
            finding=f"{finding} {_at_the_end(mean, curves, num_classes(case.cube))}{lost}",
            plain=_plain(rmse, _at_the_end(mean, curves, num_classes(case.cube))),
            numbers=[
                Number("RMSE of predicted accuracy", rmse.times(100), "points"),
                Number("threshold of the rule", exact(self.max_rmse * 100), "points"),
                *_last_points(curves),
            ],
            figures=(curves.figure(f"{finding}{lost}", name=f"accuracy_against_{self.along}"),),
            tables=(curves.table(),),
            limits=[
                "The theory freezes the features at initialisation; networks that learn features leave it. Measured "
                f"minus predicted runs from {float(gap.min()):+.1f} to {float(gap.max()):+.1f} points.",
                "The learning rate of each seed is chosen on the seeds before it, so that choosing does not flatter "
                "the accuracy; the first seed only chooses."
                if case.cube.sizes["seed"] > 1
                else "One seed: its learning rate is chosen on its own test accuracy, which flatters it.",
            ],
            p_value=p_value,
        )


def _plain(rmse: Estimate, end: str) -> str:
    if rmse.value is None:
        return ""
    told = estimate_text(rmse.times(100), "points")
    return f"Theory that sees only untrained networks predicts their accuracy to {told}. {end}"


def _at_the_end(mean: xr.DataArray, curves: Curves, classes: int) -> str:
    """What accuracy is left at the last point of the curves."""
    last = float(mean[curves.along][-1])
    wrong = ""
    if curves.along == "alpha":
        wrong = f", with {100 * float(UniformNoise(last, classes).noise_rate):.0f} % of the labels wrong,"
    unsure = [label for label, _, low, _, _ in curves if not float(low[-1]) > 1 / classes]
    ends = sorted((number.estimate for number in _last_points(curves)), key=lambda one: one.floats.value)
    left = dict.fromkeys(estimate_text(one, "%", n=False) for one in (ends[0], ends[-1]))
    above = f"not told apart from it: {', '.join(unsure)}" if unsure else "every interval is above it"
    return (
        f"At {curves.symbol} = {last:g}{wrong} the accuracy left is {' to '.join(left)}, n = {curves.seeds}; "
        f"chance is {percent(1 / classes)}, {above}."
    )


def _lost_margin(theory: xr.Dataset, curves: Curves) -> str:
    """Where on the curves the true label has lost its lead over a false one, in some setting; empty where nowhere."""
    if "unlearnable" not in theory:  # recorded before it was looked at
        return ""
    classes = theory["unlearnable"].max([dim for dim in theory["unlearnable"].dims if dim != curves.along])
    lost = classes.where(classes > 0, drop=True)
    if not lost.size:
        return ""
    where = " and ".join(f"{value:g}" for value in lost[curves.along].values)
    return (
        f" At {curves.symbol} = {where} the true label of {int(lost.max())} classes is not the likeliest one (its "
        "margin is 0 or less): there the theory's even spread of label noise is least to be trusted."
    )


def _rmse(measured: xr.DataArray, predicted: xr.DataArray) -> Estimate:
    """RMSE of the curve, without the scatter of the seeds."""
    measured, predicted = xr.align(measured, predicted, join="exact")
    error = (measured - predicted.broadcast_like(measured)).transpose("seed", ...).values
    return root_mean_square(error.reshape(len(error), -1))


def _last_points(curves: Curves) -> list[Number]:
    """The measured accuracy of every curve at its last point."""
    numbers = []
    for label, c, low, high, _ in curves:
        last = Estimate(*(100 * float(x[-1]) for x in (c, low, high)), n=curves.seeds, level=0.95)
        place = f"{curves.symbol} = {float(c[curves.along][-1]):g}"
        numbers.append(Number(f"accuracy of {label} at {place}", last, "%"))
    return numbers
