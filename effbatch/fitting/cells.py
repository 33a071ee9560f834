"""Best learning rates -> the cells with a measured best rate, by group of what laws do not vary, as laws see them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import xarray as xr

from effbatch.fitting.best_rate import FitOutcome
from effbatch.laws.base import Setting


def groups(best: xr.Dataset) -> Iterator[tuple[tuple[int, ...], xr.Dataset]]:
    """Position on the dims other than alpha and batch_size, and the interior cells there along `cell`."""
    rest = [dim for dim in best["best_learning_rate"].dims if dim not in ("alpha", "batch_size")]
    for place in np.ndindex(*(best.sizes[dim] for dim in rest)):
        cells = best.isel(dict(zip(rest, place, strict=True))).stack(cell=("alpha", "batch_size"))
        yield place, cells.isel(cell=np.flatnonzero(cells["outcome"] == int(FitOutcome.INTERIOR)))


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
        name: np.full(cells.sizes["cell"], cells[name].values, float) for name in ("alpha", "batch_size", *budget)
    }

    def setting(index: np.ndarray) -> Setting:
        arrays: dict[str, Any] = {name: every[index] for name, every in values.items()}
        return Setting(**arrays, **shared)

    return setting
