"""A folder and what runs depend on -> runs that are trained once: their arrays are read again where they are whole."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from effbatch.core import durable
from effbatch.core.errors import RunError

Arrays = dict[str, np.ndarray]


class Kept:
    """Runs in a folder, one file each: the SHA-256 of its key and content in 64 digits, then the content (.npz).

    `depends` says all that the runs depend on but their own key, so several answers may share a folder. A file that is
    damaged, or of another key, is trained again and written over.
    """

    def __init__(self, folder: str | Path, depends: Mapping[str, Any], tell: Callable[[str], None]) -> None:
        self.folder, self.tell = Path(folder), tell
        self.depends = json.dumps(depends, sort_keys=True)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RunError(
                f"runs need a folder, and {folder} cannot be made ({error.strerror}): choose another --out"
            ) from error

    def __call__(self, unit: str, train: Callable[[], Arrays]) -> Arrays:
        """The arrays of one run, read or trained; once this returns, no crash loses them."""
        key = f"{self.depends}\n{unit}".encode()
        path = self.folder / f"{hashlib.sha256(key).hexdigest()[:32]}.run"
        try:
            if path.exists():
                return _arrays(path.read_bytes(), key)
        except (OSError, ValueError, KeyError) as error:
            self.tell(f"{path} is damaged or of another run ({error}): it is trained again")
        trained = train()
        content = io.BytesIO()
        np.savez(content, **trained)  # type: ignore[arg-type]  # (names of arrays, not its options)
        whole = content.getvalue()
        try:
            durable.write(path, hashlib.sha256(key + whole).hexdigest().encode() + whole)
        except OSError as error:
            raise RunError(
                f"a finished run cannot be written to {self.folder} ({error.strerror}): make room and ask again, all "
                "runs before it are kept"
            ) from error
        return trained


def _arrays(raw: bytes, key: bytes) -> Arrays:
    digest, content = raw[:64], raw[64:]
    if hashlib.sha256(key + content).hexdigest().encode() != digest:
        raise ValueError("its checksum is another")
    with np.load(io.BytesIO(content), allow_pickle=False) as stored:
        return {name: stored[name] for name in stored.files}
