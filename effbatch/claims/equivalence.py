"""Claim: one value of a list of the grid (a kind of noise, say) leaves the accuracy that another leaves, to a margin.

Accuracies at the best learning rate are averaged over everything else in the grid. Rule: supported if the interval of
the difference between `value` and `reference` lies within ± `margin`, refuted if it lies outside, undecided else.
Differences are paired over seeds. The other values of the list stand beside them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import xarray as xr

from effbatch.claims.base import Claim, Setup
from effbatch.claims.shared.accuracy_curves import ACCURACY, by_setting
from effbatch.claims.shared.case import Case
from effbatch.claims.shared.judgement import Judgement, within
from effbatch.claims.shared.rates import rates_table, why_unknown
from effbatch.claims.shared.seed_mean import seed_mean, seed_means
from effbatch.core.errors import SpecError, hint
from effbatch.core.estimate import Estimate, exact
from effbatch.core.figures import Axis, Cell, Figure, Number, Panel, Series, Table
from effbatch.core.formats import estimate_text, value_text
from effbatch.fitting.honest import honest_best
from effbatch.laws.bibliography import ROLNICK_2017
from effbatch.plan.cube import score
from effbatch.plan.keys import key
from effbatch.plan.words import value_in_words


@dataclass(frozen=True)
class EquivalenceClaim(Claim):
    """Two values of a list of the grid leave the same accuracy."""

    asks = "two values of a list of the grid leave the same accuracy, to a margin"
    references = (ROLNICK_2017.bibtex,)

    along: str = key("noise", "the list of [grid] that holds both")
    value: str | float = key("given", "what is compared", takes=object)
    reference: str | float = key("same_rate", "with what", takes=object)
    margin: float = key(0.02, "largest difference of accuracy that counts as none", above=0, below=1)

    @property
    def headline(self) -> str:
        value, reference = map(self._said, (self.value, self.reference))
        return f"accuracy of {value} within {100 * self.margin:g} points of {reference}"

    def _said(self, value: object) -> str:
        return value_in_words(self.along, value)

    def predict(self, setup: Setup) -> dict[str, Any]:
        """That there is no difference is the prediction; the grid must be able to tell."""
        known = [key for key in setup.grid if key not in ("learning_rate", "seed")]
        if self.along not in known:
            raise SpecError(
                f"[claim] along = {self.along!r} is no list of [grid] to compare along; {hint(self.along, known)}"
            )
        there = list(setup.grid[self.along])
        if self.value == self.reference or not {self.value, self.reference} <= set(there):
            raise SpecError(
                f"[claim] value and reference must be two values of {self.along} in [grid], got {self.value!r} and "
                f"{self.reference!r}: take two of {there}"
            )
        return {"difference": 0.0}

    def describe(self, prediction: Mapping[str, Any]) -> str:
        value, reference = map(self._said, (self.value, self.reference))
        return (
            f"The accuracy at the best learning rate of {value} equals that of {reference}, to "
            f"{100 * self.margin:g} points. The claim holds if the interval of the difference lies within that margin "
            "on both sides, and is refuted if it lies outside."
        )

    def judge(self, case: Case) -> Judgement:
        compared = (case.accuracy - case.accuracy.sel({self.along: self.reference})).drop_sel(
            {self.along: self.reference}
        )
        rest = [dim for dim in compared.dims if dim not in (self.along, "seed")]
        names = list(compared[self.along].values)
        means = dict(zip(names, seed_means(compared.mean(rest, skipna=False), self.along), strict=True))
        difference = means.pop(self.value)
        verdict, p_value = within(difference, -self.margin, self.margin)
        finding = self._finding(difference)
        return Judgement(
            verdict=verdict,
            finding=finding,
            numbers=[
                self._points(self.value, difference),
                Number("threshold of the rule", exact(100 * self.margin), "points"),
                *(self._points(name, other) for name, other in means.items()),
                *self._by_setting(compared.sel({self.along: self.value}, drop=True)),
            ],
            figures=(self._figure(case, finding),),
            tables=(self._table(case), rates_table(case.best)),
            limits=_limits(case),
            p_value=p_value,
        )

    def _points(self, name: object, difference: Estimate, where: str = "") -> Number:
        label = f"accuracy, {self._said(name)} minus {self._said(self.reference)}{where}"
        return Number(label, difference.times(100), "points", difference=True)

    def _by_setting(self, compared: xr.DataArray) -> list[Number]:
        """The difference in every setting of the rest of the grid, where it has more than one."""
        settings = by_setting(compared, "seed")
        if len(settings) == 1:
            return []
        estimates = [seed_means(one.expand_dims("setting"), "setting")[0] for _, one in settings]
        return [self._points(self.value, one, f", {name}") for (name, _), one in zip(settings, estimates, strict=True)]

    def _finding(self, difference: Estimate) -> str:
        told = estimate_text(difference.times(100), "points", difference=True)
        return f"The accuracy of {self._said(self.value)} minus that of {self._said(self.reference)} is {told}."

    def _figure(self, case: Case, finding: str) -> Figure:
        """Accuracy against the learning rate, one panel for each setting of the rest."""
        scores, shown = score(case.cube), (self.along, "learning_rate", "seed")
        rest = [dim for dim in scores.dims if dim not in shown and scores.sizes[dim] > 1]
        cells = scores.stack(setting=rest) if rest else scores.expand_dims("setting")
        panels = []
        for i in range(cells.sizes["setting"]):
            at = cells.isel(setting=i)
            title = ", ".join(value_in_words(dim, at[dim].item()) for dim in rest)
            at = at.mean([dim for dim in at.dims if dim not in shown])
            series = []
            for name in at[self.along].values:
                mean, low, high = (100 * v.values for v in seed_mean(at.sel({self.along: name})))
                rates = at["learning_rate"].values
                label = self._said(name)
                series.append(Series(label, "measured", rates, mean, low=low, high=high, group=label))
            panels.append(Panel(Axis("learning rate", "log2"), ACCURACY, tuple(series), title))
        caption = f"{finding} Mean and 95 % interval over {scores.sizes['seed']} seeds at every learning rate."
        return Figure(case.name, caption, tuple(panels))

    def _table(self, case: Case) -> Table:
        """One row for every setting: accuracy, and what is memorised where that was measured."""
        mean, low, high = (100 * values for values in seed_mean(case.accuracy))
        memorised = _memorised(case.cube)
        cells = mean.stack(cell=mean.dims)
        rows: list[list[Cell]] = []
        for at in cells["cell"].values:
            place = dict(zip(mean.dims, at, strict=True))
            name = ", ".join(value_in_words(dim, value) for dim, value in place.items() if mean.sizes[dim] > 1)
            accuracy = Estimate(*(float(limit.sel(place)) for limit in (mean, low, high)))
            share = None if memorised is None else 100 * float(memorised.sel(place).mean("seed"))
            rows.append([name, accuracy, share, case.accuracy.sizes["seed"]])
        caption = f"Accuracy at the best learning rate.{_labels_in_words(case.cube)}"
        columns = ("setting", "accuracy, % [95 % interval]", "wrong labels repeated, %", "n")
        return Table("accuracy", caption, columns, rows, ("", "", ".1f", "d"))


def _memorised(cube: xr.Dataset) -> xr.DataArray | None:
    """At the end of the runs whose accuracy counts; None where it was not measured."""
    if "memorised_history" not in cube:
        return None
    return honest_best(cube["memorised_history"].astype(float).isel(checkpoint=-1, drop=True), judged_on=score(cube))


def _labels_in_words(cube: xr.Dataset) -> str:
    """How wrong the labels given are, in a sentence for each data set."""
    return "".join(
        f" Of the labels of {name}, {100 * told['noise_rate']:.1f} % are wrong, as many as of uniform noise with "
        f"α = {value_text(told['alpha'], 2)}."
        for name, told in json.loads(cube.attrs.get("given_labels", "{}")).items()
    )


def _limits(case: Case) -> Sequence[str]:
    unknown = why_unknown(case.best)
    return [
        "The rule looks at the mean over the rest of the grid, whose settings may differ.",
        "One network and one budget: with more passes over the same labels more of them are memorised.",
        *[unknown] * bool(unknown),
        str(case.cube.attrs.get("data_source", "")) + ".",
    ]
