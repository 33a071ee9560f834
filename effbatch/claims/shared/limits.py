"""What was fitted to a setting -> the cell of its row in a table: an estimate, or why there is none."""

from __future__ import annotations

import numpy as np
import xarray as xr

from effbatch.core.estimate import Estimate
from effbatch.core.flags import Flag


def measured(at: xr.Dataset, name: str, flags: type[Flag]) -> Estimate | str:
    """The value called `name` of one setting with its limits, 0 and infinity open; the sentence of its `outcome`."""
    value, low, high = (float(at[key]) for key in (name, "low", "high"))
    if np.isnan(low):
        return flags(int(at["outcome"])).sentence  # type: ignore[call-arg]
    return Estimate(value, low or None, high)
