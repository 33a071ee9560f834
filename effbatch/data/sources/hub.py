"""A data set of the Hugging Face hub, or a folder that its library reads -> a `DataSet`, read as every other is."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from effbatch.core.errors import InputError, first_line
from effbatch.data.dataset import DataSet
from effbatch.data.reading import PLAIN, Reading
from effbatch.data.sources import TESTING, TRAINING, arrays, pictures, table

PREFIX = "hub:"
INSTALL = "pip install 'effbatch[hub]'"
LISTS = ("List", "LargeList", "Array2D", "Array3D", "Array4D", "Array5D")  # types of columns
SAFE = 4  # older ones run Python code that lies beside a data set


def takes(name: str) -> bool:
    """Whether a name, or a place that a built-in set is read from, is of the hub."""
    return name.startswith(PREFIX)


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


def load(name: str, reading: Reading = PLAIN) -> DataSet:
    """The data set `hub:NAME` or `hub:NAME:CONFIG`, fetched on first use.

    Labels are the column `reading.label`; without it the only one of the feature type ClassLabel, else the one called
    label, labels, target, class or y, in words or numbers. Inputs are the only column of type Image, else the only one
    of lists or arrays, else all others as features. Images become RGB unless all are grey, and are standardised.
    Without a split to test on a fifth of every class is drawn. InputError where the library is not installed, it cannot
    load the data set, columns are missing or ambiguous, or images differ in size.
    """
    splits = _splits(name)
    features, source = splits[0][1].features, f"{name} (Hugging Face)"
    label = _label(name, features, reading.label)
    images, lists = _columns(features, "Image"), [c for c in _columns(features, *LISTS) if c != label]
    if len(images or lists) > 1:
        raise InputError(
            f"{name} needs one column of inputs, got {', '.join(images or lists)}: put those that you mean into an "
            ".npz file",
            found=images or lists,
        )
    if images:
        reading.only(name, "label")
        rows = [_rows(f"the {part} split of {name}", split, images[0], label) for part, split in splits]
        named = getattr(features[label], "names", None)
        return pictures.dataset(name, rows[0], [*rows, None][1], source=source, class_names=named)
    if lists:
        halves = [(split[lists[0]][:], _labels(features[label], split[label][:])) for _, split in splits]
        return arrays.dataset(name, halves[0], [*halves, None][1], reading=replace(reading, label=None), source=source)
    frames = [split.to_pandas() for _, split in splits]
    for frame in frames:
        frame[label] = _labels(features[label], frame[label])
    return table.from_frame(name, frames[0], [*frames, None][1], reading=replace(reading, label=label), source=source)


def _splits(name: str) -> list[tuple[str, Any]]:
    """The split to train on, and the one to test on where there is one, each with its name."""
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
            f"{first_line(error)}: check the name and the connection, or put the data into an .npz file",
            name=name,
        ) from error
    training = [part for part in TRAINING if part in splits] or ([*splits] if len(splits) == 1 else [])
    if not training:
        raise InputError(f"{name} needs a split train, got {', '.join(splits)}: put what you mean into an .npz file")
    testing = [part for part in TESTING if part in splits and part not in training]
    return [(part, splits[part]) for part in (training[0], *testing[:1])]


def _label(name: str, features: Mapping[str, Any], given: str | None) -> str:
    """The column of labels."""
    if given is None:
        found = _columns(features, "ClassLabel")
        if len(found) == 1:
            return found[0]
        if len(found) > 1:
            raise InputError(
                f"{', '.join(found)} of {name} may all be the labels: say which with {table.SAY}", found=found
            )
    return table.label_column(name, list(features), given)


def _columns(features: Mapping[str, Any], *kinds: str) -> list[str]:
    """The columns of these types of the library."""
    import datasets as hugging_face

    types = tuple(getattr(hugging_face, kind) for kind in kinds)
    return [column for column, feature in features.items() if isinstance(feature, types)]


def _labels(kind: Any, labels: Any) -> Any:
    """Labels by their names, where the column knows them."""
    names = getattr(kind, "names", None)
    return labels if names is None else [names[y] if 0 <= y < len(names) else None for y in labels]


def _rows(what: str, split: Any, image: str, label: str) -> pictures.Rows:
    import datasets as hugging_face

    split = split.cast_column(image, hugging_face.Image())  # decodes images that are kept encoded
    found = ((row[image], row[label]) for row in _decoded(what, split.select_columns([image, label])))
    return pictures.rows_of(what, found, len(split))


def _decoded(what: str, rows: Iterable[Any]) -> Iterator[Any]:
    """The rows, with what the library raises on a broken image as an InputError."""
    try:
        yield from rows
    except Exception as error:
        raise InputError(
            f"the images of {what} need to be readable; decoding one raised {first_line(error)}: leave it out"
        ) from error
