"""Values over seeds -> their mean with Student's interval, and the p-value that belongs to it."""

from __future__ import annotations

import numpy as np
import xarray as xr
from scipy import stats


def seed_mean(values: xr.DataArray, *, comparisons: int = 1) -> tuple[xr.DataArray, xr.DataArray, xr.DataArray]:
    """Mean over `seed` and the limits of its 95 % interval, NaN where there is one seed.

    comparisons   m intervals of 1 − 0.05/m each hold together with at least 95 % (Bonferroni)
    """
    n = values.sizes["seed"]
    mean = values.mean("seed")
    if n == 1:
        return mean, mean * np.nan, mean * np.nan
    half = stats.t.ppf(1 - 0.025 / comparisons, n - 1) * values.std("seed", ddof=1) / np.sqrt(n)
    return mean, mean - half, mean + half


def seed_mean_p(values: xr.DataArray, *, comparisons: int = 1) -> xr.DataArray:
    """Two-sided p-value of a mean of 0, times the number of comparisons: below 0.05 where `seed_mean` excludes 0."""
    n = values.sizes["seed"]
    if n == 1:
        return values.mean("seed") * np.nan
    with np.errstate(divide="ignore", invalid="ignore"):
        t = np.abs(values.mean("seed")) / (values.std("seed", ddof=1) / np.sqrt(n))
    return (comparisons * 2 * xr.apply_ufunc(stats.t.sf, t, n - 1)).clip(max=1.0)
