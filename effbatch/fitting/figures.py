"""A view of a cube, its best rates and a law -> figures: accuracy over rates, best rates, steps on one curve."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import xarray as xr

from effbatch.core.figures import Axis, Figure, Heat, Panel, Series, noise_axis
from effbatch.fitting.collapse import Collapse
from effbatch.fitting.regret import seed_mean
from effbatch.laws import LAWS, Setting
from effbatch.plan.cube import CORE_DIMS, num_classes
from effbatch.plan.words import value_in_words


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


def best_rates(
    name: str,
    best: xr.Dataset,
    law: str = "square_root_clean_count",
    *,
    finding: str = "",
    predicted: xr.DataArray | None = None,
) -> Figure:
    """Best rates as measured, and as `predicted` where they were, with `law` drawn through the middle setting.

    Against noise, a curve for each batch size; against batch size where noise does not vary. One panel for every
    combination of the other dims, but none where no rate is known, nor of one setting alone.
    """
    theory = xr.full_like(best["best_learning_rate"], np.nan) if predicted is None else predicted
    shown = places(best) if best.sizes["alpha"] * best.sizes["batch_size"] > 1 else ()
    every = [_rates(best.sel(here), theory.sel(here), law, title) for title, here in shown]
    panels = tuple(panel for panel in every if any(np.isfinite(series.y).any() for series in panel.series))
    told = " Predicted: linearised theory, before training." * bool(theory.notnull().any())
    caption = (
        f"{finding} Best rate and its 95 % interval over {int(best['seeds'].max())} seeds; where that is open on a "
        f"side, no bar.{told} For comparison: {law}, drawn through the middle cell."
    ).strip()
    return Figure(name, caption, panels)


def _rates(best: xr.Dataset, predicted: xr.DataArray, law: str, title: str) -> Panel:
    along, other = ("alpha", "batch_size") if best.sizes["alpha"] > 1 else ("batch_size", "alpha")
    x, K = best[along].values.astype(float), int(best.attrs["num_classes"])
    grid = best["best_learning_rate"].transpose(along, other).values
    known = np.argwhere(np.isfinite(grid)) if np.isfinite(grid).any() else np.zeros((1, 2), int)
    nearest = known[np.abs(known - np.array(grid.shape) // 2).sum(1).argmin()]
    middle = best.isel(dict(zip((along, other), nearest, strict=True)))
    anchor = Setting(float(middle["alpha"]), float(middle["batch_size"]), num_classes=K)
    series = []
    for value in best[other].values:
        at, group = best.sel({other: value}), f"B = {value}" if other == "batch_size" else f"α = {value:g}"
        rates = at["best_learning_rate"].values
        series.append(Series(f"{group}, measured", "measured", x, rates, **closed_limits(at), group=group))
        theory = predicted.sel({other: value}).values
        if np.isfinite(theory).any():
            series.append(Series(f"{group}, linearised", "predicted", x, theory, group=group))
        setting = Setting(at["alpha"].values.astype(float), at["batch_size"].values.astype(float), num_classes=K)
        factor = np.broadcast_to(LAWS[law].factor(setting, anchor), x.shape)
        series.append(Series(f"{group}, {law}", "rival", x, float(middle["best_learning_rate"]) * factor, group=group))
    axis = noise_axis(x) if along == "alpha" else Axis("batch size B", "log2", ticks=tuple(x))
    return Panel(axis, Axis("best learning rate", "log"), tuple(series), title)


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
        yield ", ".join(map(value_in_words, extra, key)), dict(zip(extra, key, strict=True))


def closed_limits(at: xr.Dataset) -> dict[str, Any]:
    """`low` and `high` of a series of best rates, as far as they are closed; an open one is left out."""
    return {k: at[k].where((at[k] > 0) & np.isfinite(at[k])).values for k in ("low", "high")}


def _against_batch(steps: xr.Dataset, delta: float, title: str, *, curve: Collapse | None = None) -> Panel:
    series = []
    everything: list[float] = []
    for alpha in steps["alpha"].values:
        at = steps.sel(alpha=alpha)
        x = steps["batch_size"].values / (1 + alpha) ** delta
        everything += list(x)
        group = f"α = {alpha:g}"
        series.append(
            Series(group, "measured", x, at["steps"].values, low=at["low"].values, high=at["high"].values, group=group)
        )
    if curve is not None and curve.base is not None:
        x = np.geomspace(min(everything), max(everything), 60)
        y = curve.base.smallest_steps.floats.value * (1 + curve.base.critical_batch_size.floats.value / x)
        series.append(Series("fitted curve", "rival", x, y, group="fitted curve"))
    batches = tuple(float(batch) for batch in steps["batch_size"].values)
    axis = Axis("effective batch size", "log") if delta else Axis("batch size B", "log2", ticks=batches)
    return Panel(axis, Axis("steps to the target", "log"), tuple(series), title)
