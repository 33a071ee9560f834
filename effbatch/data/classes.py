"""Labels as people have them -> class indices from 0, with the names of the classes.

Whole numbers from any start and with gaps, booleans, whole floats, words, a column (n, 1), one-hot rows (n, K): all
mean the classes that occur, in their natural order. What could mean two things is asked about.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from effbatch.core.errors import InputError
from effbatch.data.reading import array_of

MAX_CLASSES = 1_000_000
UNKNOWN = (-1, -100)  # what many tools write where an example has no label,
UNKNOWN_BYTE = 255  # or this, far above all other labels
IMBALANCED = 3  # times as many examples of the commonest class as of the rarest: then shares are told

Labels = NDArray[np.int64]


def class_indices(what: str, *halves: Any, num_classes: Any = None) -> tuple[list[Labels], tuple[str, ...]]:
    """Labels of each half as int64 (n,) in 0 … K − 1, and the K class names.

    The classes are those that occur in any half. With `num_classes` labels are whole numbers below it, as they are.

    >>> class_indices("y", [1, 2, 20])
    ([array([0, 1, 2])], ('1', '2', '20'))

    Raises InputError for labels of another kind, and where -1 may be a class or the mark of a missing label.
    """
    read = [_read(f"{half} of {what}", labels) for half, labels in zip(("y_train", "y_test"), halves, strict=False)]
    kinds = {array.dtype.kind for array, _ in read}
    if len(kinds) > 1:
        types = " and ".join(str(array.dtype) for array, _ in read)
        raise InputError(f"labels of {what} need one type in both halves, got {types}: write them alike")
    width = max(columns for _, columns in read)
    if num_classes is not None or width:
        classes = width if num_classes is None else _count(what, num_classes)
        if kinds == {"U"}:
            raise InputError(
                f"labels of {what} with num_classes = {classes} need whole numbers, got words: leave it out"
            )
        return [array.astype(np.int64) for array, _ in read], tuple(map(str, range(classes)))
    found = np.unique(np.concatenate([np.unique(array) for array, _ in read]))
    _refuse_marks(what, found)
    names = ("False", "True") if found.dtype.kind == "b" else tuple(map(str, found.tolist()))
    found = np.array([False, True]) if found.dtype.kind == "b" else found
    return [np.searchsorted(found, array).astype(np.int64) for array, _ in read], names


def _refuse_marks(what: str, found: np.ndarray) -> None:
    """InputError where one of the labels may stand for a missing one, or two of them for one class."""
    mark, others = None, found
    if found.dtype.kind == "i" and len(found) > 2:
        if found[0] in UNKNOWN and found[1] >= 0:
            mark, others = found[0], found[1:]
        elif found[0] >= 0 and found[-1] == UNKNOWN_BYTE > found[-2] + 1:
            mark, others = found[-1], found[:-1]
    if mark is not None:
        raise InputError(
            f"labels of {what} hold {mark} beside {others[0]} to {others[-1]}, which may be a class or mark a "
            "missing label: leave those examples out, or give the class another number"
        )
    if found.dtype.kind == "U":
        if missing := {"", "nan"} & {*found.tolist()}:
            raise InputError(
                f"labels of {what} hold {min(missing)!r}, as where a label is missing: leave those examples out, or "
                "name the class"
            )
        check_spelling(f"labels of {what}", found.tolist())


def check_spelling(what: str, names: Iterable[str]) -> None:
    """InputError where two names of classes differ in upper and lower case alone; single letters may."""
    alike: dict[str, str] = {}
    for name in names:
        if len(name) > 1 and (other := alike.setdefault(name.casefold(), name)) != name:
            raise InputError(
                f"{what} hold {other!r} and {name!r}, which may be one class or two: write them alike, or "
                "number the classes"
            )


def majority_share(labels: Any) -> float:
    """The share of the commonest class: the accuracy of always answering it.

    >>> majority_share([0, 0, 0, 1])
    0.75
    """
    return float(np.unique(labels, return_counts=True)[1].max() / len(labels))


def imbalance_in_words(labels: Labels, names: Sequence[str]) -> str:
    """The shares of the commonest and the rarest class, where they differ by a factor of three or more, else nothing.

    >>> imbalance_in_words(np.array([0] * 9 + [1]), ["cat", "dog"])
    'imbalanced: class cat 90 % (what always answering it reaches), class dog 10 %'
    """
    counts = np.bincount(labels, minlength=len(names))
    common, rare = int(counts.argmax()), int(counts.argmin())
    if counts[common] < IMBALANCED * counts[rare]:
        return ""
    most, least = (f"{100 * counts[c] / len(labels):.3g} %" for c in (common, rare))
    return f"imbalanced: class {names[common]} {most} (what always answering it reaches), class {names[rare]} {least}"


def _read(what: str, labels: Any) -> tuple[np.ndarray, int]:
    """One label per example, booleans, int64 or words; and the number of columns where rows were one-hot, else 0."""
    y = array_of(what, labels)
    if y.dtype == object:
        y = _of_objects(what, y)
    if y.ndim > 1 and y.size == len(y):
        y = y.ravel()
    if y.ndim == 2 and y.shape[1] > 1 and y.dtype.kind in "biuf":
        if not (np.isin(y, (0, 1)).all() and (y.sum(1) == 1).all()):
            raise InputError(
                f"{what} needs one label per example, got {y.shape} numbers that are not one-hot: give class indices, "
                "or rows with a single 1"
            )
        return y.argmax(1), y.shape[1]
    if not y.size:
        raise InputError(f"{what} needs at least one label, got none: give examples with labels")
    if y.ndim != 1 or y.dtype.kind not in "biufUS":
        raise InputError(
            f"{what} needs one label per example, whole numbers or words, got {y.dtype} {y.shape}: number the "
            "classes from 0"
        )
    if y.dtype.kind == "S":
        y = np.char.decode(y, "utf-8", "replace")
    if y.dtype.kind == "U":
        y = np.char.strip(y)  # spaces around words mean nothing
    if y.dtype.kind == "f":
        y = y.astype(np.float64)
        if not (np.isfinite(y).all() and (y == np.floor(y)).all() and (np.abs(y) < 2**53).all()):
            raise InputError(f"{what} needs whole numbers or words, got fractions or NaN: give class indices")
        y = y.astype(np.int64)
    if y.dtype.kind == "u":
        if y.max() > np.iinfo(np.int64).max:
            raise InputError(f"{what} needs labels below 2^63, got {y.max()}: number the classes from 0")
        y = y.astype(np.int64)
    return (y.astype(np.int64) if y.dtype.kind == "i" else y), 0


def _of_objects(what: str, y: np.ndarray) -> np.ndarray:
    """Python objects, as a table holds them, all booleans, all numbers or all words."""
    for kinds, kind in (((bool, np.bool_), bool), ((int, float, np.number), float), ((str,), str)):
        if all(isinstance(one, kinds) for one in y.flat):
            return y.astype(kind)
    others = [one for one in y.flat if not isinstance(one, str)]
    strange = next((one for one in others if not isinstance(one, int | float | np.number)), others[0])
    raise InputError(f"{what} needs numbers or words throughout, got {strange!r} among them: fill in or leave out")


def _count(what: str, number: Any) -> int:
    found = np.asarray(number)
    if found.dtype.kind not in "iu" or found.ndim:
        raise InputError(
            f"num_classes of {what} must be one whole number, got {found.dtype} {found.shape}: count the classes"
        )
    if not 2 <= int(found) <= MAX_CLASSES:
        raise InputError(f"{what} needs from 2 to {MAX_CLASSES:,} classes, got {int(found)}: number the labels from 0")
    return int(found)
