"""Claim: the accuracy at the best learning rate, as a function of α, is the one predicted before training.

Rule: the root-mean-square difference between predicted and measured accuracy over the curve is at most `max_rmse`;
its interval comes from resampling the seeds.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr
from scipy import stats

from effbatch.claims import linearised
from effbatch.claims.base import Judgement, Setup, at_most, number
from effbatch.claims.honest import honest_best
from effbatch.cube import num_classes, score
from effbatch.exhibits import Axis, Figure, Number, Panel, Series, Table
from effbatch.fitting.resampling import Estimate, over_seeds
from effbatch.noise import UniformNoise

RULE: Mapping[str, Any] = {"max_rmse": 0.05}
REFERENCES = (
    "Rolnick, Veit, Belongie, Shavit (2017), Deep Learning is Robust to Massive Label Noise, arXiv:1705.10694",
    "Bordelon, Pehlevan (2022), Learning Curves for SGD on Structured Features, arXiv:2106.02713",
)


def predict(setup: Setup) -> dict[str, Any]:
    """The linearised theory's accuracy at every cell, from the untrained networks."""
    return {"linearised": linearised.to_json(linearised.surface(setup))}


def headline(rule: Mapping[str, Any]) -> str:
    return f"error of the predicted curve at most {100 * rule['max_rmse']:g} points"


def describe(prediction: Mapping[str, Any], rule: Mapping[str, Any]) -> str:
    predicted = linearised.from_json(prediction["linearised"])["accuracy"].max("learning_rate")
    if not bool(predicted.notnull().any()):
        return "The linearised theory says nothing about training like this: there is nothing to judge."
    curves = _curves(predicted)
    first, last = (f"α = {float(curves[0][1].alpha[i]):g}" for i in (0, -1))
    lines = [f"{label} {_percent(c.values[0])} at {first}, {_percent(c.values[-1])} at {last}" for label, c in curves]
    return (
        "Linearised SGD with label noise, computed from the untrained networks, predicts the accuracy at the best "
        f"learning rate: {'; '.join(lines)}. The claim holds if the root-mean-square error over all points is at most "
        f"{rule['max_rmse'] * 100:g} percentage points."
    )


def judge(cube: xr.Dataset, prediction: Mapping[str, Any], rule: Mapping[str, Any]) -> Judgement:
    predicted = linearised.from_json(prediction["linearised"])["accuracy"].max("learning_rate")
    measured = honest_best(score(cube))
    n = measured.sizes["seed"]
    mean, low, high = _interval(measured)
    rmse = _rmse(measured, predicted)
    verdict = at_most(rmse.low, rmse.high, rule["max_rmse"])
    chance = 1 / num_classes(cube)
    gap = 100 * (mean - predicted)
    finding = (
        f"Predicted and measured accuracy differ by {100 * rmse.value:.1f} points "
        f"(root mean square, {mean.size} points)."
    )
    last = float(mean.alpha[-1])
    wrong = float(UniformNoise(last, num_classes(cube)).noise_rate)
    rest = (
        f"At α = {last:g}, with {100 * wrong:.0f} % of the labels wrong, the networks still reach "
        f"{_span(mean.isel(alpha=-1))}; chance is {_percent(chance)}."
    )
    numbers = [
        number("RMSE of predicted accuracy", rmse, n, "points", scale=100),
        Number("threshold of the rule", rule["max_rmse"] * 100, unit="points", exact=True),
        *_last_points(mean, low, high, n),
    ]
    limits = [
        "The theory freezes the features at initialisation; networks that learn features leave it. Measured minus "
        f"predicted runs from {float(gap.min()):+.1f} to {float(gap.max()):+.1f} points.",
        "The learning rate of each seed is chosen on the other seeds, so that choosing does not flatter the accuracy."
        if n > 1
        else "One seed: its learning rate is chosen on its own test accuracy, which flatters it.",
    ]
    return Judgement(
        verdict,
        f"{finding} {rest}",
        numbers,
        (_figure(mean, low, high, predicted, n, finding),),
        (_table(mean, low, high, predicted, n),),
        limits,
        REFERENCES,
        p_value=rmse.p_value(rule["max_rmse"]),
    )


def _interval(measured: xr.DataArray) -> tuple[xr.DataArray, xr.DataArray, xr.DataArray]:
    """Mean over seeds with its 95 % Student interval; NaN limits where there is one seed."""
    n = measured.sizes["seed"]
    mean = measured.mean("seed")
    half = stats.t.ppf(0.975, n - 1) * measured.std("seed", ddof=1) / np.sqrt(n) if n > 1 else mean * np.nan
    return mean, mean - half, mean + half


def _rmse(measured: xr.DataArray, predicted: xr.DataArray) -> Estimate:
    """RMSE of the seed-mean curve, resampling seeds."""
    measured, predicted = xr.align(measured, predicted, join="exact")
    error = (measured - predicted.broadcast_like(measured)).transpose("seed", ...).values
    return over_seeds(error.reshape(len(error), -1), lambda means: np.sqrt((means**2).mean(axis=1)))


def _curves(values: xr.DataArray) -> list[tuple[str, xr.DataArray]]:
    """One curve over alpha per combination of the other dims, with its label."""
    others = [dim for dim in values.dims if dim != "alpha"]
    if not others:
        return [("accuracy", values)]
    stacked = values.stack(curve=others).transpose("curve", "alpha")
    varied = [i for i, dim in enumerate(others) if values.sizes[dim] > 1]
    names = [", ".join(_name(others[i], key[i]) for i in varied) or "accuracy" for key in stacked.curve.values]
    return [(name, stacked.isel(curve=i)) for i, name in enumerate(names)]


def _name(dim: object, value: object) -> str:
    return str(value) if isinstance(value, str) else f"{dim} {value:g}"


def _last_points(mean: xr.DataArray, low: xr.DataArray, high: xr.DataArray, n: int) -> list[Number]:
    """The measured accuracy of every curve at the largest α."""
    numbers = []
    for (label, c), (_, lo), (_, hi) in zip(_curves(mean), _curves(low), _curves(high), strict=True):
        value, below, above = (100 * float(x[-1]) for x in (c, lo, hi))
        numbers.append(Number(f"accuracy of {label} at α = {float(c.alpha[-1]):g}", value, below, above, n, "%"))
    return numbers


def _figure(mean, low, high, predicted, n: int, finding: str) -> Figure:
    x = 1 + mean.alpha.values
    series = []
    for (label, c), (_, lo), (_, hi), (_, p) in zip(
        *(map(_curves, (mean, low, high, predicted.broadcast_like(mean)))), strict=True
    ):
        series.append(Series(f"{label}, measured", "measured", x, c.values, lo.values, hi.values, group=label))
        series.append(Series(f"{label}, predicted", "predicted", x, p.values, group=label))
    panel = Panel(
        Axis("1 + α (labels per clean label)", "log", ticks=tuple(x)),
        Axis("test accuracy", domain=(0, 1)),
        tuple(series),
    )
    caption = f"{finding} Points: mean and 95 % interval over {n} seeds. Lines: predicted before training."
    return Figure("accuracy_against_alpha", caption, (panel,))


def _table(mean, low, high, predicted, n: int) -> Table:
    rows = []
    for (label, c), (_, lo), (_, hi), (_, p) in zip(
        *(map(_curves, (mean, low, high, predicted.broadcast_like(mean)))), strict=True
    ):
        rows += [
            [label, float(a), 100 * q, 100 * m, f"{100 * below:.1f} to {100 * above:.1f}", n]
            for a, q, m, below, above in zip(c.alpha.values, p.values, c.values, lo.values, hi.values, strict=True)
        ]
    columns = ("network", "α", "predicted, %", "measured, %", "95 % interval", "n")
    return Table(
        "accuracy",
        "Accuracy at the best learning rate, predicted and measured.",
        columns,
        rows,
        ("", "g", ".1f", ".1f", "", "d"),
    )


def _span(values: xr.DataArray) -> str:
    low, high = float(values.min()), float(values.max())
    return _percent(low) if low == high else f"{_percent(low)} to {_percent(high)}"


def _percent(value: float) -> str:
    return f"{100 * float(value):.0f} %"
