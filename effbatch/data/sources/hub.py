"""A data set of the Hugging Face hub, or a folder that its library reads -> arrays of bytes, or a `DataSet`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from effbatch.core.errors import InputError, first_line
from effbatch.data.dataset import DataSet, from_bytes
from effbatch.data.sources import Half
from effbatch.data.sources.pictures import halves_of, rows_of

PREFIX = "hub:"
INSTALL = "pip install 'effbatch[hub]'"
SAFE = 4  # older ones run Python code that lies beside a data set


def takes(name: str) -> bool:
    """Whether a name, or a place that a built-in set is read from, is of the hub."""
    return name.startswith(PREFIX)


def load(name: str) -> DataSet:
    """The data set `hub:NAME` or `hub:NAME:CONFIG`, see `read`."""
    return from_bytes(name, *read(name), source=f"{name} (Hugging Face)")


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
            f"{first_line(error)}",
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
    halves = []
    for split in ("train", "test"):
        what = f"the {split} split of {name}"
        rows = splits[split].cast_column(image, hugging_face.Image())  # decodes images that are kept encoded
        halves.append(rows_of(what, _pictures(what, rows, image, label), len(rows)))
    return (*halves_of(*halves), int(features[label].num_classes))


def _column(name: str, features: Mapping[str, Any], kind: type, *, wanted: str | None = None) -> str:
    found = [c for c, feature in features.items() if isinstance(feature, kind) and wanted in (None, c)]
    if len(found) != 1:
        raise InputError(
            f"{name} needs exactly one column of the type {kind.__name__}, got {', '.join(found) or 'none'} among "
            f"{', '.join(features)}: put the images and labels that you mean into an .npz file",
            found=found,
        )
    return found[0]


def _pictures(what: str, split: Any, image: str, label: str) -> Iterator[tuple[Any, int | None]]:
    for row in _decoded(what, split.select_columns([image, label])):
        yield row[image], row[label]


def _decoded(what: str, rows: Iterable[Any]) -> Iterator[Any]:
    """The rows, with what the library raises on a broken image as an InputError."""
    try:
        yield from rows
    except Exception as error:
        raise InputError(
            f"the images of {what} need to be readable; decoding one raised {first_line(error)}"
        ) from error
