"""A cube -> figures beyond those of its claim, or without one: accuracy over rates, best rates and a law."""

from __future__ import annotations

import numpy as np
import xarray as xr

from effbatch.claims import Case
from effbatch.claims.shared.accuracy_curves import ACCURACY, by_setting, percent
from effbatch.claims.shared.seed_mean import seed_mean
from effbatch.core.figures import Axis, Figure, Panel, Series
from effbatch.fitting.figures import accuracy_map, best_rates, extra_dims
from effbatch.plan.cube import score

LEAST = 4  # noise levels, and learning rates, that make a map
MOST_PANELS = 3  # of a kind, side by side


def figures(case: Case) -> list[Figure]:
    """The figures that this cube has the data for; none where the linearised theory said nothing before the run."""
    cube, predicted = case.cube, case.theory.get("best_learning_rate")
    if (
        predicted is None
        or _panels(cube) > MOST_PANELS
        or min(cube.sizes["alpha"], cube.sizes["learning_rate"]) < LEAST
    ):
        return []
    if not bool(predicted.notnull().any()):
        return []
    return [accuracy_map(f"accuracy_map_{case.name}", cube, case.best, predicted)]


def measured(case: Case) -> list[Figure]:
    """What a cube shows that nothing judges: accuracy over learning rates, and how its best rates go."""
    cube, name = case.cube, case.name
    if _panels(cube) > MOST_PANELS:
        return []
    over_rates = accuracy_map if min(cube.sizes["alpha"], cube.sizes["learning_rate"]) >= LEAST else _curves
    rates = best_rates(f"best_rate_{name}", case.best)
    return [over_rates(f"accuracy_{name}", cube, case.best), *([rates] if rates.panels else [])]


def _curves(name: str, cube: xr.Dataset, best: xr.Dataset) -> Figure:
    """Accuracy against the learning rate at the middle batch size, one curve for each α and each of the rest."""
    batch = best["batch_size"].values[best.sizes["batch_size"] // 2]
    accuracy = score(cube).sel(batch_size=batch, drop=True)
    curves = [by_setting(limit, "learning_rate") for limit in seed_mean(accuracy)]
    x = cube["learning_rate"].values
    series = [
        Series(label, "measured", x, 100 * mean.values, low=100 * low.values, high=100 * high.values, group=label)
        for (label, mean), (_, low), (_, high) in zip(*curves, strict=True)
    ]
    label, highest = max(curves[0], key=lambda curve: float(curve[1].max()))
    n, at = cube.sizes["seed"], f"{label}, B = {batch}, learning rate {float(highest.idxmax('learning_rate')):.3g}"
    caption = f"Accuracy is highest, {percent(float(highest.max()))}, at {at}. Points: mean over {n} seeds"
    caption += ", and its 95 % interval." if n > 1 else "."
    axes = Axis("learning rate", "log"), ACCURACY
    return Figure(name, caption, (Panel(*axes, series, f"B = {batch}"),))


def _panels(cube: xr.Dataset) -> int:
    """How many panels a figure of the whole cube has."""
    return int(np.prod([cube.sizes[dim] for dim in extra_dims(cube)], dtype=int))
