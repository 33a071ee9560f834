"""An .npz file of examples and labels -> a `DataSet`; nothing is unpickled."""

from __future__ import annotations

import lzma
import zipfile
import zlib
from pathlib import Path

import numpy as np

from effbatch.core.errors import InputError, beside
from effbatch.core.npyfile import BROKEN, read_array
from effbatch.data.dataset import DataSet
from effbatch.data.reading import PLAIN, Reading
from effbatch.data.sources import arrays


def takes(name: str) -> bool:
    """Whether a name is that of an .npz file."""
    return name.endswith(".npz")


def load(name: str, reading: Reading = PLAIN) -> DataSet:
    """x_train, y_train, x_test, y_test, or a pair without a test set (`arrays.from_mapping`); pickles are refused.

    InputError where the file cannot be read, an array is missing, or one is of another kind.
    """
    reading.only(name, "channels", "tokens")
    return arrays.from_mapping(Path(name).name, _held(Path(name)), reading=reading, source=name)


def _held(path: Path) -> dict[str, np.ndarray]:
    """The arrays of the file by name."""
    try:
        with zipfile.ZipFile(path) as file:
            names = [name.removesuffix(".npy") for name in file.namelist() if name.endswith(".npy")]
            return {name: _array(file, name) for name in names if arrays.wanted(name)}
    except OSError as error:
        raise InputError(f"the data file {path} cannot be read: {error.strerror or error}{beside(path)}") from error
    except (*BROKEN, zipfile.BadZipFile, zlib.error, lzma.LZMAError, NotImplementedError, RuntimeError) as error:
        first_line = str(error).partition("\n")[0] or "no message"
        raise InputError(
            f"{path} is not an .npz file of plain arrays ({type(error).__name__}: {first_line}): save it by numpy.savez"
        ) from error


def _array(file: zipfile.ZipFile, name: str) -> np.ndarray:
    with file.open(f"{name}.npy") as member:
        return read_array(member)
