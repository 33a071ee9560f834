"""Arrays of images and labels -> a `DataSet` of these images as they are; nothing is standardised."""

from __future__ import annotations

from typing import Any

import numpy as np

from effbatch.core.errors import InputError
from effbatch.data.dataset import MAX_CLASSES, DataSet, fingerprint


def dataset(
    name: str, x_train: Any, y_train: Any, x_test: Any, y_test: Any, *, num_classes: Any = None, source: str = ""
) -> DataSet:
    """Images as float32, labels as int64; without `num_classes` there are as many as the largest label + 1.

    InputError where labels, or the number of classes, are not whole numbers. The images are looked at by `checked`.
    """
    y_train, y_test = (_whole(f"{half} of {name}", y, 1) for half, y in (("y_train", y_train), ("y_test", y_test)))
    if num_classes is None:
        classes = int(max(y_train.max(), y_test.max())) + 1
    else:
        classes = int(_whole(f"num_classes of {name}", num_classes, 0))
    with np.errstate(over="ignore"):  # infinite pixels are named where the data set is checked
        x_train, x_test = (np.asarray(x).astype(np.float32) for x in (x_train, x_test))
        y_train, y_test = (y.astype(np.int64) for y in (y_train, y_test))
    return DataSet(
        name=name,
        x_train=x_train,
        y_train=y_train,
        x_test=x_test,
        y_test=y_test,
        num_classes=classes,
        source=source or name,
        fingerprint=fingerprint(x_train, y_train, x_test, y_test, np.array(min(classes, MAX_CLASSES + 1))),
    )


def _whole(what: str, numbers: Any, dims: int) -> np.ndarray:
    found = np.asarray(numbers)
    if found.dtype.kind not in "iu" or found.ndim != dims or not found.size:
        needed = "whole numbers, one per image" if dims else "one whole number"
        raise InputError(f"{what} must be {needed}, got {found.dtype} {found.shape}: number the classes from 0")
    return found
