"""Fashion-MNIST with 2×2 pixels averaged into one: 70,000 images of 14×14 from the four idx files on disk."""

from __future__ import annotations

import gzip
import os
import zlib
from math import prod
from pathlib import Path

import numpy as np

from effbatch.errors import InputError
from effbatch.training.datasets import DataSet, standardised

FOLDER = "fashion-mnist"
SYSTEM = Path("/usr/share/datasets")  # where Debian's dataset-fashion-mnist puts it
FILES = {"train": ("train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"),
         "test": ("t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz")}  # fmt: skip
SIDE = 28
UNSIGNED_BYTE = 0x08  # the idx code of the only type these files have
HEADER_BYTES = 4  # magic number; as long again for the size of each dimension


def load() -> DataSet:
    """Xiao, Rasul & Vollgraf (2017), arXiv 1708.07747; 60,000 to train on, 10,000 to test, 10 classes.

    Read from $EFFBATCH_DATA/fashion-mnist where that variable is set, else from /usr/share/datasets/fashion-mnist.
    Raises InputError when a file is missing, or is not the idx file of images 28×28 or of their labels.
    """
    folder = Path(os.environ.get("EFFBATCH_DATA") or SYSTEM) / FOLDER
    (x_train, y_train), (x_test, y_test) = (_part(folder, *files) for files in FILES.values())
    x_train, x_test = standardised(x_train, x_test)
    return DataSet(
        name="fashion-mnist-14",
        x_train=x_train,
        y_train=y_train,
        x_test=x_test,
        y_test=y_test,
        num_classes=10,
        source=f"Fashion-MNIST (Xiao et al. 2017) from {folder}, 2×2 pixels averaged",
    )


def read_idx(path: Path) -> np.ndarray:
    """The array of bytes in a gzipped idx file (LeCun et al. 1998).

    Two zero bytes, the type 0x08, the number of dimensions, every size as a big-endian 32-bit number, the values.
    Raises InputError when the file is missing, is not such a file, or holds another number of values.
    """
    try:
        content = gzip.decompress(path.read_bytes())
    except FileNotFoundError as error:
        raise InputError(
            f"Fashion-MNIST needs the file {path}, which is not there: on Debian or Ubuntu run `apt-get install "
            f"dataset-fashion-mnist`, or put the four .gz files into a folder {FOLDER} and name its parent in "
            "$EFFBATCH_DATA",
            path=path,
        ) from error
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(
            f"{path} must be a readable gzip file; it is not ({error}): fetch it again", path=path
        ) from error
    start = HEADER_BYTES * (1 + content[3]) if len(content) > 3 else HEADER_BYTES
    if content[:3] != bytes([0, 0, UNSIGNED_BYTE]) or len(content) < start:
        raise InputError(
            f"{path} must begin with the idx magic number 00 00 08 of unsigned bytes and its sizes; "
            f"{content[:3].hex(' ') or 'nothing'} and {max(len(content) - 3, 0)} more bytes came: fetch it again",
            path=path,
        )
    shape = tuple(int(size) for size in np.frombuffer(content[HEADER_BYTES:start], ">u4"))
    if len(content) != start + prod(shape):
        raise InputError(
            f"{path} must hold {prod(shape)} values of shape {shape}; {len(content) - start} came: fetch it again",
            path=path,
        )
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)


def _part(folder: Path, images_name: str, labels_name: str) -> tuple[np.ndarray, np.ndarray]:
    """Images (n, 1, 14, 14) in [0, 1] and labels (n,) of one half of the set."""
    images, labels = read_idx(folder / images_name), read_idx(folder / labels_name)
    if images.shape[1:] != (SIDE, SIDE) or labels.shape != (len(images),):
        raise InputError(
            f"{folder} needs images (n, {SIDE}, {SIDE}) in {images_name} and n labels in {labels_name}; "
            f"{images.shape} and {labels.shape} came: check that the files are those of Fashion-MNIST",
            folder=folder,
        )
    pooled = images.reshape(-1, SIDE // 2, 2, SIDE // 2, 2).mean((2, 4), dtype=np.float32) / 255
    return pooled[:, None], labels.astype(np.int64)
