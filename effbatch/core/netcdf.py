"""Datasets -> the bytes of a netCDF file, made in memory."""

from __future__ import annotations

from collections.abc import Mapping
from io import BytesIO

import xarray as xr

COMPRESSED = {"zlib": True, "complevel": 4}


def as_bytes(datasets: Mapping[str, xr.Dataset], *, compressed: bool = False) -> bytes:
    """A netCDF file with one Dataset per group, by name; "/" is the root.

    In memory, because the HDF5 library may crash the process when it meets a full disk; and not by `to_netcdf`, which
    asks a Dask cluster that happens to be connected for a lock.
    """
    import h5netcdf
    from xarray.backends import H5NetCDFStore

    content = BytesIO()
    with h5netcdf.File(content, "w") as file:
        for name, dataset in datasets.items():
            group = file if name == "/" else file.create_group(name)
            encoding = dict.fromkeys(dataset.data_vars, COMPRESSED if compressed else {})
            dataset.dump_to_store(H5NetCDFStore(group, lock=False), encoding=encoding)
    return content.getvalue()
