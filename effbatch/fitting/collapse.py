"""Steps to a target at every (α, B) -> the exponent δ with which all α fall on one curve of B/(1+α)^δ."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from enum import Enum
from typing import Any

import numpy as np
import xarray as xr

from effbatch.core.errors import InputError
from effbatch.core.estimate import Estimate
from effbatch.core.formats import estimate_text
from effbatch.fitting.least_squares import Array, least_squares
from effbatch.fitting.resampling import RESAMPLES, bootstrap_weights, interval, resampled_estimate
from effbatch.fitting.student import CONFIDENCE, MIN_SEEDS

_OWN_SHARE = 1e-3  # least part of the derivative along δ that the other parameters must not be able to mimic
_SPARE_CELLS = 2  # cells beyond the number of parameters, so that a misfit can show
CANDIDATES = (1.0, 2.0)  # δ of counting clean labels, and of the signal-to-noise ratio


class CollapseOutcome(Enum):
    """Whether an exponent could be fitted."""

    FITTED = "an exponent was fitted"
    TOO_FEW_SEEDS = f"cannot tell: fewer than {MIN_SEEDS} seeds"
    TOO_FEW_CELLS = "cannot tell: too few settings reached the target with every seed"
    NOT_DETERMINED = "cannot tell: these settings do not determine the exponent"


@dataclass(frozen=True)
class Hyperbola:
    """S = S_min (1+α)^ζ (1 + B_0 (1+α)^δ / B); zeta is None where ζ = 0 by assumption.

    smallest_steps       S_min; its limits open wide where every batch is far below the critical one
    critical_batch_size  B_0, labelled copies, of clean labels
    spread               residual spread of S about the curve, as a factor: exp of the residual standard
                         deviation of ln S, √(Σ r²/(cells − parameters))
    """

    smallest_steps: Estimate
    critical_batch_size: Estimate
    delta: Estimate
    zeta: Estimate | None
    spread: float


@dataclass(frozen=True)
class Collapse:
    """Data collapse of steps to a target.

    base           the fit with ζ = 0; None where the outcome is not FITTED
    extended       the fit with ζ free; None where these settings do not determine it
    spread_before  residual spread, as a factor, about one curve in B that ignores α
    quality        mean squared residual of the base fit in units of the standard error of a cell, near 1 where
                   seed noise explains the scatter (Houdayer & Hartmann 2004, PRB 70, 014418, with the fitted
                   hyperbola for their local master curve); far above: the curves do not collapse
    cells          settings that reached the target with every seed; `censored`: those that did not, left out
    """

    outcome: CollapseOutcome
    _: KW_ONLY
    cells: int
    censored: int
    seeds: int
    base: Hyperbola | None = None
    extended: Hyperbola | None = None
    spread_before: float = np.nan
    quality: float = np.nan

    @property
    def excluded(self) -> tuple[float, ...]:
        """Which of δ = 1 and δ = 2 the interval of the base fit excludes."""
        return () if self.base is None else tuple(d for d in CANDIDATES if self.base.delta.excludes(d))

    @property
    def sentences(self) -> tuple[str, ...]:
        """What was found, in whole sentences for the report."""
        plural = "s" * (self.censored != 1)
        n = f"{self.cells} settings, {self.seeds} seeds, {self.censored} setting{plural} left out"
        if self.base is None:
            said = self.outcome.value
            return (f"{said[0].upper()}{said[1:]} ({n}).",)
        named = {(): "neither 1 nor 2", (1.0,): "1", (2.0,): "2", CANDIDATES: "both 1 and 2"}[self.excluded]
        told = [
            f"δ = {estimate_text(self.base.delta, n=False)} ({n}), which excludes {named}.",
            f"The spread about one curve falls from a factor {self.spread_before:.2f} to {self.base.spread:.2f}.",
        ]
        if self.extended is None or self.extended.zeta is None:
            told.append("Whether S_min depends on α, these settings cannot tell.")
        else:
            told.append(
                f"With S_min ∝ (1+α)^ζ, ζ = {estimate_text(self.extended.zeta, n=False)} and "
                f"δ = {estimate_text(self.extended.delta, n=False)}; the spread is {self.extended.spread:.2f}."
            )
        return tuple(told)


def collapse_exponent(steps: xr.DataArray, *, resamples: int = RESAMPLES) -> Collapse:
    """Fit S(α, B) = S_min (1 + B_0 (1+α)^δ / B), once with S_min constant and once ∝ (1+α)^ζ.

    `steps`: dims (alpha, batch_size, seed), steps to the target of each run, NaN = never (`best_steps` gives
    `seed_steps`). Settings that some seed did not finish are left out whole: averaging the finished seeds would
    make them look fast; drop a seed that was not run. Least squares on the seed mean of ln S, from many starts;
    limits by bootstrap over seeds, all settings at a time since they share seeds. They say how much the seeds
    leave open if the form is right (measured coverage 93-96 % with 3 to 10 seeds); `quality` says whether it is.
    Hyperbola: McCandlish et al. 2018 (arXiv 1812.06162), eq. 2.11.

    Raises InputError for other dims or steps that are not positive.
    """
    if set(steps.dims) != {"alpha", "batch_size", "seed"}:
        came = ", ".join(map(str, steps.dims))
        raise InputError(f"a collapse needs the dims alpha, batch_size and seed, got {came}: select one of the others")
    if bool((steps <= 0).any()):
        raise InputError("steps to a target must be positive; some are not: give NaN where it was never reached")
    cells = steps.stack(cell=("alpha", "batch_size")).transpose("seed", "cell")
    complete = np.isfinite(cells.values).all(axis=0)
    alpha, batch_size = (cells[name].values[complete].astype(float) for name in ("alpha", "batch_size"))
    log_steps = np.log(cells.values[:, complete])
    seeds = len(log_steps)
    known: dict[str, Any] = {"cells": int(complete.sum()), "censored": int((~complete).sum()), "seeds": seeds}
    if seeds < MIN_SEEDS:
        return Collapse(CollapseOutcome.TOO_FEW_SEEDS, **known)
    if len(alpha) < 3 + _SPARE_CELLS or len(np.unique(alpha)) < 2 or len(np.unique(batch_size)) < 2:
        return Collapse(CollapseOutcome.TOO_FEW_CELLS, **known)
    resampled = bootstrap_weights(seeds, resamples) @ log_steps
    base = _fit(alpha, batch_size, log_steps, resampled, 3)
    if base is None:
        return Collapse(CollapseOutcome.NOT_DETERMINED, **known)
    mean = log_steps.mean(axis=0)
    ignoring = _best_start(alpha, batch_size, mean, 2)[1]
    # What a seed does to all settings alike goes into S_min and does not scatter the cells about the curve.
    own = log_steps - log_steps.mean(axis=1, keepdims=True)
    variance = own.var(axis=0, ddof=1).sum() / (len(alpha) - 1) / seeds
    return Collapse(
        CollapseOutcome.FITTED,
        **known,
        base=base,
        extended=_fit(alpha, batch_size, log_steps, resampled, 4),
        spread_before=float(np.exp(np.sqrt(ignoring / (len(alpha) - 2)))),
        quality=float(np.log(base.spread) ** 2 / variance) if variance > 0 else np.nan,
    )


def _fit(alpha: Array, batch_size: Array, log_steps: Array, resampled: Array, parameters: int) -> Hyperbola | None:
    """The fit with that many parameters; None where the cells do not determine them."""
    if len(alpha) < parameters + _SPARE_CELLS:
        return None
    best, squares = _best_start(alpha, batch_size, log_steps.mean(axis=0), parameters)
    if not determined(best, alpha, batch_size):
        return None
    draws, _ = fit_hyperbola(alpha, batch_size, resampled, best[None])
    low, high = interval(best, draws, len(log_steps))
    with np.errstate(over="ignore"):  # a limit beyond the largest float is open
        smallest, clean = (
            Estimate(*map(float, np.exp([best[i], low[i], high[i]])), n=len(log_steps), level=CONFIDENCE)
            for i in (0, 1)
        )
    delta, *zeta = (resampled_estimate(float(best[i]), draws[:, i], len(log_steps)) for i in range(2, parameters))
    return Hyperbola(
        smallest_steps=smallest,
        critical_batch_size=clean,
        delta=delta,
        zeta=zeta[0] if zeta else None,
        spread=float(np.exp(np.sqrt(squares / (len(alpha) - parameters)))),
    )


def _best_start(alpha: Array, batch_size: Array, log_steps: Array, parameters: int) -> tuple[Array, float]:
    """The best of the fits from many starts, and its sum of squares."""
    starts = many_starts(batch_size, log_steps, parameters)
    theta, squares = fit_hyperbola(alpha, batch_size, np.tile(log_steps, (len(starts), 1)), starts)
    return theta[squares.argmin()], float(squares.min())


def fit_hyperbola(alpha: Array, batch_size: Array, log_steps: Array, starts: Array) -> tuple[Array, Array]:
    """Parameters and sums of squares of the fits to each row of `log_steps` (rows, cells) from each row of `starts`.

    Parameters are the first of (ln S_min, ln B_0, δ, ζ), as many as `starts` has columns, the others 0. Minimises
    the sum of squared residuals of ln S, all rows side by side. Source of the form in B: McCandlish et al. 2018
    (arXiv 1812.06162), eq. 2.11.
    """
    return least_squares(lambda theta: hyperbola(theta, alpha, batch_size), log_steps, starts)


def hyperbola(theta: Array, alpha: Array, batch_size: Array) -> tuple[Array, Array]:
    """ln S (rows, cells) at every row of parameters, and its derivatives (rows, cells, parameters)."""
    noise, batch = np.log1p(alpha), np.log(batch_size)
    fixed = np.zeros((len(theta), 4 - theta.shape[1]))
    smallest, clean, delta, zeta = np.hstack([theta, fixed]).T[..., None]
    excess = clean + delta * noise - batch  # ln(B_crit / B)
    share = np.exp(-np.logaddexp(0, -excess))
    derivatives = [np.ones_like(share), share, share * noise, np.broadcast_to(noise, share.shape)]
    value = smallest + zeta * noise + np.logaddexp(0, excess)
    return value, np.stack(derivatives[: theta.shape[1]], axis=-1)


def many_starts(batch_size: Array, log_steps: Array, parameters: int) -> Array:
    """A grid of starting points: B_0 over and beyond the range of batch sizes, δ from 0 to 3, ζ = 0."""
    batch = np.log(batch_size)
    clean = np.linspace(batch.min() - 6, batch.max() + 2, 6)
    starts = [(log_steps.min(), b, delta, 0.0) for b in clean for delta in (0.0, 0.5, 1.0, 1.5, 2.0, 3.0)]
    return np.array(starts)[:, :parameters]


def determined(theta: Array, alpha: Array, batch_size: Array) -> bool:
    """Whether these cells tell δ from the other parameters near `theta`, to first order.

    They do not where ∂ ln S/∂δ is, over the cells, nearly a combination of the other derivatives.
    """
    _, slope = hyperbola(theta[None], alpha, batch_size)
    delta, others = slope[0, :, 2], np.delete(slope[0], 2, axis=1)
    own = delta - others @ np.linalg.lstsq(others, delta)[0]
    return bool(np.linalg.norm(own) > _OWN_SHARE * np.linalg.norm(delta))
