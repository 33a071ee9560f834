"""Pillow pictures with their labels -> a `DataSet`, grey where all are grey, standardised."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from effbatch.core.errors import InputError
from effbatch.data.classes import class_indices
from effbatch.data.dataset import DataSet, from_bytes
from effbatch.data.sources import MAX_PIXELS, Half
from effbatch.data.split import stratified

GREY = ("1", "L")
COLOUR = ("RGB", "RGBA", "P")  # palettes become colours, transparency is dropped; other modes do not fit into bytes

Rows = tuple[list[np.ndarray], list[Any]]  # images (1 or 3, H, W) and their labels


def dataset(
    name: str, train: Rows, test: Rows | None, *, source: str, class_names: Sequence[str] | None = None
) -> DataSet:
    """Images and their labels of both halves; without a test half a fifth of every class is drawn for it.

    class_names  of labels that are indices into them; without them labels are read as everywhere, see `class_indices`
    """
    halves = halves_of(train, train if test is None else test)[: 1 if test is None else 2]
    labels = [np.array(rows[1]) for rows in (train, test) if rows is not None]
    if class_names is None:
        labels, class_names = class_indices(name, *labels)
    split = ""
    if test is None:
        kept, drawn = stratified(labels[0])
        if not len(drawn):
            raise InputError(f"{name} needs a test set, or 5 images of some class to draw one from: add images")
        halves, labels = (halves[0][kept], halves[0][drawn]), [labels[0][kept], labels[0][drawn]]
        split = ", a fifth of every class drawn for testing"
    first, second = (Half(x, y.astype(np.int64)) for x, y in zip(halves, labels, strict=True))
    data = from_bytes(name, first, second, len(class_names), source=source)
    read_as = f"images {'×'.join(map(str, data.image_shape))}, standardised{split}"
    return replace(data, class_names=tuple(class_names), read_as=read_as)


def rows_of(what: str, pictures: Iterable[tuple[Any, Any]], count: int) -> Rows:
    """Images and labels of `count` pictures; InputError where one is missing, of another size, or not of bytes."""
    images: list[np.ndarray] = []
    labels: list[Any] = []
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
        raise InputError(f"{what} needs at least one image, got none: add some")
    return images, labels


def halves_of(train: Rows, test: Rows) -> tuple[np.ndarray, np.ndarray]:
    """Images with as many channels as any of both halves has; a grey one among coloured ones has all equal."""
    channels = max(x.shape[0] for images, _ in (train, test) for x in images)
    first, second = (
        np.stack([np.broadcast_to(image, (channels, *images[0].shape[1:])) for image in images])
        for images, _ in (train, test)
    )
    return first, second
