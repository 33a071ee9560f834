"""Claim: the clean labels needed for a target accuracy grow linearly with the noisy ones that come with each.

Rule: the exponent β of n* ∝ (1+α)^β, one for all `targets`, lies within `tolerance` of 1. It is the same as a collapse
of accuracy on n/(1+α). Beside it stand the lines n* = n_0 + n_1 α, whose slopes should grow with the target.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import xarray as xr

from effbatch.claims.base import Claim, Setup
from effbatch.claims.shared.accuracy_curves import ACCURACY
from effbatch.claims.shared.case import Case
from effbatch.claims.shared.grid import only
from effbatch.claims.shared.judgement import Judgement, within
from effbatch.claims.shared.limits import measured
from effbatch.core.errors import CubeError, SpecError
from effbatch.core.estimate import Estimate, exact
from effbatch.core.figures import Axis, Cell, Figure, Number, Panel, Series, Table
from effbatch.core.formats import estimate_text
from effbatch.fitting import LabelsFit, LabelsOutcome, common_exponent, fit_labels, labels_needed, slope_ratio
from effbatch.fitting.honest import honest_best
from effbatch.laws.bibliography import GREEN_1966, ROLNICK_2017
from effbatch.plan.cube import score
from effbatch.plan.keys import key

EXPONENT = 1.0
ONE_NUMBER = "the claim labels_needed needs several numbers of clean labels, got one: give [grid] clean_examples"

Needed = Mapping[float, xr.Dataset]  # by target
Fits = Mapping[float, LabelsFit | None]


@dataclass(frozen=True)
class LabelsNeededClaim(Claim):
    """The clean labels needed for an accuracy grow as (1+α)^β with β = 1."""

    asks = "the clean labels needed for an accuracy grow as (1+α)^β with β = 1"
    references = (ROLNICK_2017.bibtex, GREEN_1966.bibtex)

    targets: tuple[float, ...] = key((0.8, 0.9), "accuracies, at least two", takes=float, many=True, above=0, below=1)
    tolerance: float = key(0.25, "how far β may lie from 1", low=0)

    @property
    def headline(self) -> str:
        return f"n* ∝ (1+α)^β, β = 1 ± {self.tolerance:g}"

    def predict(self, setup: Setup) -> dict[str, Any]:
        """β = 1 for every target: the signal-to-noise ratio of an accuracy is a function of n/(1+α) (`detection`)."""
        if len(self.targets) < 2:
            raise SpecError(f"[claim] targets needs at least two accuracies, got {list(self.targets)}: add some")
        if "clean_examples" not in setup.grid:
            raise SpecError(ONE_NUMBER)
        return {"targets": sorted(self.targets), "exponent": EXPONENT}

    def describe(self, prediction: Mapping[str, Any]) -> str:
        targets = ", ".join(f"{100 * target:g} %" for target in prediction["targets"])
        return (
            "Each label stands out of the noise by a signal ∝ n/(1+α) against a scatter ∝ √n, so the clean labels "
            f"needed for an accuracy ({targets}) grow as n* = n_0 + n_1 α, more steeply for a higher accuracy. "
            f"Supported if the interval of β in n* ∝ (1+α)^β lies within {self.tolerance:g} of 1, refuted if all of it "
            "lies outside."
        )

    def judge(self, case: Case) -> Judgement:
        accuracy = _accuracy(case.cube)
        needed = {target: labels_needed(accuracy, target) for target in case.prediction["targets"]}
        fits = {target: fit_labels(at) for target, at in needed.items()}
        exponent = common_exponent(list(needed.values()))
        verdict, p_value = within(exponent, EXPONENT - self.tolerance, EXPONENT + self.tolerance)
        finding = _finding(exponent, fits)
        return Judgement(
            verdict=verdict,
            finding=finding,
            plain=_plain(exponent),
            numbers=[
                Number("exponent β of 1 + α", exponent, note="one for all targets"),
                Number("tolerance of the rule, about 1", exact(self.tolerance)),
                *_numbers(needed, fits, accuracy.sizes["seed"]),
            ],
            figures=(_figure(accuracy, needed, fits, finding),),
            tables=(_table(needed),),
            limits=_limits(needed),
            p_value=p_value,
        )


def _accuracy(cube: xr.Dataset) -> xr.DataArray:
    """Accuracy by clean_examples, alpha and seed, at the learning rate that is best for the seeds before."""
    if "clean_examples" not in cube.dims:
        raise CubeError(ONE_NUMBER)
    kept = ("clean_examples", "alpha", "learning_rate", "seed")
    return honest_best(only(score(cube), kept, what="the claim labels_needed"))


def _finding(exponent: Estimate, fits: Fits) -> str:
    if exponent.value is None:
        return "At fewer than three noise levels do these runs bracket the clean labels needed: the growth is unknown."
    slopes = [(target, fit.slope.floats.value) for target, fit in fits.items() if fit is not None]
    told = ", ".join(f"{slope:.0f} for {100 * target:g} %" for target, slope in slopes)
    return (
        f"The clean labels needed for an accuracy grow as (1+α)^{estimate_text(exponent)}. Clean labels that each "
        f"further noisy label per clean one takes: {told}."
    )


def _plain(exponent: Estimate) -> str:
    if exponent.value is None:
        return ""
    times = estimate_text(Estimate(*(11**power for power in exponent.floats), n=exponent.n), "times the clean labels")
    return f"At ten noisy labels per clean one the same accuracy takes {times}."


def _numbers(needed: Needed, fits: Fits, n: int) -> list[Number]:
    """The line and the power law of every target, and how its slope compares with that of the target below."""
    numbers = []
    for target, fit in fits.items():
        name = f"{100 * target:g} %"
        if fit is None:
            note = "fewer than three noise levels"
            numbers.append(Number(f"clean labels per unit of α, n_1, for {name}", Estimate(None, n=n), note=note))
            continue
        numbers += [
            Number(f"clean labels per unit of α, n_1, for {name}", fit.slope, "labels"),
            Number(f"clean labels without noise, n_0, for {name}", fit.intercept, "labels", "of the line"),
            Number(f"exponent β for {name}", fit.exponent),
            Number(f"residual of the line for {name}", Estimate(100 * fit.linear_spread, n=fit.cells), "%"),
            Number(f"residual of the power law for {name}", Estimate(100 * fit.power_spread, n=fit.cells), "%"),
        ]
    for below, target in pairwise(needed):
        label = f"slope for {100 * target:g} % over that for {100 * below:g} %"
        numbers.append(Number(label, slope_ratio(needed[below], needed[target]), note="predicted above 1"))
    return numbers


def _limits(needed: Needed) -> list[str]:
    outcomes = np.concatenate([at["outcome"].values for at in needed.values()])
    limits = []
    for outcome in (LabelsOutcome.NOT_REACHED, LabelsOutcome.TOO_EASY):
        if count := int((outcomes == outcome).sum()):
            limits.append(f"{count} of {len(outcomes)} settings take no part: {outcome.sentence}.")
    return [
        *limits,
        "A power law is not quite a line: where n_0 and n_1 differ, β is near 1 only on average over α. With clean "
        "labels alone the limit is coverage of the images, not noise.",
        "The number of passes over the labels was fixed: other budgets memorise more, or less.",
    ]


def _figure(accuracy: xr.DataArray, needed: Needed, fits: Fits, finding: str) -> Figure:
    n = accuracy.sizes["seed"]
    caption = (
        f"{finding} Left: clean labels needed, with 95 % intervals over {n} seeds and fitted lines. Middle and right: "
        "accuracy at the best learning rate, against the clean labels, and against clean labels over 1 + α."
    )
    panels = (_needed_panel(needed, fits), _accuracy_panel(accuracy, 0.0), _accuracy_panel(accuracy, 1.0))
    return Figure("labels_needed", caption, panels)


def _needed_panel(needed: Needed, fits: Fits) -> Panel:
    series = []
    for target, at in needed.items():
        alpha, group = at["alpha"].values, f"{100 * target:g} %"
        limits: dict[str, Any] = {name: at[name].values for name in ("low", "high")}
        series.append(Series(f"{group}, measured", "measured", alpha, at["labels"].values, **limits, group=group))
        if (fit := fits[target]) is not None:
            line = fit.intercept.floats.value + fit.slope.floats.value * alpha
            series.append(Series(f"{group}, line", "rival", alpha, line, group=group))
    return Panel(Axis("α (noisy labels per clean one)"), Axis("clean labels needed"), tuple(series), "labels needed")


def _accuracy_panel(accuracy: xr.DataArray, power: float) -> Panel:
    mean = 100 * accuracy.mean("seed").sortby("clean_examples")
    series = []
    for alpha in mean["alpha"].values:
        x = mean["clean_examples"].values / (1 + alpha) ** power
        group = f"α = {alpha:g}"
        series.append(Series(group, "measured", x, mean.sel(alpha=alpha).values, group=group))
    label = "clean labels / (1 + α)" if power else "clean labels"
    return Panel(Axis(label, "log"), ACCURACY, tuple(series), label)


def _table(needed: Needed) -> Table:
    rows: list[list[Cell]] = []
    for target, at in needed.items():
        for alpha in at["alpha"].values:
            here = at.sel(alpha=alpha)
            rows.append([100 * target, float(alpha), measured(here, "labels", LabelsOutcome), at.attrs["seeds"]])
    numbers = [(row[2].floats.value, row[0], row[1]) for row in rows if isinstance(row[2], Estimate)]
    span = "in no setting"
    if numbers:
        least, most = (f"{n:.0f} ({target:g} % at α = {a:g})" for n, target, a in (min(numbers), max(numbers)))
        span = f"from {least} to {most}"
    return Table(
        "labels_needed",
        f"Clean labels needed for an accuracy, known {span}; at the learning rate that is best for the seeds before.",
        ("accuracy, %", "α", "clean labels [95 % interval]", "n"),
        rows,
        ("g", "g", "", "d"),
    )
