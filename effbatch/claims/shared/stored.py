"""A Dataset as JSON-ready values in a stored prediction, and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr


def theory(prediction: Mapping[str, Any]) -> xr.Dataset:
    """What the linearised theory predicted, see `linearised.surface`; an empty Dataset where it was not asked."""
    return from_json(prediction["linearised"]) if "linearised" in prediction else xr.Dataset()


def to_json(values: xr.Dataset) -> dict[str, Any]:
    """A Dataset as JSON-ready values: {coords, data: {name: {dims, values}}}, NaN as null."""
    return {
        "coords": {str(dim): values[dim].values.tolist() for dim in values.dims},
        "data": {
            str(name): {"dims": list(array.dims), "values": _null(array.values)}
            for name, array in values.data_vars.items()
        },
    }


def from_json(content: Mapping[str, Any]) -> xr.Dataset:
    """The Dataset that `to_json` was given."""
    return xr.Dataset(
        {name: (array["dims"], np.array(array["values"], dtype=float)) for name, array in content["data"].items()},
        coords=content["coords"],
    )


def _null(values: np.ndarray) -> list:
    boxed = values.astype(object)
    boxed[np.isnan(values)] = None
    return boxed.tolist()
