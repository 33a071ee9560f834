"""Claim: how label noise moves the best batch size, as the linearised theory predicts it before the run.

Rule: `measure` has the predicted sign for every budget and kind of copies of the grid and every way of choosing the
learning rate in `rates`, as far as the theory says one; supported where every interval lies on the predicted side of 0,
refuted where one lies on the other side.

measure = "advantage"   accuracy of the largest minus that of the smallest batch, at the largest α minus at the smallest
measure = "best_batch"  slope of log2(best batch) on log2(1 + α)
rates   "tuned": the best rate of every setting; "clean": for each batch size the rate best at the smallest α, for all α
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import product
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from effbatch.claims.base import Judgement, Setup, every_above, number
from effbatch.claims.shared import linearised
from effbatch.core.errors import CubeError, SpecError, hint
from effbatch.core.figures import Axis, Figure, Number, Panel, Series, Table
from effbatch.fitting import Estimate
from effbatch.fitting.honest import honest_best
from effbatch.fitting.peak import peak
from effbatch.fitting.resampling import over_seeds
from effbatch.laws.bibliography import BORDELON_2022, ROLNICK_2017
from effbatch.plan.cube import CORE_DIMS, score

RULE: Mapping[str, Any] = {"measure": "advantage", "rates": ["tuned"]}
REFERENCES = (ROLNICK_2017.bibtex, BORDELON_2022.bibtex)
INFINITE = "expected"  # copies of an infinite batch: a curve to compare with, not judged
COPIES = ("fresh", "fixed")

Array = NDArray[np.float64]
Arms = Mapping[
    str, xr.DataArray
]  # accuracy by alpha, batch_size and seed, of every budget, kind of copies, and way to choose the rate


def predict(setup: Setup) -> dict[str, Any]:
    """The linearised theory's accuracy of every cell, and the measure in every arm; null where it says nothing."""
    measure = _measure(setup.rule)
    surface = linearised.surface(setup)
    arms = _arms(surface["accuracy"].expand_dims(seed=[0]), setup.rule["rates"])
    return {
        "linearised": linearised.to_json(surface),
        "arms": {name: _told(arm, measure) for name, arm in arms.items()},
    }


def headline(rule: Mapping[str, Any]) -> str:
    what = "gain of large batches" if rule["measure"] == "advantage" else "shift of the best batch"
    return f"{what} with noise has the predicted sign ({', '.join(rule['rates'])} rates)"


def describe(prediction: Mapping[str, Any], rule: Mapping[str, Any]) -> str:
    told = [
        f"{name}: {_text(value, rule)}" if value is not None else f"{name}: nothing"
        for name, value in prediction["arms"].items()
    ]
    what = (
        "the gain in accuracy of the largest over the smallest batch changes, from the least noise to the most, by"
        if rule["measure"] == "advantage"
        else "the best batch goes as 1 + α to the power"
    )
    return (
        f"Linearised SGD with label noise, computed from the untrained networks, says that {what}: {'; '.join(told)}. "
        "Supported if every one has this sign with its whole interval, refuted if one has the other."
    )


def judge(cube: xr.Dataset, prediction: Mapping[str, Any], rule: Mapping[str, Any]) -> Judgement:
    accuracy = score(cube)
    arms = _arms(accuracy, rule["rates"])
    measure = _measure(rule)
    predicted = {name: value for name, value in prediction["arms"].items() if value}
    measured = {name: _estimate(arm, measure) for name, arm in arms.items()}
    signed = [_estimate(arms[name], _turned(measure, np.sign(value))) for name, value in predicted.items()]
    verdict, p_value = every_above(signed, 0.0)
    surface = linearised.from_json(prediction["linearised"])["accuracy"].expand_dims(seed=[0])
    theory = _arms(surface, rule["rates"])
    n = next(iter(arms.values())).sizes["seed"]
    finding = _finding(measured, prediction["arms"], rule)
    return Judgement(
        verdict,
        finding,
        _numbers(measured, prediction["arms"], rule, n),
        (_figure(cube, arms, theory, finding),),
        (_table(arms, theory),),
        _limits(arms, prediction["arms"], rule),
        REFERENCES,
        p_value=p_value,
    )


def _advantage(alphas: Array, batches: Array, means: Array) -> Array:
    """Accuracy of the largest batch minus that of the smallest, at the largest α minus at the smallest."""
    gain = means[..., -1] - means[..., 0]
    return gain[..., -1] - gain[..., 0]


def _shift(alphas: Array, batches: Array, means: Array) -> Array:
    """Slope of log2(best batch) on log2(1 + α); the best batch by the parabola of `peak`, or an edge of the grid."""
    x = np.log2(1 + alphas) - np.log2(1 + alphas).mean()
    return peak(np.log2(batches), means).location @ x / (x**2).sum()


_MEASURES: Mapping[str, Callable[[Array, Array, Array], Array]] = {"advantage": _advantage, "best_batch": _shift}


def _measure(rule: Mapping[str, Any]) -> Callable[[Array, Array, Array], Array]:
    name = rule["measure"]
    if name not in _MEASURES:
        raise SpecError(f"[claim] measure = {name!r} is not known; {hint(name, _MEASURES)}", measure=name)
    if not rule["rates"] or not set(rule["rates"]) <= {"tuned", "clean"}:
        raise SpecError(f'[claim] rates must be a list of "tuned" and "clean"; {rule["rates"]} came')
    return _MEASURES[name]


def _turned(measure: Callable[[Array, Array, Array], Array], sign: float) -> Callable[[Array, Array, Array], Array]:
    return lambda alphas, batches, means: sign * measure(alphas, batches, means)


def _arms(accuracy: xr.DataArray, rates: Sequence[str]) -> Arms:
    """By name: accuracy (seed, alpha, batch_size) at the chosen rates, for every budget and kind of finite copies."""
    varied = [dim for dim in ("copies", "budget") if dim in accuracy.dims]
    known = (*CORE_DIMS, *varied)
    others = [str(dim) for dim in accuracy.dims if dim not in known and accuracy.sizes[dim] > 1]
    if others:
        raise CubeError(f"best batches are judged for one way of training; the grid also varies {', '.join(others)}")
    accuracy = accuracy.squeeze([dim for dim in accuracy.dims if dim not in known], drop=True)
    accuracy = accuracy.sortby(["alpha", "batch_size"])
    arms = {}
    for *place, how in product(*(accuracy[dim].values for dim in varied), rates):
        if INFINITE in place:
            continue
        here = accuracy.sel(dict(zip(varied, place, strict=True)), drop=True)
        chosen = honest_best(here, judged_on=here if how == "tuned" else here.isel(alpha=0, drop=True))
        name = ", ".join([*(f"{at} labels" if at in COPIES else str(at) for at in place), f"{how} rate"])
        arms[name] = chosen.transpose("seed", "alpha", "batch_size")
    return arms


def _grid(arm: xr.DataArray) -> tuple[Array, Array]:
    return arm["alpha"].values.astype(float), arm["batch_size"].values.astype(float)


def _estimate(arm: xr.DataArray, measure: Callable[[Array, Array, Array], Array]) -> Estimate:
    return over_seeds(arm.values, lambda means: measure(*_grid(arm), means))


def _told(arm: xr.DataArray, measure: Callable[[Array, Array, Array], Array]) -> float | None:
    """The measure of a predicted arm; None where the theory is silent."""
    return float(measure(*_grid(arm), arm.values)[0]) if bool(arm.notnull().all()) else None


def _text(value: float, rule: Mapping[str, Any]) -> str:
    return f"{100 * value:+.1f} points" if rule["measure"] == "advantage" else f"{value:+.2f}"


def _finding(measured: Mapping[str, Estimate], predicted: Mapping[str, Any], rule: Mapping[str, Any]) -> str:
    judged = [name for name in measured if predicted[name]]
    told = [
        f"{_text(measured[name].value, rule)} ({name}"
        + (f"; predicted {_text(predicted[name], rule)})" if predicted[name] else ")")
        for name in judged or measured
    ]
    what = (
        "With noise, the lead in accuracy of the largest batch over the smallest changes by"
        if rule["measure"] == "advantage"
        else "With noise, the best batch goes as 1 + α to the power"
    )
    return f"{what} {', '.join(told)}."


def _numbers(
    measured: Mapping[str, Estimate], predicted: Mapping[str, Any], rule: Mapping[str, Any], n: int
) -> list[Number]:
    points = rule["measure"] == "advantage"
    scale, unit = (100.0, "points") if points else (1.0, "")
    label = "lead of large batches, most minus least noise" if points else "exponent of the best batch in 1 + α"
    numbers = []
    for name in sorted(measured, key=lambda name: not predicted[name]):  # those that are judged come first
        value = predicted[name]
        said = "the theory says nothing" if value is None else f"predicted {_text(value, rule)}"
        numbers.append(number(f"{label}, {name}", measured[name], n, unit, scale=scale, note=said))
    return numbers


def _limits(arms: Arms, predicted: Mapping[str, Any], rule: Mapping[str, Any]) -> list[str]:
    limits = []
    silent = [name for name, value in predicted.items() if not value]
    if silent:
        limits.append(f"The theory predicts no change, or nothing, for {'; '.join(silent)}: no sign is judged there.")
    edges = [int(np.isin(_best(arm), _grid(arm)[1][[0, -1]]).sum()) for arm in arms.values()]
    if sum(edges):
        cells = sum(arm.sizes["alpha"] for arm in arms.values())
        limits.append(
            f"In {sum(edges)} of {cells} settings the best batch is the smallest or largest of the grid: "
            "it may lie beyond."
        )
    return [
        *limits,
        "A clean rate is that of its own batch size: nothing is carried from one batch size to another.",
        "At fixed steps a larger batch sees more labels; at fixed examples it takes fewer steps.",
        "The theory freezes the features at initialisation, and knows fresh labels only: nothing is memorised.",
    ]


def _best(arm: xr.DataArray) -> Array:
    """The best batch of the grid by α."""
    return arm["batch_size"].values[arm.mean("seed").values.argmax(axis=-1)]


def _figure(cube: xr.Dataset, arms: Arms, theory: Arms, finding: str) -> Figure:
    n = next(iter(arms.values())).sizes["seed"]
    panels = []
    for name, arm in arms.items():
        x = 1 + arm["alpha"].values
        series = []
        for batch in arm["batch_size"].values:
            group = f"B = {batch}"
            series.append(_measured(arm.sel(batch_size=batch), group))
            predicted = theory[name].sel(batch_size=batch).isel(seed=0).values
            series.append(Series(f"{group}, predicted", "predicted", x, predicted, group=group))
        series += _infinite(cube, x) if name.endswith("tuned rate") else []
        axes = Axis("1 + α", "log", ticks=tuple(x)), Axis("test accuracy", domain=(0, 1))
        panels.append(Panel(*axes, tuple(series), name))
    caption = f"{finding} Points: mean and 95 % interval over {n} seeds. Lines: predicted before training."
    # several simulations may be judged by this rule in one report
    return Figure(str(cube.attrs.get("simulation", "best_batch")), caption, tuple(panels))


def _measured(accuracy: xr.DataArray, group: str) -> Series:
    points = [over_seeds(at[:, None], lambda means: means[:, 0]) for at in accuracy.transpose("alpha", "seed").values]
    value, low, high = np.array([(point.value, point.low, point.high) for point in points]).T
    return Series(f"{group}, measured", "measured", 1 + accuracy["alpha"].values, value, low, high, group=group)


def _infinite(cube: xr.Dataset, x: Array) -> list[Series]:
    """Accuracy with the mean label of infinitely many copies, at the largest batch of images, where it was run."""
    if "copies" not in cube.dims or INFINITE not in cube["copies"].values:
        return []
    largest = score(cube).sel(copies=INFINITE, batch_size=cube["batch_size"].max(), drop=True)
    known = ("alpha", "learning_rate", "seed")
    accuracy = honest_best(largest.squeeze([dim for dim in largest.dims if dim not in known], drop=True))
    group = "infinite copies"
    return [Series(group, "measured", x, accuracy.mean("seed").sortby("alpha").values, group=group)]


def _table(arms: Arms, theory: Arms) -> Table:
    rows: list[list[str | float | int | None]] = []
    for name, arm in arms.items():
        predicted = theory[name]
        for i, alpha in enumerate(arm["alpha"].values):
            means = arm.sel(alpha=alpha).mean("seed").values
            said = predicted.isel(alpha=i, seed=0).values
            best = int(predicted["batch_size"].values[said.argmax()]) if np.isfinite(said).all() else None
            told = f"{100 * means[0]:.1f} to {100 * means[-1]:.1f}"
            rows.append([name, float(alpha), best, int(_best(arm)[i]), 100 * means.max(), told, arm.sizes["seed"]])
    told_of = [row for row in rows if row[2] is not None]
    right = sum(row[2] == row[3] for row in told_of)
    return Table(
        "best_batch",
        f"The best batch of the grid is the predicted one in {right} of {len(told_of)} settings; "
        "accuracy there, and at the smallest and the largest batch.",
        ("setting", "α", "predicted", "measured", "accuracy, %", "smallest to largest, %", "n"),
        rows,
        ("", "g", "d", "d", ".1f", "", "d"),
    )
