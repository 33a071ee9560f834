"""Accuracy over a grid, measured and predicted -> one curve per setting along one dimension: figure and table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from effbatch.claims.shared.seed_mean import seed_mean
from effbatch.core.estimate import Estimate
from effbatch.core.figures import Axis, Figure, Panel, Series, Table, noise_axis
from effbatch.plan.words import list_in_words, value_in_words

ACCURACY = Axis("test accuracy, %", domain=(0, 100))


class Curve(NamedTuple):
    """One curve: mean over seeds, its interval and the prediction, each along one dimension."""

    label: str
    measured: xr.DataArray
    low: xr.DataArray
    high: xr.DataArray
    predicted: xr.DataArray


@dataclass(frozen=True)
class Curves:
    """Accuracies `measured`, with the dim seed, and `predicted`, without it, as curves along the dim `along`."""

    measured: xr.DataArray
    predicted: xr.DataArray
    along: str = "alpha"

    @property
    def seeds(self) -> int:
        return self.measured.sizes["seed"]

    @property
    def symbol(self) -> str:
        """How the text names the dimension."""
        return list_in_words(self.along)

    def __iter__(self) -> Iterator[Curve]:
        values = seed_mean(self.measured)
        kinds = [by_setting(v, self.along) for v in (*values, self.predicted.broadcast_like(values[0]))]
        for same in zip(*kinds, strict=True):
            yield Curve(same[0][0], *(curve for _, curve in same))

    def figure(self, finding: str, *, name: str) -> Figure:
        """Measured points with intervals and predicted lines, under what was found."""
        x = self.measured[self.along].values
        axis = noise_axis(x) if self.along == "alpha" else Axis(self.symbol, ticks=tuple(x))
        series = []
        for label, c, low, high, p in self:
            mean, least, most = (100 * values.values for values in (c, low, high))
            series.append(Series(f"{label}, measured", "measured", x, mean, low=least, high=most, group=label))
            series.append(Series(f"{label}, predicted", "predicted", x, 100 * p.values, group=label))
        caption = f"{finding} Mean and 95 % interval over {self.seeds} seeds; predicted before training."
        return Figure(name, caption, (Panel(axis, ACCURACY, tuple(series)),))

    def table(self) -> Table:
        rows = []
        for label, c, low, high, p in self:
            rows += [
                [label, float(a), 100 * q, Estimate(m, below, above).times(100), self.seeds]
                for a, q, m, below, above in zip(
                    c[self.along].values, p.values, c.values, low.values, high.values, strict=True
                )
            ]
        heading = ", ".join(map(list_in_words, _varied(self.predicted, self.along))) or "setting"
        columns = (heading, self.symbol, "predicted, %", "measured, % [95 % interval]", "n")
        return Table(
            "accuracy",
            f"Accuracy at the best learning rate. {self._farthest()}",
            columns,
            rows,
            ("", "g", ".1f", "", "d"),
        )

    def _farthest(self) -> str:
        """Where prediction and measurement differ most, in a sentence; empty where nothing was predicted."""
        gaps = [
            (abs(float(m) - float(q)), label, float(a), 100 * float(q), 100 * float(m))
            for label, c, _, _, p in self
            for a, q, m in zip(c[self.along].values, p.values, c.values, strict=True)
            if float(m) == float(m) and float(q) == float(q)
        ]
        if not gaps:
            return "Nothing was predicted."
        _, label, at, predicted, measured = max(gaps)
        return (
            f"Prediction and measurement differ most at {label}, {self.symbol} = {at:g}: {predicted:.1f} % against "
            f"{measured:.1f} %."
        )


def by_setting(values: xr.DataArray, along: str) -> list[tuple[str, xr.DataArray]]:
    """One curve along `along` per combination of the other dims, with its label."""
    others = [dim for dim in values.dims if dim != along]
    if not others:
        return [("accuracy", values)]
    stacked = values.stack(curve=others).transpose("curve", along)
    varied = [others.index(dim) for dim in _varied(values, along)]
    names = [", ".join(value_in_words(others[i], key[i]) for i in varied) or "accuracy" for key in stacked.curve.values]
    return [(name, stacked.isel(curve=i)) for i, name in enumerate(names)]


def percent(value: float) -> str:
    return f"{100 * float(value):.0f} %"


def _varied(values: xr.DataArray, along: str) -> list[str]:
    return [str(dim) for dim in values.dims if dim != along and values.sizes[dim] > 1]


def estimated(name: str, x: Any, estimates: Sequence[Estimate], *, group: str) -> Series:
    """Measured points with the intervals of these estimates."""
    value, low, high = np.array([one.floats for one in estimates]).T
    return Series(name, "measured", x, value, low=low, high=high, group=group)
