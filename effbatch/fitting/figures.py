"""A view of a cube, its best rates and the laws -> figures: accuracy over rates, best rates, steps on one curve."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from effbatch.core.figures import Axis, Figure, Heat, Panel, Series, noise_axis
from effbatch.fitting.collapse import Collapse
from effbatch.fitting.regret import seed_mean
from effbatch.laws import LAWS, Setting
from effbatch.plan.cube import CORE_DIMS, num_classes

NOISE_LAWS = ("signal_to_noise", "clean_count", "square_root_clean_count")
BATCH_LAWS = ("linear", "square_root")


def accuracy_map(name: str, cube: xr.Dataset, best: xr.Dataset, predicted: xr.DataArray | None = None) -> Figure:
    """Accuracy over noise and learning rate, with the best rate as measured, and as `predicted` where it was.

    At the middle batch size; one panel for every combination of the other dims.
    """
    middle = best["batch_size"].values[best.sizes["batch_size"] // 2]
    accuracy = 100 * seed_mean(cube).sel(batch_size=middle)
    best = best.sel(batch_size=middle)
    theory = None if predicted is None else predicted.sel(batch_size=middle)
    floor = 100 / num_classes(cube)
    panels = []
    for title, here in places(best):
        at, x = best.sel(here), best["alpha"].values
        shades = accuracy.sel(here).transpose("learning_rate", "alpha")
        series = [Series("measured best rate", "measured", x, at["best_learning_rate"].values, **closed_limits(at))]
        if theory is not None:
            series.insert(0, Series("predicted best rate", "predicted", x, theory.sel(here).values))
        rates = accuracy["learning_rate"].values
        heat = Heat("test accuracy, %", x, rates, shades.values, (floor, 100.0))
        panels.append(Panel(noise_axis(x), Axis("learning rate", "log"), series, title, heat))
    most = int(best["seeds"].max())
    caption = f"{_inside_and_off(best, theory)} Mean accuracy of {most} seeds, B = {middle}."
    return Figure(name, caption, tuple(panels))


def _inside_and_off(best: xr.Dataset, theory: xr.DataArray | None) -> str:
    """How many settings have a best rate inside the grid, or how far off the `theory` is there."""
    rates = best["best_learning_rate"].values
    inside = int(np.isfinite(rates).sum())
    if not inside:
        return "No setting has a measured best rate inside the grid."
    error = np.array([]) if theory is None else np.abs(np.log2((theory / best["best_learning_rate"]).values)).ravel()
    error = error[np.isfinite(error)]
    if not error.size:
        return f"{inside} of {rates.size} settings have a best rate inside the grid."
    return (
        f"The best rate predicted from the untrained networks is off by {np.median(error):.2f} powers of two (median "
        f"of {error.size} settings with a measured one; largest {error.max():.2f})."
    )


@dataclass(frozen=True)
class _Along:
    """Best rates along one dim, at the middle value of the other."""

    words: str
    base: str  # of the power that the best rate goes as
    axis: Axis
    x: np.ndarray
    raised: np.ndarray  # to the power: 1 + α, or B
    at: Mapping[str, Any]
    where: str
    laws: Sequence[str]
    setting: Callable[[Any], Setting]  # of a value of x


def _along(best: xr.Dataset) -> tuple[_Along, _Along]:
    """Along noise at the middle batch size, and along batch sizes at the middle noise."""
    batch = best["batch_size"].values[best.sizes["batch_size"] // 2]
    alpha = best["alpha"].values[best.sizes["alpha"] // 2]
    alphas, batches = best["alpha"].values, best["batch_size"].values.astype(float)
    K = int(best.attrs["num_classes"])
    return (
        _Along("noise", "(1+α)", noise_axis(alphas), alphas, 1 + alphas, {"batch_size": batch},
               f"B = {batch}", NOISE_LAWS, lambda x: Setting(x, float(batch), K)),
        _Along("batch size", "B", Axis("batch size B", "log2", ticks=tuple(batches)), batches, batches,
               {"alpha": alpha}, f"α = {alpha:g}", BATCH_LAWS, lambda x: Setting(float(alpha), x, K)),
    )  # fmt: skip


def rates_and_laws(name: str, best: xr.Dataset, predicted: xr.DataArray | None = None) -> Figure:
    """Best rate against noise at the middle batch, and against batch at the middle noise, with the laws.

    Two panels for every combination of the other dims, but none along what did not vary.
    """
    panels: list[Panel] = []
    findings: list[str] = []
    for along in _along(best):
        slopes: list[float] = []
        for title, here in places(best) if len(along.x) > 1 else ():
            measured = best.sel(here).sel(along.at)
            theory = None if predicted is None else predicted.sel(here).sel(along.at)
            rates = measured["best_learning_rate"]
            if any(bool(known.notnull().any()) for known in (rates, theory) if known is not None):
                slopes += _slope(along.raised, rates.values)
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


def _panel(along: _Along, title: str, measured: xr.Dataset, theory: xr.DataArray | None) -> Panel:
    series = [
        Series("measured", "measured", along.x, measured["best_learning_rate"].values, **closed_limits(measured)),
        *([] if theory is None else [Series("linearised theory", "predicted", along.x, theory.values)]),
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


def steps_collapsed(name: str, steps: xr.Dataset, fitted: Collapse, *, predicted: float | None = None) -> Figure:
    """Steps to a target against B, and against B/(1+α)^δ with the fitted δ, before it with the `predicted` one.

    `fitted` needs a base: its outcome is FITTED.
    """
    assert fitted.base is not None
    base = fitted.base
    panels = [
        _against_batch(steps, 0.0, "before: B"),
        *([] if predicted is None else [_against_batch(steps, predicted, f"predicted: B/(1+α)^{predicted:g}")]),
        _against_batch(steps, base.delta.floats.value, f"fitted: B/(1+α)^{base.delta.floats.value:.2f}", curve=fitted),
    ]
    caption = (
        f"Against batch size, steps to the target scatter by a factor {fitted.spread_before:.2f} about one curve; "
        f"against B/(1+α)^{base.delta.floats.value:.2f}, by a factor {base.spread:.2f}. Points: geometric mean "
        f"and 95 % interval over {fitted.seeds} seeds. Line: the hyperbola fitted to all points."
    )
    return Figure(name, caption, tuple(panels))


def extra_dims(values: xr.Dataset) -> list[str]:
    """The dims of a cube, or of its best rates, that are no axis of any figure here."""
    return [str(dim) for dim in values["outcome"].dims if dim not in CORE_DIMS]


def places(values: xr.Dataset) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every combination of the extra dims: its title and its selection; one without title where there are none."""
    extra = extra_dims(values)
    if not extra:
        yield "", {}
        return
    stacked = values["outcome"].stack(place=list(extra))
    for key in stacked["place"].values:
        yield ", ".join(str(value) for value in key), dict(zip(extra, key, strict=True))


def closed_limits(at: xr.Dataset) -> dict[str, Any]:
    """`low` and `high` of a series of best rates, as far as they are closed; an open one is left out."""
    return {k: at[k].where((at[k] > 0) & np.isfinite(at[k])).values for k in ("low", "high")}


def _slope(x: np.ndarray, y: np.ndarray) -> list[float]:
    known = np.isfinite(y)
    return [float(np.polyfit(np.log(x[known]), np.log(y[known]), 1)[0])] if known.sum() > 1 else []


def _range(values: Sequence[float]) -> str:
    return f"{min(values):.2f} to {max(values):.2f}, n = {len(values)}".replace("-", "−")


def _against_batch(steps: xr.Dataset, delta: float, title: str, *, curve: Collapse | None = None) -> Panel:
    series = []
    everything: list[float] = []
    for alpha in steps["alpha"].values:
        at = steps.sel(alpha=alpha)
        x = steps["batch_size"].values / (1 + alpha) ** delta
        everything += list(x)
        group = f"α = {alpha:g}"
        series.append(
            Series(group, "measured", x, at["steps"].values, at["low"].values, at["high"].values, group=group)
        )
    if curve is not None and curve.base is not None:
        x = np.geomspace(min(everything), max(everything), 60)
        y = curve.base.smallest_steps.floats.value * (1 + curve.base.critical_batch_size.floats.value / x)
        series.append(Series("fitted curve", "rival", x, y, group="fitted curve"))
    batches = tuple(float(batch) for batch in steps["batch_size"].values)
    axis = Axis("effective batch size", "log") if delta else Axis("batch size B", "log2", ticks=batches)
    return Panel(axis, Axis("steps to the target", "log"), tuple(series), title)
