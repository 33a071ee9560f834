"""Data sets by name: a built-in set, an .npz file, a folder of images by class, or hub:NAME of the Hugging Face hub.

A built-in set is one file in `builtin` with `SIZE`, `where() -> str` and `load() -> DataSet`, and its test.
"""

from __future__ import annotations

import hashlib
import importlib
import pkgutil
from dataclasses import dataclass
from functools import cache
from os.path import isdir
from pathlib import Path
from types import ModuleType

import numpy as np

from effbatch.core.errors import InputError, hint
from effbatch.data import builtin
from effbatch.data.sources import Half, data_dir, folder, hub, npz

MAX_PIXEL = 1e6  # absolute value: fourth powers of it, summed over an image, still fit into float32
MAX_CLASSES = 1_000_000


@dataclass(frozen=True)
class Size:
    """What a built-in set has to have."""

    train: int
    test: int
    image_shape: tuple[int, ...]
    num_classes: int

    def __str__(self) -> str:
        shape = "×".join(str(side) for side in self.image_shape)
        return f"{self.train:,} train, {self.test:,} test, {shape}, {self.num_classes} classes"


@dataclass(frozen=True, eq=False)
class DataSet:
    """Images (n, C, H, W) float32, standardised by the training set's one mean and deviation; labels (n,) int64.

    Only the images of an .npz file stay as they are. `fingerprint` is the SHA-256 of what was read, before any
    arithmetic: another value means other images or labels.
    """

    name: str
    x_train: np.ndarray
    y_train: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray
    num_classes: int
    source: str
    fingerprint: str = ""

    @property
    def image_shape(self) -> tuple[int, ...]:
        return self.x_train.shape[1:]

    @property
    def size(self) -> Size:
        return Size(len(self.x_train), len(self.x_test), self.image_shape, self.num_classes)


def names() -> list[str]:
    """Names of the built-in data sets."""
    return sorted(module.name.replace("_", "-") for module in pkgutil.iter_modules(builtin.__path__))


def load(name: str) -> DataSet:
    """Load a built-in data set, an .npz file (`sources.npz`) or a folder (`sources.folder`) by its path, or
    `hub:NAME[:CONFIG]` (`sources.hub`). A built-in name wins over a folder called the same.

    It is checked, and kept: the same name gives the same object as long as the file is not written anew. InputError
    where the name is not known, or the content is missing or cannot be used.
    """
    return _kept(name, _edition(name))


def read(name: str) -> DataSet:
    """`load` without keeping it."""
    if name.startswith(hub.PREFIX):
        return checked(from_bytes(name, *hub.read(name), source=f"{name} (Hugging Face)"))
    if name.endswith(".npz"):
        arrays = npz.read(Path(name))
        return checked(
            DataSet(Path(name).name, *arrays, source=name, fingerprint=fingerprint(*map(np.asarray, arrays)))
        )
    if _is_folder(name):
        return checked(from_bytes(Path(name).name, *folder.read(Path(name)), source=name))
    module = _module(name)
    data = checked(module.load())
    if data.size != module.SIZE:
        raise InputError(f"{name} needs {module.SIZE}; {data.size} came from {module.where()}: fetch it again")
    return data


def where(name: str) -> str:
    """Where a built-in data set is read from: a path, `embedded`, or hub:NAME; InputError that says how to get it."""
    return _module(name).where()


def is_here(name: str) -> bool:
    """Whether a built-in data set can be loaded without fetching it."""
    try:
        return not is_fetched(where(name)) and read(name) is not None
    except InputError:
        return False


def is_fetched(place: str) -> bool:
    """Whether what `where` answered is the hub."""
    return place.startswith(hub.PREFIX)


def from_bytes(name: str, train: Half, test: Half, num_classes: int, *, source: str) -> DataSet:
    """Bytes 0..255 -> pixels in [0, 1] -> `standardised`; the fingerprint is that of the bytes and labels."""
    x_train, x_test = standardised(*(half.images.astype(np.float32) / 255 for half in (train, test)))
    mark = fingerprint(*train, *test)
    return DataSet(name, x_train, train.labels, x_test, test.labels, num_classes, source, mark)


def fingerprint(*arrays: np.ndarray) -> str:
    """SHA-256 of the arrays' types, shapes and values, in hexadecimal."""
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(f"{array.dtype.str}{array.shape}".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def checked(data: DataSet) -> DataSet:
    """Return `data` unchanged, or say in one sentence what is wrong with it."""
    if not 2 <= data.num_classes <= MAX_CLASSES:
        raise InputError(
            f"{data.name} needs from 2 to {MAX_CLASSES:,} classes; {data.num_classes} came: number the labels from 0"
        )
    for part, x, y in (("training", data.x_train, data.y_train), ("test", data.x_test, data.y_test)):
        if x.ndim != 4 or len(x) != len(y) or len(x) == 0:
            raise InputError(
                f"the {part} set of {data.name} needs images (n, C, H, W) and n labels; {x.shape} and {y.shape} came"
            )
        if not x.size:
            raise InputError(f"the {part} images of {data.name} need pixels; shape {x.shape} has none")
        if not np.isfinite(x).all():
            raise InputError(f"the {part} images of {data.name} hold NaN or infinite pixels; clean them first")
        if np.abs(x).max() > MAX_PIXEL:
            raise InputError(
                f"the pixels of {data.name} must lie within ±{MAX_PIXEL:,.0f}; up to {np.abs(x).max():.3g} came: "
                "scale them, best to mean 0 and deviation 1"
            )
        if y.min() < 0 or y.max() >= data.num_classes:
            raise InputError(
                f"{part} labels of {data.name} must lie in 0..{data.num_classes - 1}; {y.min()}..{y.max()} came"
            )
    if data.x_train.min() == data.x_train.max():
        raise InputError(f"the training images of {data.name} are constant: there is nothing to learn from them")
    if data.x_test.shape[1:] != data.image_shape:
        raise InputError(
            f"training and test images of {data.name} need one shape (C, H, W); {data.image_shape} and "
            f"{data.x_test.shape[1:]} came: resize them"
        )
    if (data.y_train == data.y_train[0]).all():
        raise InputError(
            f"{data.name} needs training images of at least 2 classes; all are of class {data.y_train[0]}: add others"
        )
    return data


def standardised(train: np.ndarray, test: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Subtract the training pixels' mean and divide by their standard deviation (one number each), as float32."""
    mean, deviation = float(train.mean()), float(train.std())
    if not deviation > 0:
        raise InputError("the training images are constant: there is nothing to learn from them")
    return tuple(((x - mean) / deviation).astype(np.float32, copy=False) for x in (train, test))  # type: ignore[return-value]


def _module(name: str) -> ModuleType:
    if name not in names():
        raise InputError(
            f"data set {name!r} is not known; {hint(name, names())} (or a file .npz, a folder, or hub:NAME)", name=name
        )
    return importlib.import_module(f"{builtin.__name__}.{name.replace('-', '_')}")


def _is_folder(name: str) -> bool:
    return not name.startswith(hub.PREFIX) and name not in names() and isdir(name)


def _edition(name: str) -> object:
    """What has to stay the same for a name to mean the same content."""
    if _is_folder(name):
        return tuple((file, file.stat().st_mtime_ns, file.stat().st_size) for file in folder.files_of(Path(name)))
    if not name.endswith(".npz") or name.startswith(hub.PREFIX):
        return data_dir()
    try:
        file = Path(name).absolute()
        return file, file.stat().st_mtime_ns, file.stat().st_size
    except (OSError, ValueError) as error:  # ValueError: no file has a NUL in its name
        raise InputError(f"the data file {name} cannot be read: {getattr(error, 'strerror', None) or error}") from error


@cache
def _kept(name: str, edition: object) -> DataSet:
    return read(name)
