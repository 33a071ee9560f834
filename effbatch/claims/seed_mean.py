"""Values over seeds -> their mean with Student's interval."""

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
