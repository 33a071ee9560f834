"""A CSV or .npy file -> a matrix of numbers; nothing in the file is ever run."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from effbatch.core.errors import InputError
from effbatch.core.npyfile import BROKEN, read_array

MAX_BYTES = 100_000_000


def read_matrix(path: str | Path) -> NDArray[np.float64]:
    """The matrix in a .npy file (no pickles), or in any other file as comma-separated numbers, one row a line.

    InputError where it cannot be read as that.
    """
    path = Path(path)
    try:
        if path.stat().st_size > MAX_BYTES:
            raise InputError(
                f"a matrix file may have at most {MAX_BYTES:,} bytes, got {path.stat().st_size:,} in {path}"
            )
        if path.suffix == ".npy":
            with path.open("rb") as file:
                array = read_array(file)
            if array.dtype.kind not in "biuf":
                raise ValueError(f"it holds {array.dtype}")
            return array.astype(float)
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # of NumPy, for an empty file
            return np.loadtxt(path, delimiter=",", ndmin=2, encoding="utf-8")
    except OSError as error:
        raise InputError(f"the matrix file {path} cannot be read: {error.strerror or error}") from error
    except (*BROKEN, MemoryError, UserWarning) as error:
        raise InputError(
            f"the matrix file {path} must hold numbers only, in rows of one length, comma-separated or .npy without "
            f"pickles; it does not ({str(error).splitlines()[0].rstrip('.')})"
        ) from error
