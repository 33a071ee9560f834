"""An .npz file with x_train, y_train, x_test, y_test -> a `DataSet` of these arrays as they are."""

from __future__ import annotations

import lzma
import zipfile
import zlib
from pathlib import Path

import numpy as np

from effbatch.core.errors import InputError
from effbatch.core.npyfile import BROKEN, read_array
from effbatch.data.dataset import DataSet
from effbatch.data.sources import arrays

ARRAYS = ("x_train", "y_train", "x_test", "y_test")
CLASSES = "num_classes"


def takes(name: str) -> bool:
    """Whether a name is that of an .npz file."""
    return name.endswith(".npz")


def load(name: str) -> DataSet:
    """Images are floating and stay as they are; labels are whole numbers from 0; pickles are refused.

    The number of classes is the file's `num_classes` where it has one, else the largest label + 1. InputError where
    the file cannot be read, an array is missing, or one is of another kind.
    """
    held = _held(Path(name))
    for half in ("x_train", "x_test"):
        if held[half].dtype.kind != "f":
            raise InputError(
                f"{half} of {name} must be floating, scaled as the network needs it, got {held[half].dtype}: convert it"
            )
    file_name = Path(name).name
    return arrays.dataset(file_name, *(held[array] for array in ARRAYS), num_classes=held.get(CLASSES), source=name)


def _held(path: Path) -> dict[str, np.ndarray]:
    """The four arrays of the file, and `num_classes` where it has one, by name."""
    try:
        with zipfile.ZipFile(path) as file:
            held = [name.removesuffix(".npy") for name in file.namelist() if name.endswith(".npy")]
            missing = [array for array in ARRAYS if array not in held]
            if missing:
                raise InputError(
                    f"{path} needs the arrays {', '.join(ARRAYS)}; {', '.join(missing)} missing, it has "
                    f"{', '.join(held) or 'none'}",
                    missing=missing,
                )
            return {name: _array(file, name) for name in (*ARRAYS, CLASSES) if name in held}
    except OSError as error:
        raise InputError(f"the data file {path} cannot be read: {error.strerror or error}") from error
    except (*BROKEN, zipfile.BadZipFile, zlib.error, lzma.LZMAError, NotImplementedError, RuntimeError) as error:
        first_line = str(error).partition("\n")[0] or "no message"
        raise InputError(f"{path} is not an .npz file of plain arrays: {type(error).__name__}: {first_line}") from error


def _array(file: zipfile.ZipFile, name: str) -> np.ndarray:
    with file.open(f"{name}.npy") as member:
        return read_array(member)
