"""A folder train/CLASS/IMAGE, test/CLASS/IMAGE, or CLASS/IMAGE alone -> a `DataSet`; classes in the order of names."""

from __future__ import annotations

import warnings
from os.path import isdir
from pathlib import Path
from typing import Any

from effbatch.core.errors import InputError
from effbatch.data.dataset import DataSet
from effbatch.data.reading import PLAIN, Reading
from effbatch.data.sources import TESTING, TRAINING, pictures

SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp")


def takes(name: str) -> bool:
    """Whether a name is that of a folder."""
    return isdir(name)


def load(name: str, reading: Reading = PLAIN) -> DataSet:
    """Images of one size, grey unless some are in colour, which may lie deeper in the folder of their class.

    The test set is in test, val, valid, validation or dev; without one, or without train, a fifth of every class is
    drawn for it. One folder around them is looked into. Raises InputError where there are no classes, the test set has
    a class that the training set has not, an image cannot be read or used, or Pillow is not installed.
    """
    reading.only(name)
    folder = Path(name)
    while len(inside := _halves(folder)) == 1 and not {*inside} & {*TRAINING, *TESTING}:
        (folder,) = inside.values()  # as archives unpack
    training, testing = ([inside[half] for half in halves if half in inside] for halves in (TRAINING, TESTING))
    place = training[0] if training else folder
    if place == folder and testing:
        raise InputError(
            f"{folder} needs a folder train beside {testing[0].name}, got none: make it, or leave both out"
        )
    classes = _classes(place)
    if len(classes) < 2:
        raise InputError(
            f"{place} needs one folder of images per class, at least 2, got {len(classes)}: give each its own",
            classes=classes,
        )
    if testing and (strange := sorted(set(_classes(testing[0])) - set(classes))):
        raise InputError(
            f"{testing[0]} needs the classes of {place} ({', '.join(classes)}), got {', '.join(strange)} too: add "
            "training images of it, or leave it out",
            classes=strange,
        )
    test = _half(testing[0], classes) if testing else None
    return pictures.dataset(Path(name).resolve().name, _half(place, classes), test, source=name, class_names=classes)


def _images(of_class: Path) -> list[Path]:
    """Those at any depth; hidden files, as other systems leave them beside images, are none."""
    return sorted(
        path
        for path in of_class.rglob("*")
        if path.suffix.lower() in SUFFIXES
        and not any(part.startswith(".") for part in path.relative_to(of_class).parts)
    )


def _halves(folder: Path) -> dict[str, Path]:
    """The folders in a folder by name, upper and lower case as one."""
    return {name.casefold(): folder / name for name in _classes(folder)}


def _classes(half: Path) -> list[str]:
    return sorted(path.name for path in half.iterdir() if path.is_dir() and not path.name.startswith((".", "__")))


def _half(half: Path, classes: list[str]) -> pictures.Rows:
    paths = [(path, c) for c, name in enumerate(classes) for path in _images(half / name)]
    return pictures.rows_of(str(half), ((_opened(path), c) for path, c in paths), len(paths))


def _opened(path: Path) -> Any:
    try:
        from PIL import Image
    except ImportError as error:
        raise InputError(f"{path} needs Pillow to be read, which is not installed: pip install pillow") from error
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)  # a few bytes that unpack to gigabytes
            with Image.open(path) as picture:
                picture.load()
                return picture
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        # Pillow's own for a broken file of any kind, and for one too large
        raise InputError(f"{path} needs to be an image that Pillow reads; it raised {error}: leave it out") from error
