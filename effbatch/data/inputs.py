"""Features, images or tokens as people have them -> arrays that networks take, and how they were read, in words.

    (n, d)         features                    stay
    (n, L)         whole numbers: tokens       stay whole, or are features; `tokens` decides
    (n, H, W)      grey images                 get their channel: (n, 1, H, W)
    (n, C, H, W)   images, channels first      stay
    (n, H, W, C)   images, channels last       channels move to the front
    bytes          integers from 0 to 255      are divided by 255
    booleans       become 0 and 1
    others         stay as they are

What could mean two things is asked about: whole numbers (n, d) may be tokens, and (n, 3, 4, 3) may be read both ways.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from effbatch.core.announced import announce
from effbatch.core.errors import InputError
from effbatch.data.reading import PLAIN, Reading, array_of

FEW = 4  # channels of an image: grey, grey with alpha, RGB, RGB with alpha
COPIED = 8  # bytes for each number, in single precision, and once more while it is scaled or divided
HALVES = ("x_train", "x_test")


def inputs(what: str, *halves: Any, reading: Reading = PLAIN) -> tuple[list[NDArray[Any]], str]:
    """Each half as float32, tokens as int64, and one clause that says how they were read; the first decides for all.

    >>> [x], words = inputs("my data", np.full((9, 28, 28), 7, np.uint8))
    >>> x.shape, words
    ((9, 1, 28, 28), 'grey images 28×28, bytes divided by 255')
    >>> [x], words = inputs("my data", [[3, 1, 4], [1, 5, 9]], reading=Reading(tokens=True))
    >>> words
    'sequences of 3 tokens, vocabulary 10'

    Raises InputError for other numbers of dimensions, types that are no numbers, and what could mean two things.
    """
    columns = [[*x.columns] for x in halves if hasattr(x, "columns")]
    if len(columns) == 2 and columns[0] != columns[1]:
        raise InputError(f"x_train and x_test of {what} need the same columns in one order, got others: select them")
    arrays = [_numbers(f"{half} of {what}", x) for half, x in zip(HALVES, halves, strict=False)]
    for half, array in zip(HALVES, arrays, strict=False):
        if array.ndim != arrays[0].ndim:
            raise InputError(
                f"{half} of {what} needs {arrays[0].ndim} dimensions like x_train, got {array.ndim}: give both alike"
            )
    if reading.tokens or (reading.tokens is None and _may_be_tokens(what, halves[0], arrays)):
        return _tokens(what, arrays)
    shape_of, kind = _layout(what, arrays[0], reading.channels)
    announce(
        f"reading {sum(map(len, arrays)):,} examples of {what}",
        memory=COPIED * sum(array.size for array in arrays),
        instead="fewer or smaller examples take less",
    )
    scale, scaled = _scale(what, arrays)
    with np.errstate(over="ignore"):  # infinite pixels are named where the data set is checked
        # copied, so that PyTorch may write there and the caller's arrays stay as they are
        made = [np.array(shape_of(array), np.float32, order="C") for array in arrays]
    if scale != 1:
        made = [array / np.float32(scale) for array in made]
    return made, f"{kind}, {scaled}"


def _numbers(what: str, x: Any) -> np.ndarray:
    array = array_of(what, x)
    if array.dtype == object:
        try:
            array = array.astype(np.float64)
        except (TypeError, ValueError) as error:
            raise InputError(
                f"{what} needs numbers of one shape, got other objects ({error}): make one array"
            ) from error
    if array.dtype.kind not in "biuf":
        raise InputError(f"{what} needs numbers, got {array.dtype}: encode words as numbers first")
    return array


def _may_be_tokens(what: str, x: Any, arrays: list[np.ndarray]) -> bool:
    """False, or InputError for whole numbers (n, d) that no column's name calls features; bytes, 0 and 1 are that."""
    first, named = arrays[0], hasattr(x, "columns")
    if first.ndim == 2 and first.dtype.kind in "iu" and not named and first.dtype != np.uint8:
        least, most = _range(arrays)
        if not 0 <= least <= most <= 1:
            raise InputError(
                f"whole numbers {first.shape} of {what} may be features or tokens: say which with --features or "
                "--tokens, in Python as_dataset(data, tokens=True) or False"
            )
    return False


def _tokens(what: str, arrays: list[np.ndarray]) -> tuple[list[NDArray[Any]], str]:
    """Sequences (n, L) of whole numbers, which count from 0 to the size of the vocabulary, as they are."""
    if arrays[0].ndim != 2 or not arrays[0].size:
        raise InputError(
            f"tokens of {what} need sequences (n, L), got {arrays[0].shape}: pad or cut them to one length"
        )
    for array in arrays:
        if array.dtype.kind == "f" and not (np.isfinite(array) & (array == np.floor(array))).all():
            raise InputError(f"tokens of {what} need whole numbers, got fractions or NaN: number the vocabulary from 0")
    least, most = _range(arrays)
    if least < 0 or most >= 2**31:
        raise InputError(
            f"tokens of {what} need numbers from 0 to {2**31 - 1:,}, got {least} to {most}: number the vocabulary from "
            "0, padding too"
        )
    words = f"sequences of {arrays[0].shape[1]} tokens, vocabulary {int(most) + 1:,}"
    return [np.array(array, np.int64, order="C") for array in arrays], words


def _layout(what: str, x: np.ndarray, channels: str | None) -> tuple[Callable[[np.ndarray], np.ndarray], str]:
    """What turns an array into (n, d) or (n, C, H, W), and what it is taken for."""
    if x.ndim == 2:
        return (lambda a: a), f"{x.shape[1]} features"
    if x.ndim == 3:
        return (lambda a: a[:, None]), f"grey images {x.shape[1]}×{x.shape[2]}"
    if x.ndim != 4:
        raise InputError(
            f"{what} needs features (n, d) or images (n, H, W), (n, C, H, W) or (n, H, W, C), got {x.shape}: reshape it"
        )
    first, middle, last = x.shape[1:]
    few = channels is None and first <= FEW and last <= FEW
    if few and ((first == 1) != (last == 1) or (middle == last) != (first == middle)):
        grey_first, grey_last = first == 1, last == 1
        channels = "first" if grey_first or (not grey_last and middle == last) else "last"  # grey, or square
    elif few and x.shape[1:] != (1, 1, 1):
        raise InputError(
            f"images {x.shape} of {what} may have their {first} channels first or their {last} last: say which with "
            '--channels first or last, in Python as_dataset(data, channels="first") or "last"'
        )
    if channels == "last" or (channels is None and first > FEW >= last > 0):
        return (lambda a: np.moveaxis(a, -1, 1)), f"images {last}×{first}×{middle}, channels moved from last to first"
    return (lambda a: a), f"images {first}×{middle}×{last}"


def _scale(what: str, arrays: list[np.ndarray]) -> tuple[float, str]:
    """What the numbers are divided by, and in words what became of them: floating ones stay as they are."""
    kinds = {array.dtype.kind for array in arrays}
    if len(kinds) > 1 and "f" in kinds:
        raise InputError(f"images of {what} need one type in both halves, got {arrays[0].dtype} and {arrays[1].dtype}")
    if kinds <= {"b"}:
        return 1.0, "booleans as 0 and 1"
    least, most = _range(arrays)
    if kinds <= {"f"}:
        return 1.0, f"numbers from {least:.3g} to {most:.3g} as they are"
    as_bytes = all(array.dtype == np.uint8 for array in arrays) or arrays[0].ndim > 2  # wider types, images alone
    if 0 <= least <= most <= 1:
        return 1.0, "0 and 1 as they are"
    if as_bytes and 0 <= least <= most <= 255:
        return 255.0, "bytes divided by 255"
    if all(array.dtype == np.uint16 for array in arrays):
        return 65535.0, "16-bit numbers divided by 65,535"
    return 1.0, f"whole numbers from {least} to {most} as they are"


def _range(arrays: list[np.ndarray]) -> tuple[Any, Any]:
    """The least and the greatest number in any half; 0 where there is none."""
    full = [array for array in arrays if array.size]
    return min((a.min() for a in full), default=0), max((a.max() for a in full), default=0)
