"""Pillow pictures with their labels -> arrays of bytes, grey where all are grey."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from effbatch.core.errors import InputError
from effbatch.data.sources import MAX_PIXELS, Half

GREY = ("1", "L")
COLOUR = ("RGB", "RGBA", "P")  # palettes become colours, transparency is dropped; other modes do not fit into bytes

Rows = tuple[list[np.ndarray], list[int]]  # images (1 or 3, H, W) and their labels


def rows_of(what: str, pictures: Iterable[tuple[Any, int | None]], count: int) -> Rows:
    """Images and labels of `count` pictures; InputError where one is missing, of another size, or not of bytes."""
    images: list[np.ndarray] = []
    labels: list[int] = []
    for number, (picture, of_class) in enumerate(pictures):
        if picture is None or of_class is None:
            raise InputError(f"every row needs an image and a label; row {number} of {what} lacks one: leave it out")
        if picture.mode in GREY:
            images.append(np.asarray(picture.convert("L"))[None])
        elif picture.mode in COLOUR:
            images.append(np.asarray(picture.convert("RGB")).transpose(2, 0, 1))
        else:
            raise InputError(
                f"images need one of the modes {', '.join(GREY + COLOUR)}; row {number} of {what} has {picture.mode}: "
                "convert it"
            )
        if number == 0 and count * images[0].size > MAX_PIXELS:
            raise InputError(
                f"a data set is held in memory, so at most {MAX_PIXELS:,} values can be used; {what} has "
                f"{count:,} images of {images[0].shape}: take fewer or smaller ones"
            )
        if images[-1].shape[1:] != images[0].shape[1:]:
            (height, width), (h, w) = images[0].shape[1:], images[-1].shape[1:]
            raise InputError(
                f"images need to be of one size; row 0 of {what} is {height}×{width}, row {number} is {h}×{w}: "
                "resize them"
            )
        labels.append(of_class)
    if not images:
        raise InputError(f"{what} needs at least one image; it is empty")
    return images, labels


def halves_of(train: Rows, test: Rows) -> tuple[Half, Half]:
    """Training and test set with as many channels as any image has; a grey image among coloured ones has all equal."""
    channels = max(x.shape[0] for images, _ in (train, test) for x in images)
    first, second = (
        Half(
            np.stack([np.broadcast_to(image, (channels, *images[0].shape[1:])) for image in images]),
            np.array(labels, dtype=np.int64),
        )
        for images, labels in (train, test)
    )
    return first, second
