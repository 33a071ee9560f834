"""Data sets by name. Adding one is one file here with a function `load() -> DataSet` and its test."""

from __future__ import annotations

import importlib
import pkgutil
from dataclasses import dataclass
from functools import cache

import numpy as np

from effbatch.errors import InputError, hint


@dataclass(frozen=True, eq=False)
class DataSet:
    """Images (n, C, H, W) float32, standardised by the training set's one mean and deviation; labels (n,) int64."""

    name: str
    x_train: np.ndarray
    y_train: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray
    num_classes: int
    source: str

    @property
    def image_shape(self) -> tuple[int, ...]:
        return self.x_train.shape[1:]


def names() -> list[str]:
    """Names of the data sets that can be asked for."""
    return sorted(module.name.replace("_", "-") for module in pkgutil.iter_modules(__path__))


@cache
def load(name: str) -> DataSet:
    """Load a data set by name and check it; raises InputError for an unknown name or unusable content."""
    if name not in names():
        raise InputError(f"data set {name!r} is not known; {hint(name, names())}", name=name)
    module = importlib.import_module(f"{__name__}.{name.replace('-', '_')}")
    return checked(module.load())


def is_here(name: str) -> bool:
    """Whether a data set can be loaded on this machine."""
    try:
        return load(name) is not None
    except InputError:
        return False


def checked(data: DataSet) -> DataSet:
    """Return `data` unchanged, or say in one sentence what is wrong with it."""
    for part, x, y in (("training", data.x_train, data.y_train), ("test", data.x_test, data.y_test)):
        if x.ndim != 4 or len(x) != len(y) or len(x) == 0:
            raise InputError(
                f"the {part} set of {data.name} needs images (n, C, H, W) and n labels; {x.shape} and {y.shape} came"
            )
        if not np.isfinite(x).all():
            raise InputError(f"the {part} images of {data.name} hold NaN or infinite pixels; clean them first")
        if y.min() < 0 or y.max() >= data.num_classes:
            raise InputError(
                f"{part} labels of {data.name} must lie in 0..{data.num_classes - 1}; {y.min()}..{y.max()} came"
            )
    return data


def standardised(train: np.ndarray, test: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Subtract the training pixels' mean and divide by their standard deviation (one number each), as float32."""
    mean, deviation = float(train.mean()), float(train.std())
    if not deviation > 0:
        raise InputError("the training images are constant: there is nothing to learn from them")
    return tuple(((x - mean) / deviation).astype(np.float32) for x in (train, test))  # type: ignore[return-value]
