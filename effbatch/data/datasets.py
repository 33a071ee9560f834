"""What a user names or gives -> a `DataSet`: a built-in name, a file, a folder of images, hub:NAME, or an object.

A built-in set is one file in `builtin` with `SIZE`, `where() -> str` and `load() -> DataSet`, and its test. Any other
kind of name is one file in `sources` with `takes(name) -> bool`, `load(name, reading) -> DataSet`, and joins `BY_NAME`.
"""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache
from os import PathLike, fspath
from os.path import isdir, isfile
from pathlib import Path
from types import ModuleType
from typing import Any

from effbatch.core.announced import untold
from effbatch.core.errors import InputError, hint
from effbatch.data import builtin
from effbatch.data.dataset import DataSet, checked
from effbatch.data.objects import from_object
from effbatch.data.reading import PLAIN, Channels, Reading
from effbatch.data.sources import data_dir, folder, hub, npy, npz, table

BY_NAME = (hub, npz, npy, table, folder)  # the first that takes a name reads it; a built-in name comes before all


def as_dataset(
    data: Any, *, label: str | None = None, channels: Channels | None = None, tokens: bool | None = None
) -> DataSet:
    """Read data of any common kind as one `DataSet`.

    data      a name or path (see `load`), a `DataSet`, (x_train, y_train, x_test, y_test), a pair (x, y) or two of
              them, a mapping of such arrays by name, a pandas DataFrame, a torch `Dataset` or `DataLoader`, a list of
              (example, label), or two of these. Without a test set, a fifth of every class becomes one
    label     the column of a table that holds the labels, if its name does not tell
    channels  "first" or "last", if the shape of the images does not tell
    tokens    True if whole numbers of shape (n, L) are sequences of tokens, False if they are features
    `DataSet.in_words` says how the data were read. Raises InputError for any other kind, and for ambiguous data.

    >>> as_dataset(([[0.0], [1.0]] * 5, ["cat", "dog"] * 5)).in_words
    '8 to train on, 2 to test, 1 features, ...; 2 classes (cat, dog)'
    """
    reading = Reading(label, channels, tokens)
    if isinstance(data, DataSet):
        reading.only(data.name)
        return data
    if isinstance(data, PathLike):
        data = fspath(data)
    if isinstance(data, str):
        return load(data, reading)
    return checked(from_object(data, reading))


def names() -> list[str]:
    """Names of the built-in data sets."""
    return sorted(module.name.replace("_", "-") for module in pkgutil.iter_modules(builtin.__path__))


def load(name: str, reading: Reading = PLAIN) -> DataSet:
    """Load a built-in data set, an .npz file (`sources.npz`) or a folder (`sources.folder`) by its path, or
    `hub:NAME[:CONFIG]` (`sources.hub`). A built-in name wins over a folder called the same.

    It is checked, and kept: the same name gives the same object as long as the file is not written anew. InputError
    where the name is not known, or the content is missing or cannot be used.
    """
    return _kept(name, reading, data_dir(), _edition(name))


def read(name: str, reading: Reading = PLAIN) -> DataSet:
    """`load` without keeping it."""
    source = _source(name)
    if source is not None:
        return checked(source.load(name, reading))
    reading.only(name)
    module = _module(name)
    data = checked(module.load())
    if data.size != module.SIZE:
        raise InputError(f"{name} needs {module.SIZE}, got {data.size} from {module.where()}: fetch it again")
    return data


def looked_at(name: str) -> DataSet:
    """`read` that announces nothing: to see what is there."""
    with untold():
        return read(name)


def where(name: str) -> str:
    """Where a built-in data set is read from: a path, `embedded`, or hub:NAME; InputError that says how to get it."""
    return _module(name).where()


def is_here(name: str) -> bool:
    """Whether a built-in data set can be loaded without fetching it."""
    try:
        return not hub.takes(where(name)) and looked_at(name) is not None
    except InputError:
        return False


def _source(name: str) -> ModuleType | None:
    """The file of `sources` that reads the name; None for a built-in one."""
    if name in names():
        return None
    for source in BY_NAME:
        if source.takes(name):
            return source
    known = f"{hint(name, names())} (or a file .npz, .csv, .tsv or .parquet, two .npy files, a folder, or hub:NAME)"
    raise InputError(f"data set {name!r} is not known; {known}", name=name)


def _module(name: str) -> ModuleType:
    return importlib.import_module(f"{builtin.__name__}.{name.replace('-', '_')}")


def _edition(name: str) -> object:
    """What stays the same as long as a file, or a folder of images, means the same content; empty for other names."""
    parts = [name, *name.split(":")]  # a column, or the file of labels, may stand behind a colon
    files = (
        sorted(file for file in Path(name).rglob("*") if file.is_file())
        if isdir(name)
        else [Path(part) for part in parts if isfile(part)]
    )
    return tuple((file.absolute(), file.stat().st_mtime_ns, file.stat().st_size) for file in files)


@cache
def _kept(name: str, reading: Reading, data: Path, edition: object) -> DataSet:
    return read(name, reading)
