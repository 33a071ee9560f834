"""Values over seeds -> their mean with Student's interval, and the p-value that belongs to it."""

from __future__ import annotations

from functools import partial

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from effbatch.core.estimate import Estimate
from effbatch.fitting.student import student_p_value, student_quantile


def seed_mean(values: xr.DataArray, *, comparisons: int = 1) -> tuple[xr.DataArray, xr.DataArray, xr.DataArray]:
    """Mean over `seed` and the limits of its 95 % interval, NaN where there is one seed.

    comparisons   m intervals of 1 − 0.05/m each hold together with at least 95 % (Bonferroni)
    """
    n = values.sizes["seed"]
    mean = values.mean("seed")
    if n == 1:
        return mean, mean * np.nan, mean * np.nan
    half = student_quantile(n - 1, 1 - 0.05 / comparisons) * values.std("seed", ddof=1) / np.sqrt(n)
    return mean, mean - half, mean + half


def seed_means(values: xr.DataArray, dim: str, *, comparisons: int = 1) -> list[Estimate]:
    """The same as estimates along `dim`; the p-value of each, times the comparisons, goes with its interval."""
    n = values.sizes["seed"]
    error = (values.std("seed", ddof=1) if n > 1 else values.mean("seed") * np.nan) / np.sqrt(n)
    means = (limit.transpose(dim).values for limit in (*seed_mean(values, comparisons=comparisons), error))
    return [
        Estimate(
            *map(float, (mean, low, high)),
            n=n,
            level=0.95,
            test=partial(_p_value, mean=mean, error=se, n=n, times=comparisons),
        )
        for mean, low, high, se in zip(*means, strict=True)
    ]


def _p_value(value: float, *, mean: NDArray, error: NDArray, n: int, times: int) -> float:
    with np.errstate(divide="ignore", invalid="ignore"):
        return float(np.minimum(1, times * student_p_value((mean - value) / error, n - 1)))
