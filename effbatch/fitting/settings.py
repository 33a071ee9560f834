"""Cube -> what the laws must know of its cells beside α and batch size: classes, optimiser, schedule, budget."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import xarray as xr

from effbatch.laws.base import Setting
from effbatch.plan.cube import num_classes, resolved_spec


def copy_settings(cube: xr.Dataset, best: xr.Dataset) -> xr.Dataset:
    """Return `best` with the settings of the cube: attributes, and the coordinate `steps` or `examples`.

    They come from the resolved spec stored in the cube; without one the laws' defaults hold. The budget is
    the one that the sweep held fixed: steps, or labelled copies (epochs are copies too).
    """
    attrs: dict[str, Any] = {"num_classes": num_classes(cube)}
    train = resolved_spec(cube).get("train", {})
    if "optimizer" in train:
        heavy = train["optimizer"] == "sgd" and train.get("momentum", 0) > 0
        attrs["optimizer"] = "momentum" if heavy else train["optimizer"]
    if "schedule" in train:
        attrs["schedule"] = train["schedule"]
    if train.get("budget"):
        name, source = ("steps", "step") if "steps" in train["budget"] else ("examples", "examples")
        amount = cube[source].isel(checkpoint=-1, drop=True).drop_vars(["step", "examples"], errors="ignore")
        best = best.assign_coords({name: amount})
    return best.assign_attrs(best.attrs | attrs)


def setting_of(cells: xr.Dataset) -> Callable[[np.ndarray], Setting]:
    """Index -> Setting of those of the `cells` (dimension `cell`; one optimiser and schedule for all)."""
    shared: dict[str, Any] = {"num_classes": int(cells.attrs["num_classes"])}
    for name in ("optimizer", "schedule"):
        if name in cells.coords:
            shared[name] = str(cells[name].values)
        elif name in cells.attrs:
            shared[name] = cells.attrs[name]

    budget = [name for name in ("steps", "examples") if name in cells.coords]
    values = {
        name: cells[name].broadcast_like(cells["best_learning_rate"]).values.astype(float)
        for name in ("alpha", "batch_size", *budget)
    }

    def setting(index: np.ndarray) -> Setting:
        arrays: dict[str, Any] = {name: every[index] for name, every in values.items()}
        return Setting(**arrays, **shared)

    return setting
