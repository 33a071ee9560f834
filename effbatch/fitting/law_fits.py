"""A law with open parameters and measured best rates -> its parameters with intervals, and rates for cells left out.

Any law of the registry is fitted the same way. Through an anchor in the middle of the cells,

    ln η(cell) = ln η(anchor) + ln factor(cell, anchor),

so that ln η(anchor) and the parameters follow by least squares on ln η. Every parameter is searched inside a range,
on a scale u in (0, 1) that is linear or logarithmic in it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from itertools import product
from typing import NamedTuple

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from effbatch.core.errors import InputError
from effbatch.core.estimate import Estimate
from effbatch.fitting.cells import groups, setting_of
from effbatch.fitting.least_squares import Array, Model, least_squares
from effbatch.fitting.resampling import bootstrap_weights, interval
from effbatch.laws import get
from effbatch.laws.base import Law, Setting, open_parameters, with_parameters

TERMS = ("batch_size", "alpha")
SPARE_CELLS = 2  # cells beyond the number of parameters, so that a misfit can show
_STARTS = (0.125, 0.375, 0.625, 0.875)  # of every parameter, in u
_EDGE = 0.01  # a parameter this near to an end of its range, in u, has run away
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


class LawOutcome(Enum):
    """Whether the parameters of a law could be fitted."""

    FITTED = "its parameters were fitted"
    TOO_FEW_CELLS = f"cannot tell: it takes {SPARE_CELLS} cells more than parameters"
    NOT_DETERMINED = "cannot tell: these cells do not determine its parameters"
    AT_AN_END = "cannot tell: a parameter ran to the end of its range"


@dataclass(frozen=True)
class FittedLaw:
    """A law with its parameters and the anchor that it passes through; law None where the outcome is not FITTED.

    parameters   by name, with limits; one at the end of the range of the search is open: None
    anchor       geometric mean of the cells in B, 1 + α and the budget
    anchor_rate  learning rate there, the level of the law
    spread       residual spread of the rates about the law, as a factor: exp √(Σ r²/(cells − parameters))
    """

    outcome: LawOutcome
    cells: int
    confidence: float
    law: Law | None = None
    parameters: Mapping[str, Estimate] = field(default_factory=dict)
    anchor: Setting | None = None
    anchor_rate: Estimate | None = None
    spread: float = np.nan

    def learning_rate(self, setting: Setting) -> Array:
        """η(anchor) · factor(setting, anchor); InputError where the law could not be fitted."""
        if self.law is None or self.anchor is None or self.anchor_rate is None:
            raise InputError(
                f"a learning rate needs a fitted law; {self.outcome.value} ({self.cells} cells): measure more cells",
                outcome=self.outcome,
            )
        return self.anchor_rate.floats.value * self.law.factor(setting, self.anchor)


def fit_law(
    law_name: str, best: xr.Dataset, *, resamples: int = 1000, seed: int = 0, confidence: float = 0.95
) -> FittedLaw:
    """Fit the open parameters and the level of a law to the interior cells of `best` (from `best_learning_rates`).

    Least squares on ln η from many starts. Limits: bootstrap over cells (see `resampling.interval`), except for the
    exponents of the power law, which are those of `exponents`. Both see the scatter of the cells about the law, seed
    noise and misfit alike, and take the cells as independent.

    Raises InputError for an unknown law, one without open parameters, or more than one network or data set.
    """
    law = get(law_name)
    names = _open(law)
    together = list(groups(best))
    if len(together) != 1:
        raise InputError(
            f"a law is fitted to one network and data set; {len(together)} came: select one of them",
            groups=len(together),
        )
    cells = together[0][1]
    count = cells.sizes["cell"]
    if count < 1 + len(names) + SPARE_CELLS:
        return FittedLaw(LawOutcome.TOO_FEW_CELLS, count, confidence)
    setting = setting_of(cells)(np.arange(count))
    anchor = _centre(setting)
    model = _model(law, setting, anchor)
    log_rates = np.log(cells["best_learning_rate"].values)
    starts = _starts(len(names), log_rates)
    fits, squares = least_squares(model, log_rates, starts)
    theta = fits[squares.argmin()]
    if _at_an_end(theta[1:]).any():
        return FittedLaw(LawOutcome.AT_AN_END, count, confidence)
    slope = model(theta[None])[1][0]
    if not all(_determined(slope, parameter) for parameter in np.eye(len(theta))[1:]):
        return FittedLaw(LawOutcome.NOT_DETERMINED, count, confidence)
    weights = bootstrap_weights(count, resamples, seed)
    draws, _ = least_squares(model, log_rates, theta[None], weights)
    low, high = interval(theta, draws, count, confidence)
    parameters = {
        name: Estimate(
            _natural(name, theta[i]),
            _natural(name, low[i], np.nan),
            _natural(name, high[i], np.nan),
            n=count,
            level=confidence,
        )
        for i, name in enumerate(names, start=1)
    }
    if set(names) == {f"{term}_exponent" for term in TERMS}:
        powers = exponents(best, confidence=confidence).squeeze()
        parameters = {
            f"{term}_exponent": Estimate(
                *(float(powers[key].sel(term=term)) for key in ("exponent", "low", "high")), n=count, level=confidence
            )
            for term in TERMS
        }
    return FittedLaw(
        LawOutcome.FITTED,
        count,
        confidence,
        with_parameters(law, **{name: estimate.floats.value for name, estimate in parameters.items()}),
        parameters,
        anchor,
        Estimate(*(float(np.exp(t[0])) for t in (theta, low, high)), n=count, level=confidence),
        float(np.exp(np.sqrt(squares.min() / (count - len(theta))))),
    )


def exponents(best: xr.Dataset, *, confidence: float = 0.95) -> xr.Dataset:
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
            here[varied, 1:] = fitted.conf_int(alpha=1 - confidence)[1:]
    return xr.Dataset(
        {
            **{name: ((*rest, "term"), values[..., i]) for i, name in enumerate(("exponent", "low", "high"))},
            "cells": (rest, count),
        },
        coords={"term": list(TERMS), **{dim: best[dim] for dim in rest}},
        attrs={"interval": "HC3 with Student's t", "confidence": confidence},
    )


def left_out_rates(law_name: str, best: xr.Dataset) -> xr.DataArray:
    """Best rate of every interior cell by the law fitted to the other interior cells of its network and data set.

    NaN where those cells are too few, or leave that rate open: a batch size that only the cell left out has, say.
    """
    law = get(law_name)
    names = _open(law)
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


def _open(law: Law) -> list[str]:
    if names := open_parameters(law):
        return names
    raise InputError(
        f"a fit needs a law with open parameters; {law.name} came, which has none: use `compare_laws`", law=law.name
    )


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
        u = _inside(theta[:, 1:])
        parameters = {name: _RANGES[name].at(u[:, [i]]) for i, name in enumerate(names)}
        return theta[:, :1] + np.log(with_parameters(law, **parameters).factor(setting, anchor))

    def model(theta: Array) -> tuple[Array, Array]:
        step = 1e-5 * np.eye(theta.shape[1])
        slopes = [(value(theta + one) - value(theta - one)) / 2e-5 for one in step]
        return value(theta), np.stack(slopes, axis=-1)

    return model


def _inside(logit: Array) -> Array:
    """u = 1/(1 + e^(−logit)), written so that it never overflows."""
    return np.exp(-np.logaddexp(0, -logit))


def _at_an_end(logit: Array) -> NDArray[np.bool_]:
    return np.abs(_inside(logit) - 0.5) > 0.5 - _EDGE


def _natural(name: str, logit: Array, beyond: float | None = None) -> float:
    """The parameter at that place of its range; `beyond`, where given, if the place is an end."""
    return float(_RANGES[name].at(_inside(logit))) if beyond is None or not _at_an_end(logit) else beyond


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
