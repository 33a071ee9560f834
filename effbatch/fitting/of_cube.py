"""A cube -> everything that it says about learning rates, as one answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import product
from typing import Any

import xarray as xr

from effbatch.core.errors import InputError
from effbatch.core.pages import Shown
from effbatch.fitting.best_rate import FitOutcome, best_learning_rates
from effbatch.fitting.collapse import Collapse, collapse_exponent
from effbatch.fitting.compare import compare_all
from effbatch.fitting.law_fits import exponents
from effbatch.fitting.steps import best_steps
from effbatch.plan.cube import place_text
from effbatch.plan.words import list_in_words


@dataclass(frozen=True, kw_only=True)
class Fit(Shown):
    """What one cube says about learning rates; `fit` returns it and `effbatch.plot` draws it.

    best        best rate and accuracy of every setting: `best_learning_rates`
    exponents   powers of batch size and 1 + α that the best rates follow: `exponents`
    laws        error and regret of every known law on cells that it has not seen: `compare_all`
    steps       steps to the target at the best rate: `best_steps`; None without a target
    collapses   the collapse of these steps, `collapse_exponent`, by the values of the grid's other dimensions, such as
                "network mlp1", or by "" where there are none
    cube        the fitted cube
    """

    best: xr.Dataset
    exponents: xr.Dataset
    laws: xr.Dataset
    steps: xr.Dataset | None
    collapses: Mapping[str, Collapse]
    cube: xr.Dataset = field(repr=False)

    @property
    def collapse(self) -> Collapse | None:
        """The only one of `collapses`, None without a target; InputError where there are several."""
        if len(self.collapses) > 1:
            raise InputError(
                f"one collapse needs one network and data set, got {', '.join(self.collapses)}: take one of `collapses`"
            )
        return next(iter(self.collapses.values()), None)

    def to_dict(self) -> dict[str, Any]:
        """As JSON holds it: a row per setting, exponent and law, and sentences; what cannot be told is null."""
        return {
            "best_learning_rates": _best_rates(self.best),
            "exponents": _exponents(self.exponents),
            "laws": _laws(self.laws),
            "collapse": [
                f"{where}: {said}" if where and not i else said
                for where, one in self.collapses.items()
                for i, said in enumerate(one.sentences)
            ]
            or None,
        }


def fit(cube: xr.Dataset, *, target: float | None = None) -> Fit:
    """Fit the best learning rates of a cube and their exponents, and compare every known law with them.

    cube    as `open_cube` returns it
    target  a test accuracy from 0 to 1: then also the steps to it, and their collapse on B/(1+α)^δ
    Intervals are at 95 %. Raises InputError for learning rates that are not positive and for a target out of range.

    >>> fitted = effbatch.fit(effbatch.open_cube("simulations/results/cifar10", "recipe_resnet8gn"))
    >>> fitted.exponents["exponent"].round(1).values.tolist()  # of B and of 1 + α
    [0.3, -1.0]
    """
    best = best_learning_rates(cube)
    steps = None if target is None else best_steps(cube, target)
    return Fit(
        best=best,
        exponents=exponents(best),
        laws=compare_all(best, cube),
        steps=steps,
        collapses={} if steps is None else _collapses(steps["seed_steps"]),
        cube=cube,
    )


def _collapses(steps: xr.DataArray) -> dict[str, Collapse]:
    others = [dim for dim in steps.dims if dim not in ("alpha", "batch_size", "seed")]
    places = [dict(zip(others, values, strict=True)) for values in product(*(steps[dim].values for dim in others))]
    return {
        ", ".join(f"{list_in_words(dim)} {place_text(value)}" for dim, value in place.items()): collapse_exponent(
            steps.sel(place, drop=True)
        )
        for place in places
    }


def _best_rates(best: xr.Dataset) -> list[dict[str, Any]]:
    dims = list(best["outcome"].dims)
    return [
        {
            **{str(dim): cell[dim].item() for dim in dims},
            "best_learning_rate": _number(cell["best_learning_rate"]),
            "low": _number(cell["low"]) or None,  # 0: open
            "high": _number(cell["high"]),
            "best_accuracy": _number(cell["best_accuracy"]),
            "n": int(cell["seeds"]),
            "outcome": FitOutcome(int(cell["outcome"])).name.lower(),  # type: ignore[call-arg]
        }
        for cell in _each(best, dims)
    ]


def _exponents(powers: xr.Dataset) -> list[dict[str, Any]]:
    dims = list(powers["exponent"].dims)
    return [
        {
            **{str(dim): row[dim].item() for dim in dims},
            **{key: _number(row[key]) for key in ("exponent", "low", "high")},
            "n": int(row["cells"]),
        }
        for row in _each(powers, dims)
    ]


def _laws(compared: xr.Dataset) -> list[dict[str, Any]]:
    rows = [
        {
            "law": str(law["law"].values),
            **{key: _number(law[key]) for key in ("median_error", "low", "high", "quantile90")},
            **{key: _number(100 * law[key]) for key in ("regret", "regret95")},
            "n": int(law["cells"]),
            "how": str(law["how"].values),
        }
        for law in _each(compared, ["law"])
        if int(law["pairs"])
    ]
    return sorted(rows, key=lambda row: row["median_error"])


def _each(dataset: xr.Dataset, dims: list[Any]) -> list[xr.Dataset]:
    stacked = dataset.stack(row=dims)
    return [stacked.isel(row=i) for i in range(stacked.sizes["row"])]


def _number(value: Any) -> float | None:
    """A finite number of an array, or None."""
    number = float(value)
    return number if abs(number) < float("inf") else None
