"""The binary version of CIFAR (Krizhevsky 2009), unpacked -> arrays of bytes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from effbatch.core.errors import InputError
from effbatch.data.sources import Half

SHAPE = (3, 32, 32)
PIXELS = 3 * 32 * 32


@dataclass(frozen=True)
class Layout:
    """Records in each file, `label_bytes` and 3,072 pixels (red, green, blue planes) each; the last label byte counts.

    folder, archive   what the files are published in: the archive unpacks to the folder
    """

    folder: str
    archive: str
    train: Mapping[str, int]
    test: Mapping[str, int]
    label_bytes: int


def find(folder: Path, layout: Layout) -> Path:
    """Where `read` finds the files: `folder` itself, or what the archive unpacks to; InputError where neither is."""
    first = next(iter(layout.train))
    for path in (folder, folder / layout.folder):
        if (path / first).is_file():
            return path
    raise InputError(
        f"{folder} needs {first} and the others of {layout.archive}, got none: unpack it there (tar -xzf)",
        folder=folder,
    )


def read(source: Path, layout: Layout) -> tuple[Half, Half]:
    """Training and test set from a folder; InputError when a file is missing or has another size than its records."""
    train, test = (
        _half(b"".join(_content(source / name, records, layout) for name, records in files.items()), layout)
        for files in (layout.train, layout.test)
    )
    return train, test


def _content(path: Path, records: int, layout: Layout) -> bytes:
    needed = records * (layout.label_bytes + PIXELS)
    try:
        if (size := path.stat().st_size) != needed:
            raise InputError(f"{path} must have {needed:,} bytes, got {size:,}: fetch it again", needed=needed)
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}): fetch it again", path=path) from error


def _half(content: bytes, layout: Layout) -> Half:
    records = np.frombuffer(content, np.uint8).reshape(-1, layout.label_bytes + PIXELS)
    return Half(
        records[:, layout.label_bytes :].reshape(-1, *SHAPE), records[:, layout.label_bytes - 1].astype(np.int64)
    )
