"""Images or features as people have them -> float32 arrays that networks take, and how they were read, in words.

    (n, d)         features                    stay
    (n, H, W)      grey images                 get their channel: (n, 1, H, W)
    (n, C, H, W)   images, channels first      stay
    (n, H, W, C)   images, channels last       channels move to the front
    bytes          integers from 0 to 255      are divided by 255
    booleans       become 0 and 1

What could mean two things is asked about: whole numbers (n, d) may be tokens, and (n, 3, 4, 3) may be read both ways.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from effbatch.core.errors import InputError

FEW = 4  # channels of an image: grey, grey with alpha, RGB, RGB with alpha
Channels = Literal["first", "last"]


def inputs(what: str, *halves: Any, channels: str | None = None) -> tuple[list[NDArray[np.float32]], str]:
    """Each half as float32, and one clause that says how they were read; the first half decides for all.

    channels  "first" or "last", where the shape of the images alone does not tell

    >>> [x], words = inputs("my data", np.zeros((9, 28, 28), np.uint8))
    >>> x.shape, words
    ((9, 1, 28, 28), 'grey images 28×28, bytes divided by 255')

    Raises InputError for other numbers of dimensions, types that are no numbers, and what could mean two things.
    """
    arrays = [_numbers(f"{half} of {what}", x) for half, x in zip(("x_train", "x_test"), halves, strict=False)]
    shape_of, kind = _layout(what, arrays[0], channels)
    scale, scaled = _scale(what, arrays)
    for half, array in zip(("x_train", "x_test"), arrays, strict=False):
        if array.ndim != arrays[0].ndim:
            raise InputError(
                f"{half} of {what} needs {arrays[0].ndim} dimensions like x_train, got {array.ndim}: give both alike"
            )
    with np.errstate(over="ignore"):  # infinite pixels are named where the data set is checked
        # copied, so that PyTorch may write there and the caller's arrays stay as they are
        made = [np.array(shape_of(array), np.float32, order="C") for array in arrays]
    if scale != 1:
        made = [array / np.float32(scale) for array in made]
    return made, f"{kind}{scaled}"


def _numbers(what: str, x: Any) -> np.ndarray:
    array = np.asarray(x)
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


def _layout(what: str, x: np.ndarray, channels: str | None) -> tuple[Any, str]:
    """What turns an array into (n, d) or (n, C, H, W), and what it is taken for."""
    if channels not in (None, "first", "last"):
        raise InputError(f'channels of {what} needs "first" or "last", got {channels!r}: write one of them')
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
            'channels = "first" or "last"'
        )
    if channels == "last" or (channels is None and first > FEW >= last > 0):
        return (lambda a: np.moveaxis(a, -1, 1)), f"images {last}×{first}×{middle}, channels moved from last to first"
    return (lambda a: a), f"images {first}×{middle}×{last}"


def _scale(what: str, arrays: list[np.ndarray]) -> tuple[float, str]:
    """What whole numbers are divided by, in words too; floating ones stay as they are."""
    kinds = {array.dtype.kind for array in arrays}
    if kinds <= {"f"}:
        return 1.0, ""
    if kinds <= {"b"}:
        return 1.0, ", booleans as 0 and 1"
    if len(kinds) > 1 and "f" in kinds:
        raise InputError(f"images of {what} need one type in both halves, got {arrays[0].dtype} and {arrays[1].dtype}")
    as_bytes = all(array.dtype == np.uint8 for array in arrays)
    if arrays[0].ndim == 2 and not as_bytes:
        raise InputError(
            f"whole numbers {arrays[0].shape} of {what} may be features or tokens: give features as floating numbers; "
            "sequences of tokens are not read yet"
        )
    least = min((array.min() for array in arrays if array.size), default=0)
    most = max((array.max() for array in arrays if array.size), default=0)
    if least < 0 or most > 255:
        raise InputError(
            f"whole numbers of {what} need to be bytes from 0 to 255, got {least} to {most}: give floating numbers, "
            "scaled as the network needs them"
        )
    if most <= 1:
        return 1.0, ", 0 and 1 as they are"
    return 255.0, ", bytes divided by 255"
