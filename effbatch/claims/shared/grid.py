"""A cube that may vary several keys -> the few dimensions that a claim is about."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import xarray as xr

from effbatch.core.errors import CubeError

Values = TypeVar("Values", xr.Dataset, xr.DataArray)


def only(values: Values, dims: Sequence[str], *, what: str) -> Values:
    """The values without the dims of length one that are not in `dims`; CubeError where a longer one is left over."""
    others = [str(dim) for dim in values.dims if dim not in dims]
    if longer := [dim for dim in others if values.sizes[dim] > 1]:
        raise CubeError(
            f"{what} needs one way of training, and the grid also varies {', '.join(longer)}: keep one value of each"
        )
    return values.squeeze(others, drop=True)
