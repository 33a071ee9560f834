"""Bytes -> a file that is there whole or not at all, whatever happens while it is written."""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO


def write(path: Path, content: bytes | memoryview) -> None:
    """Replace `path` at once: temporary name, fsync, rename, fsync of the folder. OSError leaves what was there.

    Of several writers at once each has a temporary file of its own, and the last rename stands.
    """
    with _temporary(path) as file:
        temporary = Path(file.name)
        try:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
            temporary.replace(path)
            sync(path.parent)
        except OSError:
            with suppress(OSError):
                temporary.unlink()
            raise


def sync(folder: Path) -> None:
    """Make the names in a folder durable; those of one that may not be read are left to the system."""
    try:
        handle = os.open(folder, os.O_RDONLY)
    except PermissionError:
        return
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _temporary(path: Path) -> BinaryIO:
    """An empty hidden file beside `path`: .NAME.tmp, or .NAME.1.tmp and so on while other writers hold those before.

    A writer holds its file by a lock, which goes with its process: what a killed one left behind is written over.
    """
    number = 0
    while True:
        name = path.with_name(f".{path.name}.{number}.tmp" if number else f".{path.name}.tmp")
        file = name.open("ab")  # keeps the content until the lock says whose it is
        if not _locked(file):
            number += 1
        elif _is_still(file, name):
            file.truncate(0)
            return file
        file.close()


def _locked(file: BinaryIO) -> bool:
    """Whether the file is now ours alone; so it is taken to be where the file system knows no locks."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True


def _is_still(file: BinaryIO, name: Path) -> bool:
    """Whether the name is that of the file still: its writer may have renamed it just before the lock was ours."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), name.stat())
    except FileNotFoundError:
        return False
