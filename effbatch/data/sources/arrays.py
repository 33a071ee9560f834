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
    y_train, y_test = (_whole(f"{half} of {name}", y) for half, y in (("y_train", y_train), ("y_test", y_test)))
    classes = int(max(y_train.max(), y_test.max())) + 1 if num_classes is None else _one(name, num_classes)
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


def _whole(what: str, labels: Any) -> np.ndarray:
    y = np.asarray(labels)
    if y.dtype.kind not in "iu" or y.ndim != 1 or not len(y):
        raise InputError(
            f"{what} must be whole numbers, one per image, got {y.dtype} {y.shape}: number the classes from 0"
        )
    return y


def _one(name: str, num_classes: Any) -> int:
    classes = np.asarray(num_classes)
    if classes.shape != () or classes.dtype.kind not in "iu":
        raise InputError(
            f"num_classes of {name} must be one whole number, got {classes.dtype} {classes.shape}: leave it out, or "
            "give the number of classes"
        )
    return int(classes)
