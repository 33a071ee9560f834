"""A text or .npy file -> a matrix of numbers; nothing in the file is ever run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from effbatch.core.delimited import MAX_BYTES, cells_of, read_text
from effbatch.core.errors import InputError, beside
from effbatch.core.npyfile import BROKEN, read_array


def read_matrix(path: str | Path) -> NDArray[np.float64]:
    """The matrix in a .npy file (no pickles), or in any other file as numbers, one row a line: see `core.delimited`.

    InputError where it cannot be read as that.
    """
    path = Path(path)
    try:
        if path.stat().st_size > MAX_BYTES:
            raise InputError(
                f"a matrix file has at most {MAX_BYTES:,} bytes, got {path.stat().st_size:,} in {path}: shorten it"
            )
        if path.suffix == ".npy":
            return _array(path)
        cells = cells_of(read_text(path, "the matrix file"))
        numbers = cells.numbers(cell for row in cells.rows for cell in row)
        return np.array(numbers).reshape(len(cells.rows), -1)
    except OSError as error:
        raise InputError(f"the matrix file {path} cannot be read: {error.strerror or error}{beside(path)}") from error
    except (*BROKEN, MemoryError) as error:
        raise InputError(
            f"the matrix file {path} must hold numbers only, in rows of one length, as CSV or .npy without pickles; "
            f"it does not ({str(error).splitlines()[0].rstrip('.')})"
        ) from error


def _array(path: Path) -> NDArray[np.float64]:
    with path.open("rb") as file:
        array = read_array(file)
    if array.dtype.kind not in "biuf":
        raise ValueError(f"it holds {array.dtype}")
    return array.astype(float)
