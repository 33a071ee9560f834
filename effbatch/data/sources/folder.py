"""A folder train/CLASS/IMAGE, test/CLASS/IMAGE -> a `DataSet`; classes are numbered in the order of their names."""

from __future__ import annotations

import warnings
from os.path import isdir
from pathlib import Path
from typing import Any

from effbatch.core.errors import InputError
from effbatch.data.dataset import DataSet, from_bytes
from effbatch.data.sources import Half
from effbatch.data.sources.pictures import Rows, halves_of, rows_of

SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp")


def takes(name: str) -> bool:
    """Whether a name is that of a folder."""
    return isdir(name)


def load(name: str) -> DataSet:
    """The data set in a folder, see `read`."""
    return from_bytes(Path(name).name, *read(Path(name)), source=name)


def read(folder: Path) -> tuple[Half, Half, int]:
    """Training set, test set and number of classes; images of one size, grey unless some are in colour.

    Raises InputError where train/ or test/ is missing, the test set has a class that the training set has not, an
    image cannot be read or used, or Pillow is not installed.
    """
    missing = [half for half in ("train", "test") if not (folder / half).is_dir()]
    if missing:
        raise InputError(
            f"{folder} needs the folders train and test with one folder of images per class in each; "
            f"{' and '.join(missing)} missing: make them",
            missing=missing,
        )
    classes = _classes(folder / "train")
    strange = sorted(set(_classes(folder / "test")) - set(classes))
    if strange:
        raise InputError(
            f"{folder / 'test'} needs the classes of {folder / 'train'} ({', '.join(classes) or 'none'}), "
            f"got {', '.join(strange)} too: add training images of it, or leave it out",
            classes=strange,
        )
    train, test = (_half(folder / half, classes) for half in ("train", "test"))
    return (*halves_of(train, test), len(classes))


def _images(half: Path) -> list[Path]:
    return sorted(path for path in half.glob("*/*") if path.suffix.lower() in SUFFIXES)


def _classes(half: Path) -> list[str]:
    return sorted(path.name for path in half.iterdir() if path.is_dir() and not path.name.startswith("."))


def _half(half: Path, classes: list[str]) -> Rows:
    paths = [path for path in _images(half) if path.parent.name in classes]
    return rows_of(str(half), ((_opened(path), classes.index(path.parent.name)) for path in paths), len(paths))


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
