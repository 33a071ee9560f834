"""Predicted learning rates -> the accuracy lost by using them instead of the best of the grid."""

from __future__ import annotations

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from effbatch.plan.cube import score


def regret(cube: xr.Dataset, best: xr.Dataset, predicted_rates: xr.DataArray) -> xr.Dataset:
    """Seed-mean score at the best rate of the grid minus the score at the predicted rate, in score units.

    The score is interpolated linearly in log2 η along the seed-mean curve. A prediction off the grid counts with
    the score of the nearest edge, and in `clamped`. `predicted_rates` has the dims of `best`, or some of them, or
    more; a cell without prediction (NaN), or without grid_best in `best`, has no regret. The best of the grid is
    chosen on the same seeds, so that regret is never negative and a little too large.

    Returns `regret` by cell, and over all cells `mean`, `quantile95`, `n` and `clamped`.
    """
    curves = seed_mean(cube).where(best["grid_best"].notnull())
    lost, off_grid = xr.apply_ufunc(
        lost_score,
        curves["learning_rate"],
        curves,
        predicted_rates,
        input_core_dims=[["learning_rate"], ["learning_rate"], []],
        output_core_dims=[[], []],
        vectorize=True,
        output_dtypes=[float, bool],
    )
    return summary(lost.values, off_grid.values).assign(regret=lost)


def seed_mean(cube: xr.Dataset) -> xr.DataArray:
    """Mean score over the seeds that ran, with learning rates increasing."""
    return score(cube).mean("seed").sortby("learning_rate")


def lost_score(rates: NDArray, curve: NDArray, predicted: NDArray) -> tuple[NDArray, NDArray]:
    """For one cell: its highest score minus that at each predicted rate, and whether that rate is off the grid.

    NaN and False where there is no prediction or no curve.
    """
    ran = np.isfinite(curve)
    if not ran.any():
        return np.full_like(predicted, np.nan), np.full_like(predicted, False, dtype=bool)
    rates, curve = rates[ran], curve[ran]
    lost = curve.max() - np.interp(np.log2(predicted), np.log2(rates), curve)
    return lost, (predicted < rates[0]) | (predicted > rates[-1])


def summary(lost: NDArray, off_grid: NDArray) -> xr.Dataset:
    """Mean, 95th percentile and number of the finite regrets, and how many predictions were off the grid."""
    values = lost[np.isfinite(lost)]
    return xr.Dataset(
        {
            "mean": values.mean() if values.size else np.nan,
            "quantile95": np.quantile(values, 0.95) if values.size else np.nan,
            "n": values.size,
            "clamped": int(off_grid.sum()),
        }
    )
