"""idx files, the format of MNIST (LeCun et al. 1998), plain or gzipped -> arrays of bytes."""

from __future__ import annotations

import gzip
import zlib
from math import prod
from pathlib import Path

import numpy as np

from effbatch.core.errors import InputError
from effbatch.data.sources import MAX_PIXELS, Half

HALVES = {
    "train": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    "test": ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
}
GZIP = b"\x1f\x8b"
UNSIGNED_BYTE = 0x08  # the idx code of the only type these files have
HEADER_BYTES = 4  # magic number; as long again for the size of each dimension


def read(folder: Path) -> tuple[Half, Half]:
    """Training and test set from the four files of MNIST's names in a folder, each plain or with .gz behind its name.

    Raises InputError when a file is missing or broken, or images and labels do not belong together.
    """
    train, test = (_half(folder, *names) for names in HALVES.values())
    return train, test


def read_idx(path: Path) -> np.ndarray:
    """The array of bytes in an idx file, gzipped or not.

    Two zero bytes, the type 0x08, the number of dimensions, every size as a big-endian 32-bit number, the values.
    Never reads more than the header announces. Raises InputError when the file cannot be read, is not such a file,
    holds another number of values, or announces more than 2³⁰.
    """
    try:
        with path.open("rb") as raw:
            gzipped = raw.read(len(GZIP)) == GZIP
        with gzip.open(path) if gzipped else path.open("rb") as file:
            magic = file.read(HEADER_BYTES)
            sizes = file.read(HEADER_BYTES * magic[3]) if len(magic) == HEADER_BYTES else b""
            if magic[:3] != bytes([0, 0, UNSIGNED_BYTE]) or len(sizes) != HEADER_BYTES * magic[3]:
                raise InputError(
                    f"{path} must begin with the idx magic number 00 00 08 of unsigned bytes and its sizes, got "
                    f"{magic[:3].hex(' ') or 'nothing'} and {len(magic[3:] + sizes)} more bytes: fetch it again",
                    path=path,
                )
            shape = tuple(int(size) for size in np.frombuffer(sizes, ">u4"))
            count = prod(shape)
            if count > MAX_PIXELS:
                raise InputError(
                    f"{path} may hold at most {MAX_PIXELS:,} values, got {count:,}: take fewer images", path=path
                )
            values = file.read(count + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(
            f"{path} must be a whole file that can be read; it is not ({error}): fetch it again", path=path
        ) from error
    if len(values) != count:
        got = f"{len(values)}" if len(values) < count else "more"
        raise InputError(f"{path} must hold {count} values of shape {shape}, got {got}: fetch it again", path=path)
    return np.frombuffer(values, np.uint8).reshape(shape)


def _half(folder: Path, images_name: str, labels_name: str) -> Half:
    images, labels = read_idx(_plain_or_gzipped(folder, images_name)), read_idx(_plain_or_gzipped(folder, labels_name))
    if images.ndim != 3 or labels.shape != images.shape[:1]:
        raise InputError(
            f"{folder} needs images (n, H, W) in {images_name} and n labels in {labels_name}, got "
            f"{images.shape} and {labels.shape}: fetch both again",
            folder=folder,
        )
    return Half(images[:, None], labels.astype(np.int64))


def _plain_or_gzipped(folder: Path, name: str) -> Path:
    for path in (folder / f"{name}.gz", folder / name):
        if path.is_file():
            return path
    raise InputError(f"{folder} needs the file {name}, plain or .gz, which is not there: put it there", folder=folder)
