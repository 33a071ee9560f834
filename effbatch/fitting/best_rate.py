"""Cube -> best learning rate of every setting, with an interval over seeds and a word on how it was found."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from effbatch.core.errors import InputError
from effbatch.core.flags import Flag, cf_attributes
from effbatch.fitting.peak import peak, slope_limits
from effbatch.fitting.resampling import RESAMPLES, bootstrap_weights, interval
from effbatch.fitting.student import CONFIDENCE, MIN_SEEDS
from effbatch.plan.cube import num_classes, resolved_spec, score

_VALUES_AT_ONCE = 4_000_000  # resampled scores held in memory

_VARIABLES = {
    "best_learning_rate": {"long_name": "learning rate of the highest seed-mean score", "units": "1"},
    "low": {"long_name": "lower limit of best_learning_rate; 0: open", "units": "1"},
    "high": {"long_name": "upper limit of best_learning_rate; inf: open", "units": "1"},
    "best_accuracy": {"long_name": "seed-mean score at the peak, or at grid_best where there is no peak", "units": "1"},
    "best_accuracy_low": {"long_name": "lower limit of best_accuracy", "units": "1"},
    "best_accuracy_high": {"long_name": "upper limit of best_accuracy", "units": "1"},
    "grid_best": {"long_name": "learning rate of the grid with the highest seed-mean score", "units": "1"},
}


class FitOutcome(Flag):
    """How the search for the best learning rate of a setting ended."""

    NOT_RUN = 0, "was not run"
    INTERIOR = 1, "has its best learning rate inside the grid"
    AT_LOWER_EDGE = 2, "is best at the lowest learning rate of the grid: add lower ones"
    AT_UPPER_EDGE = 3, "is best at the highest learning rate of the grid: add higher ones"
    FLAT = 4, "cannot tell: the interval of the best learning rate covers the whole grid"
    TOO_FEW_SEEDS = 5, f"cannot tell: fewer than {MIN_SEEDS} seeds ran at every learning rate"


def best_learning_rates(cube: xr.Dataset, *, resamples: int = RESAMPLES) -> xr.Dataset:
    """Best learning rate of every setting, over all grid dims but learning_rate and seed.

    The score (accuracy; chance where a cell diverged) is averaged over seeds and its peak found in log2 of the
    learning rate (see `peak`). Limits of the rate: the places that Student's t over seeds does not rule out (see
    `slope_limits`); of the accuracy: bootstrap over seeds, whole learning-rate curves at a time, the same draws in
    every setting (see `resampling.interval`).

    best_learning_rate, low, high     NaN unless the outcome is INTERIOR; a limit at or beyond the edge of the
                                      grid is open: 0 or inf. At a cliff: the grid point, with limits that hold
                                      at least its two neighbours. They bracket the peak of the grid's parabola: on
                                      a coarse grid that is not exactly the peak of a skewed curve. Measured
                                      coverage, nominal 95 %, 3 to 20 seeds, on and between points: 93-97 %, up to
                                      99 % with 3 seeds that hardly see the peak (docs/notes/intervals.md).
    best_accuracy, its _low, _high    score at the peak; at an edge a lower bound, the score at grid_best. The
                                      maximum of a noisy mean is a little high: measured coverage 90-96 %, the
                                      least with 10 seeds whose own peaks lie far apart.
    grid_best                         argmax on the grid; NaN only where no seed ran at all learning rates
    outcome                           CF flags, see FitOutcome
    seeds                             seeds that ran at every learning rate any seed ran at; others are left out

    Raises InputError for a learning rate that is not positive.
    """
    if not bool((cube["learning_rate"] > 0).all()):
        raise InputError("learning rates must be positive to be compared in octaves; drop those that are not")
    scores = score(cube).sortby("learning_rate")
    dims = [dim for dim in scores.dims if dim not in ("learning_rate", "seed")]
    scores = scores.transpose(*dims, "learning_rate", "seed")
    shape, tail = scores.shape[:-2], scores.shape[-2:]
    rates = scores["learning_rate"].values
    found = _search(rates, scores.values.reshape(-1, *tail), resamples)
    best = xr.Dataset({name: (dims, found[name].reshape(shape), attrs) for name, attrs in _VARIABLES.items()})
    best = best.assign_coords({dim: cube[dim] for dim in dims if dim in cube.coords})
    flags = cf_attributes(FitOutcome, "how the search for the best learning rate ended")
    best["outcome"] = (dims, found["outcome"].astype(np.int8).reshape(shape), flags)
    best["seeds"] = (dims, found["seeds"].astype(int).reshape(shape), {"long_name": "seeds used", "units": "1"})
    best.attrs = {"confidence": CONFIDENCE, "resamples": resamples}
    return _with_settings(cube, best)


def _with_settings(cube: xr.Dataset, best: xr.Dataset) -> xr.Dataset:
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


def _search(learning_rates: NDArray, scores: NDArray, resamples: int) -> dict[str, NDArray[np.float64]]:
    """Variables by name, one value per setting, from scores of shape (settings, learning rates, seeds)."""
    ran = ~np.isnan(scores)
    rates = ran.any(axis=2)
    seeds = (ran | ~rates[:, :, None]).all(axis=1) & rates.any(axis=1)[:, None]
    found = {name: np.full(len(scores), np.nan) for name in _VARIABLES}
    found["outcome"] = np.where(rates.any(axis=1), FitOutcome.TOO_FEW_SEEDS, FitOutcome.NOT_RUN).astype(float)
    found["seeds"] = seeds.sum(axis=1).astype(float)
    # Settings that lack the same cells are searched together; in a finished sweep that is all of them.
    patterns, member = np.unique(np.hstack([rates, seeds]), axis=0, return_inverse=True)
    for i, pattern in enumerate(patterns):
        use_rates, use_seeds = np.split(pattern, [len(learning_rates)])
        count = int(use_seeds.sum())
        if count == 0:
            continue
        weights = bootstrap_weights(count, resamples if count >= MIN_SEEDS else 0)
        settings = np.flatnonzero(member.ravel() == i)
        pieces = -(-len(settings) * max(resamples, 1) * int(use_rates.sum()) // _VALUES_AT_ONCE)
        for piece in np.array_split(settings, min(pieces, len(settings))):
            curves = scores[piece][:, use_rates][:, :, use_seeds]
            for name, values in _search_complete(learning_rates[use_rates], curves, weights).items():
                found[name][piece] = values
    return found


def _search_complete(rates: NDArray, scores: NDArray, weights: NDArray) -> dict[str, NDArray]:
    """The same for settings without gaps; no rows of weights: too few seeds for an interval."""
    x, mean = np.log2(rates), scores.mean(axis=2)
    best = mean.argmax(axis=1)
    location, height, cliff = peak(x, mean)
    found = {"grid_best": rates[best], "best_accuracy": height}
    if not len(weights):
        return found
    resampled = np.einsum("glr->rgl", scores @ weights.T)
    _, heights, _ = peak(x, resampled)
    low, high = slope_limits(x, scores, location)
    # at a cliff the grid point stands for everything between its neighbours
    low = np.where(cliff, np.minimum(low, x[np.maximum(best - 1, 0)]), low)
    high = np.where(cliff, np.maximum(high, x[np.minimum(best + 1, len(x) - 1)]), high)
    open_low, open_high = low <= x[0], high >= x[-1]
    outcome = np.select(
        [(open_low & open_high) | (np.ptp(mean, axis=1) == 0), best == 0, best == len(x) - 1],
        [FitOutcome.FLAT, FitOutcome.AT_LOWER_EDGE, FitOutcome.AT_UPPER_EDGE],
        FitOutcome.INTERIOR,
    )
    found["outcome"] = outcome
    for name, values in {
        "best_learning_rate": 2.0**location,
        "low": np.where(open_low, 0.0, 2.0**low),
        "high": np.where(open_high, np.inf, 2.0**high),
    }.items():
        found[name] = np.where(outcome == FitOutcome.INTERIOR, values, np.nan)
    found["best_accuracy_low"], found["best_accuracy_high"] = interval(height, heights, scores.shape[2])
    return found
