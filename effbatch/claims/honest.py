"""Accuracy of every seed on a grid -> its accuracy at what is best for the other seeds: no luck in choosing."""

from __future__ import annotations

import numpy as np
import xarray as xr


def honest_best(
    accuracy: xr.DataArray, dim: str = "learning_rate", *, judged_on: xr.DataArray | None = None
) -> xr.DataArray:
    """Accuracy of each seed at the value of `dim` that is best on the mean of the other seeds.

    judged_on   what "best" is read from, where not from `accuracy` itself: its clean cells, say
    With one seed it is chosen on itself.
    """
    judge = accuracy if judged_on is None else judged_on
    n = judge.sizes["seed"]
    others = (judge.sum("seed") - judge) / max(n - 1, 1) if n > 1 else judge
    return accuracy.isel({dim: others.fillna(-np.inf).argmax(dim)}).drop_vars(dim, errors="ignore")
