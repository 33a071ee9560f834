"""Training examples checked by hand, rows (index, right label) -> which they are, and counts of right against given."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np

from effbatch.core.delimited import cells_of, read_text
from effbatch.core.errors import InputError

if TYPE_CHECKING:
    from effbatch.data.dataset import DataSet

ONE_SIDED_99 = 2.33  # standard deviations
DRAWN = "drawn for testing"  # in what a data set was read as


def counts_of(index: np.ndarray, right: np.ndarray, data: DataSet) -> np.ndarray:
    """How often each right label (rows) was given as each label (columns), (K, K), of examples by their index."""
    counts = np.zeros((data.num_classes, data.num_classes))
    np.add.at(counts, (right, data.y_train[index]), 1)
    return counts


def by_chance(counts: np.ndarray) -> str | None:
    """A warning where right and given labels agree no more often than labels that have nothing to do with each other.

    One-sided at 1 %, by mean and variance of the agreement where the given labels are dealt out anew to the same
    examples (Hoeffding 1951): E = Σ_c r_c g_c/n, Var = Σ_cd r_c g_d (δ_cd − g_c/n − r_d/n + E/n)²/(n − 1), with r_c
    examples of right label c, and g_d of given label d. None where they agree more, or there is one example.

    >>> by_chance(np.array([[5, 5], [5, 5]]))
    'the checked labels agree with the given ones as often as chance (10 of 20): their indices may be wrong'
    >>> by_chance(np.array([[9, 1], [1, 9]]))
    """
    right, given, n, agree = counts.sum(1)[:, None], counts.sum(0)[None], counts.sum(), np.trace(counts)
    if n < 2:
        return None
    pairs = right * given
    mean = np.trace(pairs) / n
    away = np.eye(len(counts)) - given.T / n - right.T / n + mean / n
    deviation = np.sqrt((pairs * away**2).sum() / (n - 1))
    if agree > mean + ONE_SIDED_99 * deviation:
        return None
    return (
        f"the checked labels agree with the given ones as often as chance ({agree:,.0f} of {n:,.0f}): their "
        "indices may be wrong"
    )


def checked_in(checked: Any, data: DataSet) -> tuple[np.ndarray, np.ndarray]:
    """Index and right label of every checked example.

    checked  rows (index, label), or a file of them, with or without a first row of names. Indices are those of the
             training examples, from 0; labels are whole numbers, or names of classes
    Raises InputError for rows that are no pair, indices out of range or twice, labels that are not known, and where
    some examples were drawn for testing, so that nobody knows the indices of the others.
    """
    if DRAWN in data.read_as:
        raise InputError(
            f"checked labels need the training examples in their order, got {data.name}, of which a fifth of every "
            "class was drawn for testing: give a test set beside it (a table: a column split of train and "
            "test; .npz: x_test and y_test; a folder: train and test; Python: x_train, y_train, x_test, y_test), or "
            "counts of the checked labels"
        )
    rows = _rows(checked) if isinstance(checked, str | PathLike) else checked
    index, label = [], []
    try:
        pairs = [tuple(row) for row in rows]
    except TypeError as error:
        raise InputError(
            f"checked labels need rows (index, label), got {type(checked).__name__}: give pairs"
        ) from error
    if odd := [len(pair) for pair in pairs if len(pair) != 2]:
        raise InputError(f"checked labels need rows (index, label), got one of {odd[0]}: leave the others out")
    names = {name: i for i, name in enumerate(data.class_names)}
    for row, (i, c) in enumerate(pairs):
        if row == 0 and isinstance(i, str) and not i.strip().lstrip("-").isdigit():
            continue  # names of the columns
        index.append(_whole(i, "an index", len(data.y_train)))
        label.append(names[c] if c in names else _whole(c, "a label", data.num_classes))
    if not index or len(set(index)) < len(index):
        twice = next((i for i in index if index.count(i) > 1), None)
        got = "none" if twice is None else f"{twice} twice"
        raise InputError(f"checked labels need training examples, each once, got {got}: leave one out")
    return np.array(index), np.array(label)


def _rows(path: str | PathLike[str]) -> Sequence[Sequence[str]]:
    try:
        return cells_of(read_text(str(path), "the file of checked labels")).rows
    except ValueError as error:
        raise InputError(f"checked labels need rows index, label, got other content in {path}: {error}") from error


def _whole(value: Any, what: str, below: int) -> int:
    """A whole number from 0 on."""
    try:
        number = int(value)
        if number != float(value) or not 0 <= number < below:
            raise ValueError
    except (TypeError, ValueError, OverflowError) as error:
        raise InputError(f"{what} of a checked label needs to be from 0 to {below - 1:,}, got {value}") from error
    return number
