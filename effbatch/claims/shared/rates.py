"""Best learning rates -> their table, and why a setting has none."""

from __future__ import annotations

from collections import Counter

import numpy as np
import xarray as xr

from effbatch.claims.shared.limits import measured
from effbatch.core.figures import Cell, Table
from effbatch.fitting import FitOutcome
from effbatch.fitting.figures import extra_dims
from effbatch.plan.words import value_in_words

OCTAVES = "powers of two"  # the unit of errors and shifts of rates


def rates_table(best: xr.Dataset, predicted: xr.DataArray | None = None) -> Table:
    """One row for every setting: its best rate as predicted and measured, with limits or why there are none."""
    extra = extra_dims(best)
    theory = xr.full_like(best["best_learning_rate"], np.nan) if predicted is None else predicted
    stacked = best.assign(predicted=theory).stack(cell=[*extra, "batch_size", "alpha"])
    rows: list[list[Cell]] = []
    for i in range(stacked.sizes["cell"]):
        cell = stacked.isel(cell=i)
        rows.append(
            [
                ", ".join(value_in_words(dim, cell[dim].item()) for dim in (*extra, "batch_size")),
                float(cell["alpha"]),
                float(cell["predicted"]),
                measured(cell, "best_learning_rate", FitOutcome),
                100 * float(cell["best_accuracy"]),
                int(cell["seeds"]),
            ]
        )
    columns = ("cell", "α", "predicted", "measured [95 % interval]", "accuracy, %", "n")
    formats = ("", "g", ".3g", "", ".1f", "d")
    if predicted is None:
        shorter = [[*row[:2], *row[3:]] for row in rows]
        caption = "Best learning rate of every cell, as measured, and the accuracy there."
        return Table("rates", caption, (*columns[:2], *columns[3:]), shorter, (*formats[:2], *formats[3:]))
    caption = (
        "Best learning rate of every cell, predicted without training by the linearised theory, and measured:"
        f"{_off(best, predicted)}."
    )
    return Table("rates", caption, columns, rows, formats)


def _off(best: xr.Dataset, predicted: xr.DataArray) -> str:
    ratio = np.abs(np.log2((predicted / best["best_learning_rate"]).values))
    ratio = ratio[np.isfinite(ratio)]
    if not ratio.size:
        return " nothing to compare"
    return f" {np.median(ratio):.2f} powers of two apart at the median of {ratio.size} cells"


def why_unknown(best: xr.Dataset) -> str:
    """A sentence on the settings without a best rate, with the commonest reason; empty where all have one."""
    outcomes = Counter(FitOutcome(int(value)) for value in best["outcome"].values.ravel())  # type: ignore[call-arg]
    known, settings = outcomes.pop(FitOutcome.INTERIOR, 0), best["outcome"].size
    if not outcomes:
        return ""
    (reason, count), *_ = outcomes.most_common(1)
    missing = settings - known
    of_them = f"{count} of them" if count < missing else "each"
    return f"{missing} of {settings} settings have no best rate with limits; {of_them}: {reason.sentence}."
