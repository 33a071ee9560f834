"""Accuracy at several numbers of clean labels -> the number that reaches a target, and how it grows with α."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from effbatch.core.estimate import Estimate
from effbatch.core.flags import Flag, cf_attributes
from effbatch.fitting.resampling import RESAMPLES, bootstrap_weights, interval, resampled_estimate
from effbatch.fitting.student import CONFIDENCE, MIN_SEEDS

Array = NDArray[np.float64]
_LEAST_ALPHAS = 3  # one more than a line has parameters, so that a misfit can show


class LabelsOutcome(Flag):
    """What is known of the clean labels that a target accuracy needs."""

    BRACKETED = 1, "needs a number of clean labels inside the grid"
    NOT_REACHED = 2, "cannot tell: the target is not reached, or not surely, with the most clean labels of the grid"
    TOO_EASY = 3, "cannot tell: the target is reached, or may be, with the fewest clean labels of the grid"
    TOO_FEW_SEEDS = 4, f"cannot tell: fewer than {MIN_SEEDS} seeds"


@dataclass(frozen=True)
class LabelsFit:
    """How the clean labels needed for a target grow with α, over the settings that are known.

    intercept, slope              n* = n_0 + n_1 α, by least squares on the relative error
    exponent                      β of n* ∝ (1+α)^β, by least squares on ln n*
    linear_spread, power_spread   residual spread about either, relative to n*: √(Σ ((n* − fit)/n*)²/(cells − 2))
    """

    intercept: Estimate
    slope: Estimate
    exponent: Estimate
    linear_spread: float
    power_spread: float
    cells: int


def labels_needed(accuracy: xr.DataArray, target: float, *, resamples: int = RESAMPLES) -> xr.Dataset:
    """Clean labels n* with which the seed-mean accuracy reaches `target`, by alpha.

    accuracy   dims clean_examples, alpha, seed
    The seed mean is made to rise with the number of labels (isotonic least squares) and interpolated linearly in
    ln n. There is no extrapolation: where the target lies outside, n* is NaN and `outcome` says on which side; so it
    is where only some resample of the seeds leaves the grid, since a limit would then be unknown.

    labels, low, high   n* with limits by bootstrap over seeds, the same draws at every α
    resampled           ln n* by (alpha, resample); NaN unless the outcome is BRACKETED
    outcome             CF flags, see LabelsOutcome
    """
    ordered = accuracy.sortby("clean_examples").transpose("seed", "alpha", "clean_examples")
    sizes = np.log(ordered["clean_examples"].values.astype(float))
    seeds = ordered.sizes["seed"]
    weights = bootstrap_weights(seeds, resamples)
    found = _crossing(sizes, ordered.values.mean(axis=0), target)
    resampled = _crossing(sizes, np.tensordot(weights, ordered.values, axes=1), target)
    everything = np.vstack([found, resampled])
    outcome = np.select(
        [
            np.full(len(found), seeds < MIN_SEEDS),
            np.isposinf(everything).any(axis=0),
            np.isneginf(everything).any(axis=0),
        ],
        [LabelsOutcome.TOO_FEW_SEEDS, LabelsOutcome.NOT_REACHED, LabelsOutcome.TOO_EASY],
        LabelsOutcome.BRACKETED,
    )
    known = outcome == LabelsOutcome.BRACKETED
    found, resampled = np.where(known, found, np.nan), np.where(known, resampled, np.nan)
    low, high = np.full((2, len(found)), np.nan)
    low[known], high[known] = interval(found[known], resampled[:, known], seeds)
    flags = cf_attributes(LabelsOutcome, "what is known of the clean labels needed")
    return xr.Dataset(
        {
            **{name: ("alpha", np.exp(v)) for name, v in (("labels", found), ("low", low), ("high", high))},
            "resampled": (("resample", "alpha"), resampled),
            "outcome": ("alpha", outcome.astype(np.int8), flags),
        },
        coords={"alpha": ordered["alpha"].values},
        attrs={"target": target, "seeds": seeds, "confidence": CONFIDENCE},
    )


def fit_labels(needed: xr.Dataset) -> LabelsFit | None:
    """The line and the power law through the known settings of `labels_needed`; None with fewer than three."""
    x, measured, resampled, seeds = _known(needed)
    if len(x) < _LEAST_ALPHAS:
        return None
    line, lines = _line(x, measured), _line(x, resampled)
    labels = np.exp(measured[0])
    linear, power = (
        float(np.sqrt((((labels - fit) / labels) ** 2).sum() / (len(x) - 2)))
        for fit in (line[0, 0] + line[0, 1] * x, np.exp(_power(x, measured[0])))
    )
    intercept, slope = (resampled_estimate(float(line[0, i]), lines[:, i], seeds) for i in (0, 1))
    return LabelsFit(intercept, slope, common_exponent([needed]), linear, power, len(x))


def common_exponent(several: list[xr.Dataset]) -> Estimate:
    """β of n* ∝ (1+α)^β, one for all targets, each with a factor of its own; None where nothing determines it.

    Targets share their draws of the seeds.
    """
    fitted = [_known(needed) for needed in several]
    fitted = [one for one in fitted if len(one[0]) >= _LEAST_ALPHAS]
    if not fitted:
        return Estimate(None)
    centred = [(np.log1p(x) - np.log1p(x).mean(), measured, resampled) for x, measured, resampled, _ in fitted]
    total = sum((x**2).sum() for x, _, _ in centred)
    value = sum((measured @ x) for x, measured, _ in centred) / total
    return resampled_estimate(float(value[0]), sum(r @ x for x, _, r in centred) / total, fitted[0][3])


def slope_ratio(lower: xr.Dataset, higher: xr.Dataset) -> Estimate:
    """Slope n_1 of one target over that of another; None where one is not known. Targets share their draws."""
    (x, measured, resampled, seeds), other = _known(higher), _known(lower)
    if min(len(x), len(other[0])) < _LEAST_ALPHAS:
        return Estimate(None)
    value = _line(x, measured)[:, 1] / _line(other[0], other[1])[:, 1]
    return resampled_estimate(float(value[0]), _line(x, resampled)[:, 1] / _line(other[0], other[2])[:, 1], seeds)


def _known(needed: xr.Dataset) -> tuple[Array, Array, Array, int]:
    """α, ln n* as one row, its resamples, and the number of seeds, of the settings that are known."""
    known = needed["outcome"].values == LabelsOutcome.BRACKETED
    resampled = needed["resampled"].transpose("resample", "alpha").values[:, known]
    alpha, labels = (needed[name].values[known].astype(float) for name in ("alpha", "labels"))
    return alpha, np.log(labels)[None], resampled, int(needed.attrs["seeds"])


def _line(alpha: Array, log_labels: Array) -> Array:
    """(n_0, n_1) of every row that minimise Σ ((n* − n_0 − n_1 α)/n*)²."""
    design = np.exp(-log_labels)[..., None] * np.stack([np.ones_like(alpha), alpha], axis=-1)
    normal = np.einsum("rcp,rcq->rpq", design, design)
    return np.linalg.solve(normal, design.sum(axis=1)[..., None])[..., 0]


def _power(alpha: Array, log_labels: Array) -> Array:
    """ln n* of the least-squares power law."""
    x = np.log1p(alpha) - np.log1p(alpha).mean()
    return log_labels.mean() + x * (log_labels @ x) / (x**2).sum()


def _crossing(sizes: Array, curves: Array, target: float) -> Array:
    """ln n at which the isotonic fit of each curve (..., sizes) meets `target`; −inf below the grid, +inf above it."""
    from scipy.optimize import isotonic_regression

    rising = np.apply_along_axis(lambda curve: isotonic_regression(curve).x, -1, curves)
    above = rising >= target
    last = above.argmax(axis=-1).clip(1)[..., None]
    lower, upper = (np.take_along_axis(rising, i, axis=-1)[..., 0] for i in (last - 1, last))
    start, width = sizes[last - 1][..., 0], np.diff(sizes)[last - 1][..., 0]
    with np.errstate(divide="ignore", invalid="ignore"):
        crossing = start + width * (target - lower) / (upper - lower)
    return np.select([above[..., 0], ~above[..., -1]], [-np.inf, np.inf], crossing)
