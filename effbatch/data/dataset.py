"""Images and labels of two halves, as read -> a `DataSet`: standardised, checked, known by the SHA-256 of its bytes."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np

from effbatch.core.announced import announce
from effbatch.core.errors import InputError
from effbatch.data.classes import MAX_CLASSES, imbalance_in_words
from effbatch.data.sources import Half

COPIED = 12  # bytes for each pixel, in single precision three times while it is standardised
MAX_PIXEL = 1e6  # absolute value: fourth powers of it, summed over an image, still fit into float32


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


@dataclass(frozen=True, kw_only=True, eq=False)
class DataSet:
    """Images (n, C, H, W) or features (n, d), float32, or tokens (n, L), int64; and labels (n,) int64 from 0.

    Built-in sets, folders and the hub are standardised by the training set's one mean and deviation; arrays and tables
    stay as they are. `read_as` says in words what was understood. `fingerprint` is the SHA-256 of what was read, before
    any arithmetic: another value means other images or labels. `clean_labels` (n,) are those of the training examples,
    where the labels given are known to be partly wrong; training never sees them.
    """

    name: str
    x_train: np.ndarray
    y_train: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray
    num_classes: int
    source: str
    fingerprint: str = ""
    class_names: tuple[str, ...] = ()
    read_as: str = ""
    clean_labels: np.ndarray | None = None

    @property
    def image_shape(self) -> tuple[int, ...]:
        return self.x_train.shape[1:]

    @property
    def in_words(self) -> str:
        """One line of what was understood: how many, of what shape, read how, and the classes with their names."""
        read = self.read_as or f"images {'×'.join(map(str, self.image_shape))}, standardised"
        names = self.class_names
        if names == tuple(map(str, range(self.num_classes))) or not names:
            classes = f"{self.num_classes} classes"
        else:
            shown = names if len(names) <= 4 else (*names[:3], "…", names[-1])
            classes = f"{self.num_classes} classes ({', '.join(shown)})"
        said = f"{len(self.y_train):,} to train on, {len(self.y_test):,} to test, {read}; {classes}"
        if self.clean_labels is not None:
            said += f"; {100 * (self.clean_labels != self.y_train).mean():.2g} % of the training labels are wrong"
        shares = imbalance_in_words(self.y_train, names or tuple(map(str, range(self.num_classes))))
        return f"{said}; {shares}" if shares else said

    @property
    def size(self) -> Size:
        return Size(len(self.x_train), len(self.x_test), self.image_shape, self.num_classes)


def from_bytes(name: str, train: Half, test: Half, num_classes: int, *, source: str) -> DataSet:
    """Bytes 0..255 -> pixels in [0, 1] -> `standardised`; the fingerprint is that of the bytes and labels."""
    announce(
        f"reading {len(train.images) + len(test.images):,} images of {name}",
        memory=COPIED * (train.images.size + test.images.size),
        instead="fewer or smaller ones take less",
    )
    pixels = [half.images.astype(np.float32) for half in (train, test)]
    x_train, x_test = standardised(*(np.divide(x, 255, out=x) for x in pixels))
    return DataSet(
        name=name,
        x_train=x_train,
        y_train=train.labels,
        x_test=x_test,
        y_test=test.labels,
        num_classes=num_classes,
        source=source,
        fingerprint=fingerprint(*train, *test),
    )


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
            f"{data.name} needs from 2 to {MAX_CLASSES:,} classes, got {data.num_classes}: add examples of others"
        )
    _check_half("training", data, data.x_train, data.y_train)
    _check_half("test", data, data.x_test, data.y_test)
    if data.x_train.min() == data.x_train.max():
        raise InputError(
            f"the training examples of {data.name} are constant, so there is nothing to learn: check the data"
        )
    if data.x_test.shape[1:] != data.image_shape:
        raise InputError(
            f"training and test examples of {data.name} need one shape, got {data.image_shape} and "
            f"{data.x_test.shape[1:]}: resize them"
        )
    if (data.y_train == data.y_train[0]).all():
        raise InputError(
            f"{data.name} needs training examples of at least 2 classes; all are of class {data.y_train[0]}: add others"
        )
    return data


def check_as_many(what: str, x: np.ndarray, y: np.ndarray) -> None:
    """InputError unless there is one label for each example."""
    if len(x) != len(y):
        raise InputError(
            f"{what} needs one label for each example, got {len(x):,} examples and {len(y):,} labels: check that they "
            "belong together"
        )


def _check_half(half: str, data: DataSet, x: np.ndarray, y: np.ndarray) -> None:
    check_as_many(f"the {half} set of {data.name}", x, y)
    if x.ndim not in (2, 4) or len(x) == 0:
        raise InputError(
            f"the {half} set of {data.name} needs images (n, C, H, W), features (n, d) or tokens (n, L), and "
            f"n labels, got {x.shape} and {y.shape}: check its shape"
        )
    if not x.size:
        raise InputError(
            f"the {half} examples of {data.name} need at least one number, got shape {x.shape}: check how they were cut"
        )
    if not np.isfinite(x).all():
        raise InputError(f"the {half} examples of {data.name} hold NaN or infinite numbers: clean them first")
    if x.dtype.kind == "f" and np.abs(x).max() > MAX_PIXEL:  # tokens are looked up, never multiplied
        raise InputError(
            f"the numbers of {data.name} must lie within ±{MAX_PIXEL:,.0f}, got up to {np.abs(x).max():.3g}: "
            "scale them, best each column to mean 0 and deviation 1"
        )
    if y.min() < 0 or y.max() >= data.num_classes:
        raise InputError(
            f"{half} labels of {data.name} must lie in 0..{data.num_classes - 1}, got {y.min()}..{y.max()}: "
            "number the classes from 0"
        )


def standardised(train: np.ndarray, test: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Subtract the training pixels' mean and divide by their standard deviation (one number each), as float32."""
    mean, deviation = float(train.mean()), float(train.std())
    if not deviation > 0:
        raise InputError("the training examples are constant, so there is nothing to learn: check the data")

    def scaled(x: np.ndarray) -> np.ndarray:
        x = x - mean
        x /= deviation  # in place: of large sets every copy takes seconds
        return x.astype(np.float32, copy=False)

    return scaled(train), scaled(test)
