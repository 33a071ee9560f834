"""Best learning rates -> the cells with a measured best rate, group by group of what laws do not vary."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import xarray as xr

from effbatch.fitting.best_rate import FitOutcome


def groups(best: xr.Dataset) -> Iterator[tuple[tuple[int, ...], xr.Dataset]]:
    """Position on the dims other than alpha and batch_size, and the interior cells there along `cell`."""
    rest = [dim for dim in best["best_learning_rate"].dims if dim not in ("alpha", "batch_size")]
    for place in np.ndindex(*(best.sizes[dim] for dim in rest)):
        cells = best.isel(dict(zip(rest, place, strict=True))).stack(cell=("alpha", "batch_size"))
        yield place, cells.isel(cell=np.flatnonzero(cells["outcome"] == int(FitOutcome.INTERIOR)))
