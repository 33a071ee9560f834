"""Best learning rates and rival laws -> how far each law is off, on cells that it has not seen."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from effbatch.core.errors import InputError
from effbatch.core.estimate import Estimate
from effbatch.fitting.cells import groups, setting_of
from effbatch.fitting.law_fits import left_out_rates
from effbatch.fitting.regret import lost_score, regret, seed_mean, summary
from effbatch.fitting.resampling import (
    RESAMPLES,
    bootstrap_counts,
    over_cells,
    percentile_interval,
    percentile_p_value,
)
from effbatch.fitting.student import CONFIDENCE, MIN_SEEDS
from effbatch.laws import LAWS
from effbatch.laws.base import Law, open_parameters, with_parameters

ANCHORED, FITTED = "anchored at one cell", "fitted on the other cells"
_UNITS = {"median_error": "powers of two", "quantile90": "powers of two", "regret": "score", "regret95": "score"}


def compare_all(best: xr.Dataset, cube: xr.Dataset, *, threshold: float = np.nan) -> xr.Dataset:
    """Every known law: those without open parameters by `compare_laws`, the others by `compare_fitted`."""
    closed = {name: law for name, law in LAWS.items() if not open_parameters(law)}
    anchored = compare_laws(best, closed, cube=cube, threshold=threshold)
    return xr.concat([anchored, compare_fitted(best, cube, threshold=threshold)], "law", combine_attrs="override")


def compare_laws(
    best: xr.Dataset,
    laws: Mapping[str, Law],
    *,
    cube: xr.Dataset | None = None,
    threshold: float = np.nan,
    resamples: int = RESAMPLES,
) -> xr.Dataset:
    """Error of every law on cells that its anchor has not seen, by `law`.

    Each interior cell serves once as the anchor and predicts every other interior cell with the same remaining
    dims (network, data, ...): error = log2(predicted/measured), in powers of two.

    median_error, low, high   median of |error|; limits by bootstrap over cells, since pairs share cells
    p_value                   two-sided, of a median equal to `threshold`; NaN without one
    quantile90                90th percentile of |error|
    cells, pairs              cells and pairs for which the law gave a factor, inside its regime or not
    applies                   share of those pairs in groups where the law says that it applies
    reason                    what the law says of its regime, or why it does not apply, in the first group
    how                       what the law knew: here, one cell
    regret, regret95, clamped mean, 95th percentile and predictions off the grid (see `regret`), given the cube

    A law with a parameter still open gives no factor: NaN and 0 pairs.
    """
    measured = best if cube is None else best.assign(curve=seed_mean(cube))
    tables = [cells for _, cells in groups(measured) if cells.sizes["cell"] > 1]
    rows = [_row(law, tables, threshold, resamples) for law in laws.values()]
    return _table(dict(zip(laws, rows, strict=True)), ANCHORED)


def compare_fitted(
    best: xr.Dataset, cube: xr.Dataset | None = None, *, threshold: float = np.nan, resamples: int = RESAMPLES
) -> xr.Dataset:
    """The columns of `compare_laws` for the laws with open parameters, each fitted on the other cells.

    Every interior cell is left out once and predicted by the law fitted to the other interior cells with the same
    remaining dims (see `law_fits.left_out_rates`): the fit sees many cells where an anchored law sees one. `pairs`
    is the number of cells so predicted.
    """
    rows = {}
    for name, law in LAWS.items():
        if not (parameters := open_parameters(law)):
            continue
        row = prediction_row(best, left_out_rates(name, best), cube, threshold=threshold, resamples=resamples)
        closed = with_parameters(law, **dict.fromkeys(parameters, 1.0))  # the regime is the same for all values
        regimes = []
        for _, cells in groups(best):
            setting = setting_of(cells)(np.arange(cells.sizes["cell"]))
            regimes += [closed.applies(setting, setting)] * cells.sizes["cell"]
        applies = np.mean([regime.ok for regime in regimes]) if row["pairs"] else np.nan
        rows[name] = row | {"applies": applies, "reason": regimes[0].reason if regimes else ""}
    return _table(rows, FITTED)


def prediction_row(
    best: xr.Dataset,
    predicted: xr.DataArray,
    cube: xr.Dataset | None = None,
    *,
    threshold: float = np.nan,
    resamples: int = RESAMPLES,
) -> dict[str, float]:
    """The numbers of `compare_laws` for best rates predicted outright, in the dims of `best`, NaN where there is none.

    The limits of the median are by bootstrap over cells; regret counts every cell with a prediction and a curve.
    """
    error = np.abs(np.log2((predicted / best["best_learning_rate"]).values)).ravel()
    error = error[np.isfinite(error)]
    row = _errors(error, over_cells(error, np.median, resamples=resamples), len(error), threshold)
    return row if cube is None else row | _losses(regret(cube, best, predicted))


def _errors(error: NDArray, median: Estimate, cells: int, threshold: float) -> dict[str, float]:
    value, low, high = median.floats
    p_value = median.p_value(threshold)
    return {
        "median_error": value,
        "low": low,
        "high": high,
        "p_value": np.nan if p_value is None else p_value,
        "quantile90": float(np.quantile(error, 0.9)) if len(error) else np.nan,
        "cells": cells,
        "pairs": len(error),
    }


def _losses(lost: xr.Dataset) -> dict[str, float]:
    return {
        "regret": float(lost["mean"]),
        "regret95": float(lost["quantile95"]),
        "clamped": int(lost["clamped"]),
    }


def _table(rows: Mapping[str, Mapping], how: str) -> xr.Dataset:
    first = next(iter(rows.values()))
    table = xr.Dataset({name: ("law", [row[name] for row in rows.values()]) for name in first}, {"law": list(rows)})
    table["how"] = ("law", [how] * len(rows))
    for name, unit in _UNITS.items():
        if name in table:
            table[name].attrs["units"] = unit
    return table.assign_attrs(confidence=CONFIDENCE)


def _row(law: Law, tables: list[xr.Dataset], threshold: float, resamples: int) -> dict[str, object]:
    """The entry of one law, from the pairs of every group."""
    errors, pairs, lost, off_grid, applying = [], [], [], [], 0
    reason, cells_before = "", 0
    for cells in tables:
        count = cells.sizes["cell"]
        anchor, target = np.nonzero(~np.eye(count, dtype=bool))
        setting = setting_of(cells)
        regime = law.applies(setting(target), setting(anchor))
        reason = reason or regime.reason
        try:
            factor = law.factor(setting(target), setting(anchor))
        except InputError:  # a parameter of the law is open
            continue
        rates = cells["best_learning_rate"].values
        predicted = rates[anchor] * factor
        errors.append(np.abs(np.log2(predicted / rates[target])))
        pairs.append(cells_before + np.stack([anchor, target]))
        applying += len(anchor) * bool(regime.ok)
        cells_before += count
        if "curve" in cells:
            curves = cells["curve"].transpose("cell", "learning_rate").values
            by_target = np.empty((count, count))
            by_target[target, anchor] = predicted
            for i, curve in enumerate(curves):
                one_lost, one_off = lost_score(cells["learning_rate"].values, curve, np.delete(by_target[i], i))
                lost.append(one_lost)
                off_grid.append(one_off)
    error = np.concatenate([*errors, []])
    row: dict[str, object] = {
        **_errors(error, _median(error, pairs, cells_before, resamples), cells_before, threshold),
        "applies": applying / len(error) if len(error) else np.nan,
        "reason": reason,
    }
    if any("curve" in cells for cells in tables):
        row |= _losses(summary(np.concatenate([*lost, []]), np.concatenate([*off_grid, []])))
    return row


def resampled_medians(error: NDArray, pairs: list[NDArray], draws: NDArray) -> NDArray:
    """Medians of `error`, one for every resample of the cells, each pair counting as often as the product of its cells.

    pairs   cells of every error, group by group, (2, pairs of the group)
    draws   how often each resample drew each cell, (resamples, cells), whole numbers; one without any pair is left out
    """
    order = error.argsort()
    anchor, target = np.concatenate(pairs, axis=1)[:, order]
    counts = ((drawn[anchor] * drawn[target]).cumsum() for drawn in draws)
    return np.array([error[order[np.searchsorted(2 * below, below[-1])]] for below in counts if below[-1] > 0])


def _median(error: NDArray, pairs: list[NDArray], cells: int, resamples: int) -> Estimate:
    """Median of `error`, its limits from resampled cells; a pair weighs the product of its cells' weights.

    No limits with fewer than three cells, or where a law gives no finite error.
    """
    value = float(np.median(error)) if len(error) else np.nan
    if cells < MIN_SEEDS or not np.isfinite(error).all():
        return Estimate(value, n=cells)
    resampled = resampled_medians(error, pairs, bootstrap_counts(cells, resamples))
    low, high = percentile_interval(resampled, cells)
    test = partial(percentile_p_value, estimate=value, resampled=resampled, count=cells)
    return Estimate(value, float(low), float(high), n=cells, level=CONFIDENCE, test=test)
