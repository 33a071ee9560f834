"""A data set of the Hugging Face hub, or a folder that its library reads -> arrays of bytes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

from effbatch.errors import InputError
from effbatch.training.datasets.sources import MAX_PIXELS, Half

PREFIX = "hub:"
INSTALL = "pip install 'effbatch[hub]'"
SAFE = 4  # older ones run Python code that lies beside a data set
GREY = ("1", "L")
COLOUR = ("RGB", "RGBA", "P")  # palettes become colours, transparency is dropped; other modes do not fit into bytes


def is_usable() -> bool:
    """Whether a version of the library is installed that runs no code of a data set; nothing is loaded to find out."""
    try:
        # not by its module: many a working directory has a folder of that name
        return int(version("datasets").partition(".")[0]) >= SAFE
    except PackageNotFoundError:
        return False


def instead_of(files: str, folder: Path, name: str) -> str:
    """`name`, to be fetched as `files` are not in `folder`; InputError where the library is not installed."""
    if not is_usable():
        raise InputError(
            f"{folder} is not there: put {files} into it, or let {name} be fetched, which needs {INSTALL}", name=name
        )
    return name


def read(name: str, *, label: str | None = None) -> tuple[Half, Half, int]:
    """Training set, test set and number of classes of `hub:NAME` or `hub:NAME:CONFIG`, fetched on first use.

    Images are the only column of the feature type Image, labels the only ClassLabel; `label` chooses among several.
    They become RGB unless all are grey. InputError where the library is not installed, it cannot load the data set,
    a split train or test or one of the columns is missing or ambiguous, or the images differ in size.
    """
    if not is_usable():
        raise InputError(
            f"{name} needs Hugging Face's library datasets, version {SAFE} or newer, which is not installed: {INSTALL}",
            name=name,
        )
    import datasets as hugging_face  # slow to import, and optional

    path, _, config = name.removeprefix(PREFIX).partition(":")
    try:
        splits = hugging_face.load_dataset(path, config or None)
    except Exception as error:  # the library raises anything, its own and the network's
        raise InputError(
            f"{name} needs to be hub:NAME or hub:NAME:CONFIG of a data set that can be reached; loading it raised "
            f"{_first_line(error)}",
            name=name,
        ) from error
    missing = [split for split in ("train", "test") if split not in splits]
    if missing:
        raise InputError(
            f"{name} needs the splits train and test; it has {', '.join(splits)}: split it yourself into an .npz file",
            missing=missing,
        )
    features = splits["train"].features
    image = _column(name, features, hugging_face.Image)
    label = _column(name, features, hugging_face.ClassLabel, wanted=label)
    train, test = (
        _rows(f"the {split} split of {name}", splits[split].cast_column(image, hugging_face.Image()), image, label)
        for split in ("train", "test")  # the cast decodes images that are kept encoded
    )
    channels = max(x.shape[0] for images, _ in (train, test) for x in images)
    halves = [Half(_stacked(images, channels), np.array(labels, dtype=np.int64)) for images, labels in (train, test)]
    return halves[0], halves[1], int(features[label].num_classes)


def _column(name: str, features: Mapping[str, Any], kind: type, *, wanted: str | None = None) -> str:
    found = [c for c, feature in features.items() if isinstance(feature, kind) and wanted in (None, c)]
    if len(found) != 1:
        raise InputError(
            f"{name} needs exactly one column of the type {kind.__name__}; {', '.join(found) or 'none'} came among "
            f"{', '.join(features)}: put the images and labels that you mean into an .npz file",
            found=found,
        )
    return found[0]


def _rows(what: str, split: Any, image: str, label: str) -> tuple[list[np.ndarray], list[int]]:
    """Images (1 or 3, H, W) and labels of a split."""
    images: list[np.ndarray] = []
    labels: list[int] = []
    for number, row in enumerate(_decoded(what, split.select_columns([image, label]))):
        picture, of_class = row[image], row[label]
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
        if number == 0 and len(split) * images[0].size > MAX_PIXELS:
            raise InputError(
                f"a data set is held in memory, so at most {MAX_PIXELS:,} values can be used; {what} has "
                f"{len(split):,} images of {images[0].shape}: take fewer or smaller ones"
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


def _decoded(what: str, rows: Iterable[Any]) -> Iterator[Any]:
    """The rows, with what the library raises on a broken image as an InputError."""
    try:
        yield from rows
    except Exception as error:
        raise InputError(
            f"the images of {what} need to be readable; decoding one raised {_first_line(error)}"
        ) from error


def _stacked(images: list[np.ndarray], channels: int) -> np.ndarray:
    shape = (channels, *images[0].shape[1:])
    return np.stack([np.broadcast_to(image, shape) for image in images])  # a grey image has all its channels equal


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {(str(error).splitlines() or ['no message'])[0]}"
