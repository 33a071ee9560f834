"""What was fitted to a setting -> the cells of its row in a table: the value with its limits, or why there is none."""

from __future__ import annotations

import numpy as np
import xarray as xr

from effbatch.core.flags import Flag


def measured(at: xr.Dataset, name: str, flags: type[Flag], form: str) -> list[str | float | None]:
    """The value called `name` of one setting and its interval; the sentence of its `outcome` in place of the interval.

    A limit of 0 or infinity is open.
    """
    value, low, high = (float(at[key]) for key in (name, "low", "high"))
    if np.isnan(low):
        return [None, flags(int(at["outcome"])).sentence]  # type: ignore[call-arg]
    below = f"{low:{form}}" if low > 0 else "no lower limit"
    above = f"{high:{form}}" if high < np.inf else "no upper limit"
    return [value, f"{below} to {above}"]


def between(low: float, high: float) -> str:
    """An interval as a cell, with one decimal."""
    return "cannot tell" if np.isnan(low) else f"{low:.1f} to {high:.1f}"
