"""Claim: how label noise moves the best batch size, as the linearised theory predicts it before the run.

Rule: `measure` has the predicted sign for every budget and kind of copies of the grid and every way of choosing the
learning rate in `rates`, as far as the theory says one; supported where every interval lies on the predicted side of 0,
refuted where one lies on the other side.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from effbatch.claims.base import Claim, Setup
from effbatch.claims.shared import linearised, stored
from effbatch.claims.shared.accuracy_curves import ACCURACY, estimated
from effbatch.claims.shared.case import Case
from effbatch.claims.shared.grid import only
from effbatch.claims.shared.judgement import Judgement, every_above
from effbatch.core.errors import SpecError
from effbatch.core.estimate import Estimate
from effbatch.core.figures import Figure, Number, Panel, Series, Table, noise_axis
from effbatch.core.formats import number_text
from effbatch.fitting.honest import honest_best
from effbatch.fitting.peak import peak
from effbatch.fitting.resampling import over_seeds
from effbatch.laws.bibliography import BORDELON_2022, ROLNICK_2017
from effbatch.plan.cube import CORE_DIMS, score
from effbatch.plan.keys import key

INFINITE = "expected"  # copies of an infinite batch: a curve to compare with, not judged
COPIES = ("fresh", "fixed")

Array = NDArray[np.float64]
Arms = Mapping[str, xr.DataArray]  # accuracy by alpha, batch_size and seed, of every way of training judged


@dataclass(frozen=True, kw_only=True)
class Measure:
    """What is said of accuracies: `of` takes (alphas, batches, means (..., alphas, batches)) to a number."""

    of: Callable[[Array, Array, Array], Array]
    headline: str
    predicted: str  # how the predicted number is introduced, and the measured one
    found: str
    label: str
    unit: str
    scale: float
    form: str

    def text(self, value: float) -> str:
        return f"{self.scale * value:{self.form}} {self.unit}".rstrip()

    def estimate(self, arm: xr.DataArray, sign: float = 1.0) -> Estimate:
        """Of a measured arm, over seeds."""
        return over_seeds(arm.values, lambda means: sign * self.of(*_grid(arm), means))

    def told(self, arm: xr.DataArray) -> float | None:
        """Of a predicted arm; None where the theory is silent."""
        return float(self.of(*_grid(arm), arm.values)[0]) if bool(arm.notnull().all()) else None


def _advantage(alphas: Array, batches: Array, means: Array) -> Array:
    """Accuracy of the largest batch minus that of the smallest, at the largest α minus at the smallest."""
    gain = means[..., -1] - means[..., 0]
    return gain[..., -1] - gain[..., 0]


def _shift(alphas: Array, batches: Array, means: Array) -> Array:
    """Slope of log2(best batch) on log2(1 + α); the best batch by the parabola of `peak`, or an edge of the grid."""
    x = np.log2(1 + alphas) - np.log2(1 + alphas).mean()
    return peak(np.log2(batches), means).location @ x / (x**2).sum()


MEASURES = {
    "advantage": Measure(
        of=_advantage,
        headline="gain of large batches",
        predicted="the gain in accuracy of the largest over the smallest batch changes, from the least noise to the "
        "most, by",
        found="With noise, the lead in accuracy of the largest batch over the smallest changes by",
        label="lead of large batches, most minus least noise",
        unit="points",
        scale=100.0,
        form="+.1f",
    ),
    "best_batch": Measure(
        of=_shift,
        headline="shift of the best batch",
        predicted="the best batch goes as 1 + α to the power",
        found="With noise, the best batch goes as 1 + α to the power",
        label="exponent of the best batch in 1 + α",
        unit="",
        scale=1.0,
        form="+.2f",
    ),
}


@dataclass(frozen=True)
class BestBatchClaim(Claim):
    """Noise moves the best batch size as predicted."""

    asks = "noise moves the best batch as predicted"
    references = (ROLNICK_2017.bibtex, BORDELON_2022.bibtex)

    measure: str = key(
        "advantage", "the `advantage` of large batches under noise, or how the `best_batch` goes", choices=MEASURES
    )
    rates: tuple[str, ...] = key(
        ("tuned",),
        "`tuned`: the best rate of every setting; `clean`: that of each batch at the smallest α, for all α",
        takes=str,
        many=True,
        choices=("tuned", "clean"),
    )

    @property
    def headline(self) -> str:
        return f"{MEASURES[self.measure].headline} with noise has the predicted sign ({', '.join(self.rates)} rates)"

    def predict(self, setup: Setup) -> dict[str, Any]:
        """The linearised theory's accuracy of every cell, and the measure in every arm; null where it says nothing."""
        if not self.rates:
            raise SpecError('[claim] rates needs at least one of "tuned" and "clean", got []: name one')
        prediction = linearised.prediction(setup)
        arms = _arms(stored.theory(prediction)["accuracy"].expand_dims(seed=[0]), self.rates)
        return prediction | {"arms": {name: MEASURES[self.measure].told(arm) for name, arm in arms.items()}}

    def describe(self, prediction: Mapping[str, Any]) -> str:
        measure = MEASURES[self.measure]
        told = [
            f"{name}: {'nothing' if value is None else measure.text(value)}"
            for name, value in prediction["arms"].items()
        ]
        return (
            f"Linearised SGD with label noise, computed from the untrained networks, says that {measure.predicted}: "
            f"{'; '.join(told)}. Supported if every one has this sign with its whole interval, refuted if one has the "
            "other."
        )

    def judge(self, case: Case) -> Judgement:
        measure, predicted = MEASURES[self.measure], case.prediction["arms"]
        arms = _arms(score(case.cube), self.rates)
        theory = _arms(case.theory["accuracy"].expand_dims(seed=[0]), self.rates)
        measured = {name: measure.estimate(arm) for name, arm in arms.items()}
        signed = [measure.estimate(arms[name], np.sign(value)) for name, value in predicted.items() if value]
        verdict, p_value = every_above(signed, 0.0)
        finding, numbers = _finding(measured, predicted, measure), _numbers(measured, predicted, measure)
        return Judgement(
            verdict=verdict,
            finding=finding,
            numbers=numbers,
            plain=f"{measure.found} {number_text(numbers[0])} ({numbers[0].note}).",
            figures=(_figure(case, arms, theory, finding),),
            tables=(_table(arms, theory),),
            limits=_limits(arms, predicted),
            p_value=p_value,
        )


def _arms(accuracy: xr.DataArray, rates: Sequence[str]) -> Arms:
    """By name: accuracy (seed, alpha, batch_size) at the chosen rates, for every budget and kind of finite copies."""
    varied = [dim for dim in ("copies", "budget") if dim in accuracy.dims]
    accuracy = only(accuracy, (*CORE_DIMS, *varied), what="the claim best_batch").sortby(["alpha", "batch_size"])
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


def _finding(measured: Mapping[str, Estimate], predicted: Mapping[str, Any], measure: Measure) -> str:
    told = [
        f"{measure.text(measured[name].floats.value)} ({name}"
        + (f"; predicted {measure.text(predicted[name])})" if predicted[name] else ")")
        for name in [name for name in measured if predicted[name]] or measured
    ]
    return f"{measure.found} {', '.join(told)}."


def _numbers(measured: Mapping[str, Estimate], predicted: Mapping[str, Any], measure: Measure) -> list[Number]:
    numbers = []
    for name in sorted(measured, key=lambda name: not predicted[name]):  # those that are judged come first
        value = predicted[name]
        said = "the theory says nothing" if value is None else f"predicted {measure.text(value)}"
        label = f"{measure.label}, {name}"
        numbers.append(Number(label, measured[name].times(measure.scale), measure.unit, said, difference=True))
    return numbers


def _limits(arms: Arms, predicted: Mapping[str, Any]) -> list[str]:
    limits = []
    if silent := [name for name, value in predicted.items() if not value]:
        limits.append(f"The theory predicts no change, or nothing, for {'; '.join(silent)}: no sign is judged there.")
    if edges := sum(int(np.isin(_best(arm), _grid(arm)[1][[0, -1]]).sum()) for arm in arms.values()):
        cells = sum(arm.sizes["alpha"] for arm in arms.values())
        limits.append(
            f"In {edges} of {cells} settings the best batch is the smallest or largest of the grid: it may lie beyond."
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


def _figure(case: Case, arms: Arms, theory: Arms, finding: str) -> Figure:
    panels = []
    for name, arm in arms.items():
        x = arm["alpha"].values
        series = []
        for batch in arm["batch_size"].values:
            group, at = f"B = {batch}", arm.sel(batch_size=batch).transpose("alpha", "seed").values
            points = [over_seeds(100 * values[:, None], lambda means: means[:, 0]) for values in at]
            series.append(estimated(f"{group}, measured", x, points, group=group))
            predicted = 100 * theory[name].sel(batch_size=batch).isel(seed=0).values
            series.append(Series(f"{group}, predicted", "predicted", x, predicted, group=group))
        series += _infinite(case.cube, x) if name.endswith("tuned rate") else []
        axes = noise_axis(x), ACCURACY
        panels.append(Panel(*axes, tuple(series), name))
    seeds = next(iter(arms.values())).sizes["seed"]
    caption = f"{finding} Points: mean and 95 % interval over {seeds} seeds. Lines: predicted before training."
    return Figure(case.name, caption, tuple(panels))


def _infinite(cube: xr.Dataset, x: Array) -> list[Series]:
    """Accuracy with the mean label of infinitely many copies, at the largest batch of images, where it was run."""
    if "copies" not in cube.dims or INFINITE not in cube["copies"].values:
        return []
    largest = score(cube).sel(copies=INFINITE, batch_size=cube["batch_size"].max(), drop=True)
    accuracy = honest_best(only(largest, ("alpha", "learning_rate", "seed"), what="the claim best_batch"))
    group = "infinite copies"
    return [Series(group, "measured", x, 100 * accuracy.mean("seed").sortby("alpha").values, group=group)]


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
