"""Bytes -> a file that is there whole or not at all, whatever happens while it is written."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path


def write(path: Path, content: bytes | memoryview) -> None:
    """Replace `path` at once: temporary name, fsync, rename, fsync of the folder. OSError leaves what was there."""
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        with temporary.open("wb") as file:
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
