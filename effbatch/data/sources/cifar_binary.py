"""The binary version of CIFAR (Krizhevsky 2009), a .tar.gz as published or unpacked -> arrays of bytes."""

from __future__ import annotations

import tarfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from effbatch.core.errors import InputError
from effbatch.data.sources import Half

SHAPE = (3, 32, 32)
PIXELS = 3 * 32 * 32
MAX_UNPACKED = 2**30  # bytes of an archive; those published have a fifth


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
    """Where `read` finds the files: `folder` itself, or what was published in it; InputError where neither is there."""
    first = next(iter(layout.train))
    for path, needed in (
        (folder, folder / first),
        (folder / layout.folder, folder / layout.folder / first),
        (folder / layout.archive, folder / layout.archive),
    ):
        if needed.is_file():
            return path
    raise InputError(f"{folder} needs {layout.archive}, or {first} and the others in it: put them there", folder=folder)


def read(source: Path, layout: Layout) -> tuple[Half, Half]:
    """Training and test set from a folder of the files, or from their archive, which is never unpacked to disk.

    Raises InputError when a file is missing or has another size than its records.
    """
    sizes = {name: records * (layout.label_bytes + PIXELS) for name, records in {**layout.train, **layout.test}.items()}
    files = _from_folder(source, sizes) if source.is_dir() else _from_archive(source, sizes)
    train, test = (_half(b"".join(files[name] for name in names), layout) for names in (layout.train, layout.test))
    return train, test


def _half(content: bytes, layout: Layout) -> Half:
    records = np.frombuffer(content, np.uint8).reshape(-1, layout.label_bytes + PIXELS)
    return Half(
        records[:, layout.label_bytes :].reshape(-1, *SHAPE), records[:, layout.label_bytes - 1].astype(np.int64)
    )


def _from_folder(folder: Path, sizes: Mapping[str, int]) -> dict[str, bytes]:
    files = {}
    for name, size in sizes.items():
        path = folder / name
        try:
            _check_size(str(path), path.stat().st_size, size)
            files[name] = path.read_bytes()
        except OSError as error:
            raise InputError(f"{path} cannot be read ({error.strerror}): fetch it again", path=path) from error
    return files


def _from_archive(archive: Path, sizes: Mapping[str, int]) -> dict[str, bytes]:
    files = {}
    try:
        with tarfile.open(archive) as tar:
            unpacked = 0
            for member in tar:
                unpacked += member.size  # what is skipped is unpacked too
                if unpacked > MAX_UNPACKED:
                    raise InputError(f"{archive} may unpack to {MAX_UNPACKED:,} bytes; it goes beyond: fetch it again")
                name = PurePosixPath(member.name).name
                if name in sizes and member.isfile():
                    _check_size(f"{name} in {archive}", member.size, sizes[name])
                    content = tar.extractfile(member)
                    assert content is not None  # it is a file
                    files[name] = content.read()
    except (OSError, EOFError, zlib.error, tarfile.TarError) as error:
        raise InputError(
            f"{archive} must be a whole .tar.gz file; it is not ({error}): fetch it again", path=archive
        ) from error
    if missing := sorted(sizes.keys() - files.keys()):
        raise InputError(f"{archive} needs to hold {', '.join(missing)}: fetch it again", missing=missing)
    return files


def _check_size(what: str, size: int, needed: int) -> None:
    if size != needed:
        raise InputError(f"{what} must have {needed:,} bytes, got {size:,}: fetch it again", needed=needed)
