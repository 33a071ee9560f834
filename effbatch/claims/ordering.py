"""Claim: along one dimension of the grid (network, order, source) noise leaves accuracies in the order said.

Accuracies at the best learning rate are averaged over everything else in the grid, save α = 0, which is no noise. Rule,
with the values of `along` in `order` from worst to best: supported if every difference between neighbours exceeds 0,
refuted if one lies below 0, undecided else. Differences are paired over seeds; their intervals hold together (95 %,
Bonferroni over the differences).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import xarray as xr

from effbatch.claims.base import Claim, Setup
from effbatch.claims.shared import linearised, stored
from effbatch.claims.shared.accuracy_curves import Curves, percent
from effbatch.claims.shared.case import Case
from effbatch.claims.shared.judgement import Judgement, every_above
from effbatch.claims.shared.seed_mean import seed_mean, seed_means
from effbatch.core.errors import SpecError, hint
from effbatch.core.estimate import Estimate
from effbatch.core.figures import Axis, Figure, Number, Panel, Series
from effbatch.core.formats import number_text
from effbatch.laws.bibliography import BORDELON_2022, ROLNICK_2017
from effbatch.plan.keys import key


@dataclass(frozen=True)
class OrderingClaim(Claim):
    """Under noise, accuracy rises along a list of the grid in the order said."""

    asks = "under noise, accuracy rises along a list of the grid in the order said"
    references = (ROLNICK_2017.bibtex, BORDELON_2022.bibtex)

    along: str = key("network", "the list of [grid] to compare along")
    order: tuple[str | float, ...] = key((), "its values from worst to best; required", takes=object, many=True)

    @property
    def headline(self) -> str:
        return " < ".join(str(value) for value in self.order)

    def predict(self, setup: Setup) -> dict[str, Any]:
        """The order is the claim; how far the values lie apart is the linearised theory's, from untrained networks."""
        known = [key for key in setup.grid if key not in ("alpha", "learning_rate", "seed")]
        if self.along not in known:
            raise SpecError(
                f"[claim] along = {self.along!r} is no list of [grid] to compare along; {hint(self.along, known)}"
            )
        there = list(setup.grid[self.along])
        if len(self.order) < 2 or sorted(self.order, key=str) != sorted(there, key=str):
            raise SpecError(
                f"[claim] order needs the values of {self.along} in [grid], at least two, from worst to best, got "
                f"{list(self.order)}: order {there}"
            )
        if not setup.noisy:
            raise SpecError("[claim] kind = 'ordering' needs noisy labels, got no alpha above 0 in [grid]: add one")
        return linearised.prediction(setup)

    def describe(self, prediction: Mapping[str, Any]) -> str:
        noisy = _under_noise(self._over_the_rest(stored.theory(prediction)["accuracy"].max("learning_rate")))
        told = (
            "Linearised SGD with label noise, computed from the untrained networks, says "
            + ", ".join(f"{value} {percent(a)}" for value, a in zip(self.order, noisy.values, strict=True))
            if bool(noisy.notnull().all())
            else "The linearised theory does not know all of these"
        )
        return (
            f"Under noise, the accuracy at the best learning rate rises from {self.order[0]} to {self.order[-1]}: "
            f"{self.headline}. {told}. The claim holds if every difference between neighbours is above 0 with its "
            "whole interval, and is refuted if one is below."
        )

    def judge(self, case: Case) -> Judgement:
        accuracy = self._over_the_rest(case.accuracy)
        predicted = self._over_the_rest(case.theory["accuracy"].max("learning_rate"))  # along in order, by alpha
        noisy, expected = _under_noise(accuracy), _under_noise(predicted)
        pairs = list(pairwise(self.order))
        steps = seed_means(self._steps(noisy), self.along, comparisons=len(pairs))
        verdict, p_value = every_above(steps, 0.0, together=True)
        differences = [
            _points(f"accuracy, {b} minus {a}", step, float(said))
            for (a, b), step, said in zip(pairs, steps, self._steps(expected).values, strict=True)
        ]
        order = self._order(steps)
        left = ", ".join(
            f"{100 * float(a):.1f} % ({value})" for value, a in zip(self.order, noisy.mean("seed").values, strict=True)
        )
        curves = Curves(accuracy, predicted)
        several = accuracy.sizes["alpha"] > 1
        return Judgement(
            verdict=verdict,
            finding=f"Under noise the accuracy left is {left}. {order}",
            plain=f"Predicted under noise: {self.headline}. {_least(differences)}",
            numbers=[
                *sorted(differences, key=lambda one: one.estimate.value or 0.0),
                *self._drops(accuracy, predicted),
            ],
            figures=(
                self._ranking(noisy, expected, order),
                *[curves.figure("The same at every α.", name=f"order_of_{self.along}")] * several,
            ),
            tables=(curves.table(),),
            limits=_limits(accuracy, expected, len(steps)),
            p_value=p_value,
        )

    def _over_the_rest(self, accuracy: xr.DataArray) -> xr.DataArray:
        """Mean over all dims but `along`, alpha and seed; NaN where one is not known."""
        rest = [dim for dim in accuracy.dims if dim not in (self.along, "alpha", "seed")]
        mean = accuracy.mean(rest, skipna=False)
        return mean.sel({self.along: list(self.order)}).transpose(self.along, "alpha", ...)

    def _steps(self, values: xr.DataArray) -> xr.DataArray:
        """Each value minus the one before it in the order."""
        return values.diff(self.along).transpose(self.along, ...)

    def _order(self, steps: Sequence[Estimate]) -> str:
        """Which neighbours stand the other way round, or cannot be told apart."""
        pairs = list(zip(pairwise(self.order), steps, strict=True))
        turned = [f"{a} above {b}" for (a, b), step in pairs if step.below(0)]
        unclear = [f"{a} and {b}" for (a, b), step in pairs if not step.excludes(0)]
        told = [f"The other way round: {', '.join(turned)}."] * bool(turned)
        told += [f"Not told apart: {', '.join(unclear)}."] * bool(unclear)
        return " ".join(told) or "Every step is in the order said."

    def _ranking(self, noisy: xr.DataArray, expected: xr.DataArray, order: str) -> Figure:
        """The values from the worst up to the best as claimed: the points lie ever further right if they are so."""
        places = tuple(range(len(self.order)))
        mean, low, high = (100 * values.values for values in seed_mean(noisy))
        at = Axis("", ticks=places, domain=(-0.5, len(places) - 0.5), names=[str(value) for value in self.order])
        measured = Series("measured", "measured", mean, places, low=low, high=high, interval="x")
        said = [
            Series(f"{value}, predicted", "predicted", [x], [place], group="predicted", dots=True)
            for value, x, place in zip(self.order, 100 * expected.values, places, strict=True)
            if not np.isnan(x)
        ]
        caption = (
            f"Upwards from the worst to the best as claimed. {order} Mean and 95 % interval over "
            f"{noisy.sizes['seed']} seeds; the rule takes differences within a seed."
        )
        panel = Panel(Axis("test accuracy under noise, %"), at, (measured, *said))
        return Figure(f"ranking_of_{self.along}", caption, (panel,))

    def _drops(self, accuracy: xr.DataArray, predicted: xr.DataArray) -> list[Number]:
        """What noise costs against α = 0 of the same seeds, where the grid has it."""
        if not bool((accuracy["alpha"] == 0).any()):
            return []
        lost = seed_means(accuracy.sel(alpha=0) - _under_noise(accuracy), self.along)
        expected = (predicted.sel(alpha=0) - _under_noise(predicted)).values
        return [
            _points(f"accuracy lost to noise, {value}", drop, float(said))
            for value, drop, said in zip(self.order, lost, expected, strict=True)
        ]


def _under_noise(accuracy: xr.DataArray) -> xr.DataArray:
    """Mean over α above 0."""
    return accuracy.sel(alpha=accuracy["alpha"] > 0).mean("alpha", skipna=False)


def _points(label: str, difference: Estimate, predicted: float) -> Number:
    """A difference of accuracies with its limits in points, and the predicted one where the theory is not silent."""
    note = "" if np.isnan(predicted) else f"predicted: {100 * predicted:.1f}"
    return Number(label, difference.times(100), "points", note, difference=True)


def _least(differences: Sequence[Number]) -> str:
    """The smallest step, in a sentence."""
    least = min(differences, key=lambda one: one.estimate.value or 0.0)
    return f"The smallest step measured, {least.label.removeprefix('accuracy, ')}: {number_text(least)}."


def _limits(accuracy: xr.DataArray, expected: xr.DataArray, steps: int) -> list[str]:
    over = ", ".join(f"{alpha:g}" for alpha in accuracy["alpha"].values if alpha > 0)
    limits = [
        f"The order is that of the mean over α = {over}; at a single α neighbours may stand otherwise, see the table.",
        "One data set and one budget: a longer run, or other images, may order them otherwise.",
    ]
    if steps > 1:
        limits.append(f"The intervals of the {steps} differences hold together (Bonferroni), so each is a little wide.")
    if not bool(expected.notnull().all()):
        limits.append("The linearised theory is silent on some of these settings; no difference is predicted there.")
    return limits
