"""Measured best rates -> the exponents of a power law through them, and by any law those of the cells left out.

Any law with open parameters is fitted the same way. Through an anchor in the middle of the cells,

    ln η(cell) = ln η(anchor) + ln factor(cell, anchor),

so that ln η(anchor) and the parameters follow by least squares on ln η. Every parameter is searched inside a range,
on a scale u in (0, 1) that is linear or logarithmic in it.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import NamedTuple

import numpy as np
import xarray as xr

from effbatch.fitting.cells import groups, setting_of
from effbatch.fitting.least_squares import Array, Model, least_squares
from effbatch.fitting.student import CONFIDENCE
from effbatch.laws import get
from effbatch.laws.base import Law, Setting, open_parameters, with_parameters

TERMS = ("batch_size", "alpha")
SPARE_CELLS = 2  # cells beyond the number of parameters, so that a misfit can show
_STARTS = (0.125, 0.375, 0.625, 0.875)  # of every parameter, in u
_NULL = 1e-3  # singular values below this share of the largest say that the cells do not see a direction
_UNSEEN = 1e-2  # largest share of what is asked that may lie in such a direction


class _Range(NamedTuple):
    low: float
    high: float
    logarithmic: bool = False

    def at(self, u: Array) -> Array:
        if self.logarithmic:
            return self.low * (self.high / self.low) ** u
        return self.low + (self.high - self.low) * u


_RANGES = {
    "batch_exponent": _Range(-4, 4),
    "alpha_exponent": _Range(-4, 4),
    "clean_noise_scale": _Range(1e-2, 1e6, logarithmic=True),
    "delta": _Range(0, 3),
    "gamma": _Range(0, 3),
    "decay_exponent": _Range(1e-2, 1e2, logarithmic=True),
}


def exponents(best: xr.Dataset) -> xr.Dataset:
    """Fit ln η = c + b ln B + a ln(1 + α) by least squares over the interior cells.

    Returns exponent, low and high by `term` ("batch_size": b, "alpha": a) and by every other dim of `best`, and
    `cells`, the number used. Limits: HC3 standard errors (MacKinnon & White, 1985) with Student's t; they see
    the scatter of the cells about the power law, seed noise and misfit alike, and take cells as independent. A
    quantity that did not vary has no exponent: NaN. Limits are NaN where some cell decides a term on its own.
    """
    import statsmodels.api as sm

    rest = [dim for dim in best["best_learning_rate"].dims if dim not in ("alpha", "batch_size")]
    shape = tuple(best.sizes[dim] for dim in rest)
    values = np.full((*shape, len(TERMS), 3), np.nan)  # exponent, low, high
    count = np.zeros(shape, dtype=int)
    for place, cells in groups(best):
        count[place] = cells.sizes["cell"]
        columns = np.stack([np.log(cells["batch_size"].values), np.log1p(cells["alpha"].values)], axis=1)
        varied = [i for i in range(len(TERMS)) if np.unique(columns[:, i]).size > 1]
        design = np.column_stack([np.ones(len(columns)), columns[:, varied]])
        if not varied or np.linalg.matrix_rank(design) < design.shape[1] or len(design) <= design.shape[1]:
            continue
        model = sm.OLS(np.log(cells["best_learning_rate"].values), design)
        leverage = np.einsum("ij,ji->i", design, np.linalg.pinv(design))
        decided_alone = leverage.max() > 1 - 1e-9  # HC3 divides by 1 - leverage
        fitted = model.fit() if decided_alone else model.fit(cov_type="HC3", use_t=True)
        here = values[place]
        here[varied, 0] = fitted.params[1:]
        if not decided_alone:
            here[varied, 1:] = fitted.conf_int(alpha=1 - CONFIDENCE)[1:]
    return xr.Dataset(
        {
            **{name: ((*rest, "term"), values[..., i]) for i, name in enumerate(("exponent", "low", "high"))},
            "cells": (rest, count),
        },
        coords={"term": list(TERMS), **{dim: best[dim] for dim in rest}},
        attrs={"interval": "HC3 with Student's t", "confidence": CONFIDENCE},
    )


def left_out_rates(law_name: str, best: xr.Dataset) -> xr.DataArray:
    """Best rate of every interior cell by the law fitted to the other interior cells of its network and data set.

    NaN where those cells are too few, or leave that rate open: a batch size that only the cell left out has, say.
    """
    law = get(law_name)
    names = open_parameters(law)
    shape = {dim: best.sizes[dim] for dim in best["best_learning_rate"].dims}
    predicted = xr.full_like(best["best_learning_rate"], np.nan).transpose(..., "alpha", "batch_size")
    for place, cells in groups(best):
        count = cells.sizes["cell"]
        if count < 1 + len(names) + SPARE_CELLS:
            continue
        setting = setting_of(cells)(np.arange(count))
        model = _model(law, setting, _centre(setting))
        log_rates = np.log(cells["best_learning_rate"].values)
        # The fits to all cells: one cell less moves them little. Those equally good are one valley, and one start
        starts, depths = least_squares(model, log_rates, _starts(len(names), log_rates))
        starts = starts[np.unique(np.log(depths + 1e-12).round(2), return_index=True)[1]]
        every = np.repeat(1 - np.eye(count), len(starts), axis=0)  # one block of rows for every cell left out
        fits, squares = least_squares(model, log_rates, np.tile(starts, (count, 1)), every)
        chosen = squares.reshape(count, -1).argmin(axis=1)
        theta = fits.reshape(count, len(starts), -1)[np.arange(count), chosen]
        value, slope = model(theta)
        known = [_determined(np.delete(slope[i], i, axis=0), slope[i, i]) for i in range(count)]
        rates = np.where(known, np.exp(value.diagonal()), np.nan)
        for i, rate in enumerate(rates):
            at = {name: cells[name].values[i] for name in ("alpha", "batch_size")}
            predicted[place].loc[at] = rate
    return predicted.transpose(*shape)


def _centre(setting: Setting) -> Setting:
    """The geometric mean in B, 1 + α and the budget."""

    def mean(values: Array | None) -> float | None:
        return None if values is None else float(np.exp(np.log(values).mean()))

    return replace(
        setting,
        alpha=mean(1 + setting.alpha) - 1,  # type: ignore[operator]
        batch_size=mean(setting.batch_size),
        steps=mean(setting.steps),
        examples=mean(setting.examples),
    )


def _model(law: Law, setting: Setting, anchor: Setting) -> Model:
    """(ln η(anchor), logit u of every parameter) -> ln η of the cells, with derivatives by central differences."""
    names = open_parameters(law)

    def value(theta: Array) -> Array:
        u = np.exp(-np.logaddexp(0, -theta[:, 1:]))  # 1/(1 + e^−logit), which never overflows
        parameters = {name: _RANGES[name].at(u[:, [i]]) for i, name in enumerate(names)}
        return theta[:, :1] + np.log(with_parameters(law, **parameters).factor(setting, anchor))

    def model(theta: Array) -> tuple[Array, Array]:
        step = 1e-5 * np.eye(theta.shape[1])
        slopes = [(value(theta + one) - value(theta - one)) / 2e-5 for one in step]
        return value(theta), np.stack(slopes, axis=-1)

    return model


def _starts(parameters: int, log_rates: Array) -> Array:
    u = np.array(list(product(_STARTS, repeat=parameters)))
    return np.column_stack([np.full(len(u), log_rates.mean()), np.log(u / (1 - u))])


def _determined(slope: Array, direction: Array) -> bool:
    """Whether cells with these derivatives (cells, parameters) fix the combination `direction` of the parameters.

    They do not where a part of it lies in a direction of parameter space along which no cell changes, to first order.
    """
    scale = np.linalg.norm(slope, axis=0)
    scale = np.maximum(scale, 1e-9 * scale.max())
    _, values, directions = np.linalg.svd(slope / scale, full_matrices=False)
    seen = directions[: len(values)][values > _NULL * values[0]]
    asked = direction / scale
    unseen = asked - seen.T @ (seen @ asked)
    return bool(np.linalg.norm(unseen) <= _UNSEEN * np.linalg.norm(asked))
