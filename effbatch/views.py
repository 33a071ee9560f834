"""A cube and its stored prediction -> figures beyond those of its claim: accuracy over rates, best rates and laws."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from effbatch.claims import linearised
from effbatch.cube import CORE_DIMS, num_classes, resolved_spec
from effbatch.exhibits import Axis, Figure, Heat, Panel, Series
from effbatch.fitting import best_learning_rates
from effbatch.fitting.regret import seed_mean
from effbatch.laws import LAWS, Setting

LEAST = 4  # noise levels, and learning rates, that make a map
MOST_PANELS = 3  # of a kind, side by side
NOISE_LAWS = ("signal_to_noise", "clean_count", "square_root_clean_count")
BATCH_LAWS = ("linear", "square_root")
_ALPHA = "1 + α (labels per clean label)"


def figures(cube: xr.Dataset) -> list[Figure]:
    """The figures that this cube has the data for; none where the linearised theory said nothing before the run."""
    resolved = resolved_spec(cube)
    stored = json.loads(cube.attrs["predictions"])["prediction"].get("linearised")
    extra = [str(dim) for dim in cube["outcome"].dims if dim not in CORE_DIMS]
    panels = int(np.prod([cube.sizes[dim] for dim in extra])) if extra else 1
    if stored is None or panels > MOST_PANELS or min(cube.sizes["alpha"], cube.sizes["learning_rate"]) < LEAST:
        return []
    predicted = linearised.from_json(stored)["best_learning_rate"]
    if not bool(predicted.notnull().any()):
        return []
    name = resolved["simulation"]["name"]
    best = best_learning_rates(cube)
    made = [_surface(f"accuracy_map_{name}", cube, best, predicted, extra)]
    if resolved["claim"]["kind"] == "best_learning_rate" and cube.sizes["batch_size"] > 1:
        rates = _rates(f"best_rate_and_laws_{name}", best, predicted, extra)
        made += [rates] if rates.panels else []
    return made


def _surface(name: str, cube: xr.Dataset, best: xr.Dataset, predicted: xr.DataArray, extra: Sequence[str]) -> Figure:
    """Accuracy over noise and learning rate, with the best rate as predicted and as measured."""
    middle = best["batch_size"].values[best.sizes["batch_size"] // 2]
    accuracy = 100 * seed_mean(cube).sel(batch_size=middle)
    best, predicted = best.sel(batch_size=middle), predicted.sel(batch_size=middle)
    floor = 100 / num_classes(cube)
    panels = []
    for title, here in _places(best, extra):
        at, x = best.sel(here), 1 + best["alpha"].values
        shades = accuracy.sel(here).transpose("learning_rate", "alpha")
        series = (
            Series("predicted best rate", "predicted", x, predicted.sel(here).values),
            Series("measured best rate", "measured", x, at["best_learning_rate"].values, **_limits(at)),
        )
        rates = accuracy["learning_rate"].values
        heat = Heat("test accuracy, %", x, rates, shades.values, (floor, 100.0))
        panels.append(Panel(Axis(_ALPHA, "log", ticks=tuple(x)), Axis("learning rate", "log2"), series, title, heat))
    error = np.abs(np.log2((predicted / best["best_learning_rate"]).values)).ravel()
    error = error[np.isfinite(error)]
    finding = (
        f"The best rate predicted from the untrained networks is off by {np.median(error):.2f} powers of two (median "
        f"of {error.size} settings with a measured one; largest {error.max():.2f})."
        if error.size
        else "No setting has a measured best rate inside the grid."
    )
    most = int(best["seeds"].max())
    return Figure(name, f"{finding} Mean accuracy of up to {most} seeds at B = {middle}; a diverged run scores chance "
                  f"({floor:g} %).", tuple(panels))  # fmt: skip


@dataclass(frozen=True)
class _Along:
    """Best rates along one dim, at the middle value of the other."""

    words: str
    base: str  # of the power that the best rate goes as
    axis: Axis
    x: np.ndarray
    at: Mapping[str, Any]
    where: str
    laws: Sequence[str]
    setting: Callable[[Any], Setting]  # of a value of x


def _along(best: xr.Dataset) -> tuple[_Along, _Along]:
    """Along noise at the middle batch size, and along batch sizes at the middle noise."""
    batch = best["batch_size"].values[best.sizes["batch_size"] // 2]
    alpha = best["alpha"].values[best.sizes["alpha"] // 2]
    labels, batches = 1 + best["alpha"].values, best["batch_size"].values.astype(float)
    K = int(best.attrs["num_classes"])
    return (
        _Along("noise", "(1+α)", Axis(_ALPHA, "log", ticks=tuple(labels)), labels, {"batch_size": batch},
               f"B = {batch}", NOISE_LAWS, lambda x: Setting(x - 1, float(batch), K)),
        _Along("batch size", "B", Axis("batch size B", "log2", ticks=tuple(batches)), batches, {"alpha": alpha},
               f"α = {alpha:g}", BATCH_LAWS, lambda x: Setting(float(alpha), x, K)),
    )  # fmt: skip


def _rates(name: str, best: xr.Dataset, predicted: xr.DataArray, extra: Sequence[str]) -> Figure:
    """Best rate against noise at the middle batch, and against batch at the middle noise, with the laws."""
    panels: list[Panel] = []
    findings: list[str] = []
    for along in _along(best):
        slopes: list[float] = []
        for title, here in _places(best, extra):
            measured, theory = best.sel(here).sel(along.at), predicted.sel(here).sel(along.at)
            rates = measured["best_learning_rate"]
            if bool(rates.notnull().any() | theory.notnull().any()):
                slopes += _slope(along.x, rates.values)
                panels.append(_panel(along, title, measured, theory))
        if slopes:
            goes_as = f"{along.base}^{np.mean(slopes):.2f} ({_range(slopes)})"
            findings.append(f"Against {along.words} the best rate goes as {goes_as}.")
    return Figure(
        name,
        f"{' '.join(findings)} Exponents: least squares in each panel, their mean and range. Laws are drawn through "
        "the middle cell of each panel. Bars: 95 % interval over seeds.",
        tuple(panels),
    )


def _panel(along: _Along, title: str, measured: xr.Dataset, theory: xr.DataArray) -> Panel:
    series = [
        Series("measured", "measured", along.x, measured["best_learning_rate"].values, **_limits(measured)),
        Series("linearised theory", "predicted", along.x, theory.values),
        *_laws(along, measured["best_learning_rate"].values),
    ]
    told = f"{title}, " * bool(title)
    return Panel(along.axis, Axis("best learning rate", "log"), series, told + along.where)


def _laws(along: _Along, rates: np.ndarray) -> Iterator[Series]:
    """Each law through the measured best rate nearest to the middle of the panel; none where there is no such rate."""
    known = np.flatnonzero(np.isfinite(rates))
    if not known.size:
        return
    x = along.x
    middle = int(known[np.abs(known - len(x) // 2).argmin()])
    for name in along.laws:
        factor = np.broadcast_to(LAWS[name].factor(along.setting(x), along.setting(x[middle])), x.shape)
        yield Series(LAWS[name].formula, "rival", x, rates[middle] * factor)


def _places(values: xr.Dataset, extra: Sequence[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every combination of the `extra` dims: its title and its selection; one without title where there are none."""
    if not extra:
        yield "", {}
        return
    stacked = values["outcome"].stack(place=list(extra))
    for key in stacked["place"].values:
        yield ", ".join(str(value) for value in key), dict(zip(extra, key, strict=True))


def _limits(at: xr.Dataset) -> dict[str, Any]:
    """Limits of the best rates that are closed; an open one is left out."""
    return {k: at[k].where((at[k] > 0) & np.isfinite(at[k])).values for k in ("low", "high")}


def _slope(x: np.ndarray, y: np.ndarray) -> list[float]:
    known = np.isfinite(y)
    return [float(np.polyfit(np.log(x[known]), np.log(y[known]), 1)[0])] if known.sum() > 1 else []


def _range(values: Sequence[float]) -> str:
    return f"{min(values):.2f} to {max(values):.2f}, n = {len(values)}".replace("-", "−")
