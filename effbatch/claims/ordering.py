"""Claim: along one dimension of the grid (network, order, source) noise leaves accuracies in the order said.

Accuracies at the best learning rate are averaged over everything else in the grid, save α = 0, which is no noise. Rule,
with the values of `along` in `order` from worst to best: supported if every difference between neighbours exceeds 0,
refuted if one lies below 0, undecided else. Differences are paired over seeds; their intervals hold together (95 %,
Bonferroni over the differences).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import xarray as xr

from effbatch.claims.base import Judgement, Setup, every_above, number
from effbatch.claims.shared import linearised
from effbatch.claims.shared.curves import Curves, percent
from effbatch.claims.shared.seed_mean import seed_means
from effbatch.core.errors import SpecError, hint
from effbatch.core.figures import Number
from effbatch.fitting import Estimate
from effbatch.fitting.honest import honest_best
from effbatch.laws.bibliography import BORDELON_2022, ROLNICK_2017
from effbatch.plan.cube import score

RULE: Mapping[str, Any] = {"along": "network", "order": []}
REFERENCES = (ROLNICK_2017.bibtex, BORDELON_2022.bibtex)


def predict(setup: Setup) -> dict[str, Any]:
    """The order is the claim; how far the values lie apart is the linearised theory's, from the untrained networks."""
    along, order = setup.rule["along"], setup.rule["order"]
    comparable = [key for key in setup.grid if key not in ("alpha", "learning_rate", "seed")]
    if along not in comparable:
        raise SpecError(f"[claim] along = {along!r} is no list of [grid] to compare along; {hint(along, comparable)}")
    there = list(setup.grid[along])
    if len(order) < 2 or sorted(order, key=str) != sorted(there, key=str):
        raise SpecError(
            f"[claim] order must hold the values of {along} in [grid], at least two, from worst to best; {order} came, "
            f"the grid has {there}"
        )
    if max(setup.grid["alpha"]) == 0:
        raise SpecError("[claim] kind = 'ordering' compares accuracies under noise; [grid] alpha needs a value above 0")
    return {"linearised": linearised.to_json(linearised.surface(setup))}


def headline(rule: Mapping[str, Any]) -> str:
    return " < ".join(str(value) for value in rule["order"])


def describe(prediction: Mapping[str, Any], rule: Mapping[str, Any]) -> str:
    noisy = _under_noise(_predicted(prediction, rule))
    told = (
        "Linearised SGD with label noise, computed from the untrained networks, says "
        + ", ".join(f"{value} {percent(a)}" for value, a in zip(rule["order"], noisy.values, strict=True))
        if bool(noisy.notnull().all())
        else "The linearised theory does not know all of these"
    )
    return (
        f"Under noise, the accuracy at the best learning rate rises from {rule['order'][0]} to {rule['order'][-1]}: "
        f"{headline(rule)}. {told}. The claim holds if every difference between neighbours is above 0 with its whole "
        "interval, and is refuted if one is below."
    )


def judge(cube: xr.Dataset, prediction: Mapping[str, Any], rule: Mapping[str, Any]) -> Judgement:
    accuracy = _over_the_rest(honest_best(score(cube)), rule)
    predicted = _predicted(prediction, rule)
    noisy, expected = _under_noise(accuracy), _under_noise(predicted)
    n = noisy.sizes["seed"]
    pairs = list(pairwise(rule["order"]))
    steps = seed_means(_steps(noisy, rule), rule["along"], comparisons=len(pairs))
    verdict, p_value = every_above(steps, 0.0, together=True)
    differences = [
        _points(f"accuracy, {b} minus {a}", step, float(said), n)
        for (a, b), step, said in zip(pairs, steps, _steps(expected, rule).values, strict=True)
    ]
    finding = _finding(noisy.mean("seed"), rule, steps)
    curves = Curves(accuracy, predicted)
    several = accuracy.sizes["alpha"] > 1
    return Judgement(
        verdict,
        finding,
        [*sorted(differences, key=lambda number: number.value or 0.0), *_drops(accuracy, predicted, rule)],
        (curves.figure(finding, name=f"order_of_{rule['along']}"),) if several else (),
        (curves.table(),),
        _limits(accuracy, expected, len(steps)),
        REFERENCES,
        p_value,
    )


def _predicted(prediction: Mapping[str, Any], rule: Mapping[str, Any]) -> xr.DataArray:
    """Predicted accuracy at the best learning rate, with the dims `along` (in the order of the rule) and alpha."""
    surface = linearised.from_json(prediction["linearised"])["accuracy"]
    return _over_the_rest(surface.max("learning_rate"), rule)


def _over_the_rest(accuracy: xr.DataArray, rule: Mapping[str, Any]) -> xr.DataArray:
    """Mean over all dims but `along`, alpha and seed; NaN where one is not known."""
    rest = [dim for dim in accuracy.dims if dim not in (rule["along"], "alpha", "seed")]
    return accuracy.mean(rest, skipna=False).sel({rule["along"]: rule["order"]}).transpose(rule["along"], "alpha", ...)


def _under_noise(accuracy: xr.DataArray) -> xr.DataArray:
    """Mean over α above 0."""
    return accuracy.sel(alpha=accuracy["alpha"] > 0).mean("alpha", skipna=False)


def _steps(values: xr.DataArray, rule: Mapping[str, Any]) -> xr.DataArray:
    """Each value minus the one before it in the order."""
    return values.diff(rule["along"]).transpose(rule["along"], ...)


def _finding(mean: xr.DataArray, rule: Mapping[str, Any], steps: Sequence[Estimate]) -> str:
    """The accuracies, and which neighbours stand the other way round, or cannot be told apart."""
    order = rule["order"]
    left = ", ".join(f"{100 * float(a):.1f} % ({value})" for value, a in zip(order, mean.values, strict=True))
    pairs = list(zip(pairwise(order), steps, strict=True))
    turned = [f"{a} above {b}" for (a, b), step in pairs if step.high < 0]
    unclear = [f"{a} and {b}" for (a, b), step in pairs if not (step.low > 0 or step.high < 0)]
    told = [f"The other way round: {', '.join(turned)}."] * bool(turned)
    told += [f"Not told apart: {', '.join(unclear)}."] * bool(unclear)
    return f"Under noise the accuracy left is {left}. {' '.join(told) or 'Every step is in the order said.'}"


def _drops(accuracy: xr.DataArray, predicted: xr.DataArray, rule: Mapping[str, Any]) -> list[Number]:
    """What noise costs against α = 0 of the same seeds, where the grid has it."""
    if not bool((accuracy["alpha"] == 0).any()):
        return []
    n = accuracy.sizes["seed"]
    lost = seed_means(accuracy.sel(alpha=0) - _under_noise(accuracy), rule["along"])
    expected = (predicted.sel(alpha=0) - _under_noise(predicted)).values
    return [
        _points(f"accuracy lost to noise, {value}", drop, float(said), n)
        for value, drop, said in zip(rule["order"], lost, expected, strict=True)
    ]


def _points(label: str, difference: Estimate, predicted: float, n: int) -> Number:
    """A difference of accuracies with its limits in points, and the predicted one where the theory is not silent."""
    note = "" if np.isnan(predicted) else f"predicted: {100 * predicted:.1f}"
    return number(label, difference, n, "points", scale=100, note=note)


def _limits(accuracy: xr.DataArray, expected: xr.DataArray, steps: int) -> list[str]:
    noisy = accuracy["alpha"].values[accuracy["alpha"].values > 0]
    over = ", ".join(f"{alpha:g}" for alpha in noisy)
    limits = [
        f"The order is that of the mean over α = {over}; at a single α neighbours may stand otherwise, see the table.",
        "One data set and one budget: a longer run, or other images, may order them otherwise.",
    ]
    if steps > 1:
        limits.append(f"The intervals of the {steps} differences hold together (Bonferroni), so each is a little wide.")
    if not bool(expected.notnull().all()):
        limits.append("The linearised theory is silent on some of these settings; no difference is predicted there.")
    return limits
