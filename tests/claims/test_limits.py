"""The cell of a table: an estimate with open limits, or why there is none."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from effbatch.claims.shared.limits import measured
from effbatch.core.estimate import Estimate
from effbatch.fitting import FitOutcome


@pytest.mark.parametrize(
    ("low", "high", "cell"),
    [
        (0.1, 0.4, Estimate(0.2, 0.1, 0.4)),
        (0.0, 0.4, Estimate(0.2, None, 0.4)),
        (0.1, np.inf, Estimate(0.2, 0.1, None)),
        (np.nan, np.nan, FitOutcome.FLAT.sentence),
    ],
)
def test_limits_of_0_and_infinity_are_open(low, high, cell):
    outcome = FitOutcome.FLAT if np.isnan(low) else FitOutcome.INTERIOR
    at = xr.Dataset({"rate": 0.2, "low": low, "high": high, "outcome": int(outcome)})
    assert measured(at, "rate", FitOutcome) == cell
