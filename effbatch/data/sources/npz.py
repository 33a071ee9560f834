"""An .npz file with x_train, y_train, x_test, y_test -> these arrays as they are, and the number of classes."""

from __future__ import annotations

import lzma
import zipfile
import zlib
from pathlib import Path
from typing import NamedTuple

import numpy as np

from effbatch.core.errors import InputError
from effbatch.core.npyfile import BROKEN, read_array

ARRAYS = ("x_train", "y_train", "x_test", "y_test")


class Arrays(NamedTuple):
    """Images float32 and labels int64 of both halves."""

    x_train: np.ndarray
    y_train: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray
    num_classes: int


def read(path: Path) -> Arrays:
    """Images are floating and stay as they are; labels are whole numbers from 0; pickles are refused.

    The number of classes is the file's `num_classes` where it has one, else the largest label + 1. InputError where
    the file cannot be read, an array is missing, or one is of another kind.
    """
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
            x_train, y_train, x_test, y_test = (_array(file, name) for name in ARRAYS)
            classes = _array(file, "num_classes") if "num_classes" in held else None
    except OSError as error:
        raise InputError(f"the data file {path} cannot be read: {error.strerror or error}") from error
    except (*BROKEN, zipfile.BadZipFile, zlib.error, lzma.LZMAError, NotImplementedError, RuntimeError) as error:
        first_line = str(error).partition("\n")[0] or "no message"
        raise InputError(f"{path} is not an .npz file of plain arrays: {type(error).__name__}: {first_line}") from error
    for array, x in (("x_train", x_train), ("x_test", x_test)):
        if x.dtype.kind != "f":
            raise InputError(f"{array} of {path} must be floating, scaled as the network wants it; {x.dtype} came")
    for array, y in (("y_train", y_train), ("y_test", y_test)):
        if y.dtype.kind not in "iu" or y.ndim != 1 or not len(y):
            raise InputError(f"{array} of {path} must be whole numbers, one per image; {y.dtype} {y.shape} came")
    if classes is None:
        classes = max(y_train.max(), y_test.max()) + 1
    elif classes.shape != () or classes.dtype.kind not in "iu":
        raise InputError(f"num_classes of {path} must be one whole number; {classes.dtype} {classes.shape} came")
    with np.errstate(over="ignore"):  # infinite pixels are named where the data set is checked
        x_train, x_test = (x.astype(np.float32) for x in (x_train, x_test))
    y_train, y_test = (y.astype(np.int64) for y in (y_train, y_test))
    return Arrays(x_train, y_train, x_test, y_test, int(classes))


def _array(file: zipfile.ZipFile, name: str) -> np.ndarray:
    with file.open(f"{name}.npy") as member:
        return read_array(member)
