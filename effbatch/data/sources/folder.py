"""A folder train/CLASS/IMAGE, test/CLASS/IMAGE, or CLASS/IMAGE alone -> a `DataSet`; classes in the order of names."""

from __future__ import annotations

import warnings
from dataclasses import replace
from os.path import isdir
from pathlib import Path
from typing import Any

from effbatch.core.errors import InputError
from effbatch.data.dataset import DataSet, from_bytes
from effbatch.data.sources import Half
from effbatch.data.sources.pictures import Rows, halves_of, rows_of
from effbatch.data.split import stratified

SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp")
TESTING = ("test", "val", "valid", "validation")  # the first that is there


def takes(name: str) -> bool:
    """Whether a name is that of a folder."""
    return isdir(name)


def load(name: str) -> DataSet:
    """The data set in a folder, see `read`."""
    train, test, classes, drawn = read(Path(name))
    data = from_bytes(Path(name).name, train, test, len(classes), source=name)
    shape = "×".join(map(str, data.image_shape))
    how = ", a fifth of every class drawn for testing" if drawn else ""
    return replace(data, class_names=tuple(classes), read_as=f"images {shape}, standardised{how}")


def read(folder: Path) -> tuple[Half, Half, list[str], bool]:
    """Training set, test set, class names, and whether the test set was drawn from the training images.

    Images are of one size, grey unless some are in colour, and may lie deeper in the folder of their class. The test
    set is in test, val, valid or validation; without one, or without train, a fifth of every class is drawn for it.
    Raises InputError where there are no classes, the test set has a class that the training set has not, an image
    cannot be read or used, or Pillow is not installed.
    """
    testing = [folder / name for name in TESTING if (folder / name).is_dir()]
    place = folder / "train" if (folder / "train").is_dir() else folder
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
    if not testing:
        whole, _ = halves_of(rows := _half(place, classes), rows)
        kept, drawn = stratified(whole.labels)
        if not len(drawn):
            raise InputError(f"{folder} needs a test set, or 5 images of some class to draw one from: add images")
        train, test = (Half(whole.images[part], whole.labels[part]) for part in (kept, drawn))
        return train, test, classes, True
    strange = sorted(set(_classes(testing[0])) - set(classes))
    if strange:
        raise InputError(
            f"{testing[0]} needs the classes of {place} ({', '.join(classes)}), got {', '.join(strange)} too: add "
            "training images of it, or leave it out",
            classes=strange,
        )
    return (*halves_of(_half(place, classes), _half(testing[0], classes)), classes, False)


def _images(of_class: Path) -> list[Path]:
    """Those at any depth; hidden files, as other systems leave them beside images, are none."""
    return sorted(
        path
        for path in of_class.rglob("*")
        if path.suffix.lower() in SUFFIXES
        and not any(part.startswith(".") for part in path.relative_to(of_class).parts)
    )


def _classes(half: Path) -> list[str]:
    return sorted(path.name for path in half.iterdir() if path.is_dir() and not path.name.startswith("."))


def _half(half: Path, classes: list[str]) -> Rows:
    paths = [(path, c) for c, name in enumerate(classes) for path in _images(half / name)]
    return rows_of(str(half), ((_opened(path), c) for path, c in paths), len(paths))


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
