"""The sweep folder: spec, predictions and one netCDF file per finished unit; the rename of a file is its commit.

    sweep.json                         the resolved spec, fingerprints of its data, versions, device, when it was made
    predictions.json                   what was predicted, and when, before the first unit trained
    units/<unit>-<checksum>.nc         one finished unit; the name carries the SHA-256 of its content
    cube.nc                            the assembled cube

A file is written under a temporary name, fsynced, and renamed, so a killed run leaves a whole unit or none. A
file whose content does not match its name is moved to quarantine/ and its unit is trained again.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import xarray as xr

from effbatch.errors import SweepError


class Store:
    """One sweep folder, opened by `Store.open`, which refuses a folder made from another spec or from other data."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.units_folder = folder / "units"

    @classmethod
    def open(
        cls, folder: str | Path, resolved: Mapping[str, Any], facts: Mapping[str, Any], data: Mapping[str, str]
    ) -> Store:
        """Make or reopen the folder of the sweep `resolved`; `facts` (versions, device, ...) are stored once.

        `data` holds the fingerprint of each data set by name. A name may come to mean another content, a file written
        anew above all, so a folder whose fingerprints differ is refused; one that stored none is taken.
        """
        store = cls(Path(folder))
        try:
            store.units_folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise SweepError(
                f"the folder {folder} cannot be written ({error.strerror}); choose another --out"
            ) from error
        manifest = store.folder / "sweep.json"
        if manifest.exists():
            stored = store.facts().get("spec")
            changes = difference(stored, json.loads(json.dumps(resolved)))
            if changes:
                raise SweepError(
                    f"{folder} holds a sweep of another spec ({'; '.join(changes[:3])}); "
                    "choose another --out, or delete that folder",
                    changes=changes,
                )
            fingerprints = store.facts().get("data", {})
            changed = [name for name, mark in data.items() if fingerprints.get(name, mark) != mark]
            if changed:
                raise SweepError(
                    f"{folder} was begun on other images or labels than {', '.join(changed)} holds now; give the old "
                    "ones back, choose another --out, or delete that folder",
                    changed=changed,
                )
        else:
            store.write_json("sweep.json", {"spec": resolved, "data": data, **facts})
        return store

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Own the folder for the time of a run; a second run is refused with the owner's process number."""
        try:
            lock = (self.folder / "lock").open("a+")
        except OSError as error:
            raise SweepError(f"{self.folder} cannot be locked ({error.strerror}); choose another --out") from error
        with lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                lock.seek(0)
                owner = lock.read().strip() or "unknown"
                raise SweepError(
                    f"{self.folder} is in use by the process {owner}; wait for it, or choose another --out",
                    owner=owner,
                ) from error
            lock.truncate(0)
            lock.write(str(os.getpid()))
            lock.flush()
            yield

    def facts(self) -> dict[str, Any]:
        """What sweep.json holds: the resolved spec, versions and device of the run that made the folder."""
        return self.read_json("sweep.json") or {}

    def finished(self) -> dict[str, Path]:
        """Unit key -> file of every whole unit; damaged files are set aside, leftovers of a killed run removed."""
        found = {}
        for path in sorted(self.units_folder.iterdir()):
            key, _, checksum = path.stem.partition("-")
            if path.name.startswith("."):
                path.unlink()
            elif path.suffix == ".nc" and _digest(path) == checksum:
                found[key] = path
            else:
                quarantine = self.folder / "quarantine"
                quarantine.mkdir(exist_ok=True)
                path.rename(quarantine / path.name)
        return found

    def commit(self, key: str, block: xr.Dataset) -> Path:
        """Write one finished unit; once this returns, no crash can lose it."""
        temporary = self.units_folder / f".{key}.tmp"
        temporary.unlink(missing_ok=True)
        try:
            block.to_netcdf(temporary, engine="h5netcdf")
            _fsync(temporary)
            path = self.units_folder / f"{key}-{_digest(temporary)}.nc"
            temporary.rename(path)
            _fsync(self.units_folder)
        except OSError as error:
            temporary.unlink(missing_ok=True)
            raise SweepError(
                f"unit {key} could not be written to {self.units_folder} ({error.strerror or error}); "
                "make room and run the same command again: finished units are kept"
            ) from error
        return path

    def read(self, path: Path) -> xr.Dataset:
        """The block of one unit file."""
        with xr.open_dataset(path, engine="h5netcdf") as block:
            return block.load()

    def write_json(self, name: str, content: Mapping[str, Any]) -> Path:
        """Write a JSON file of the folder in one step (temporary name, fsync, rename)."""
        path = self.folder / name
        temporary = self.folder / f".{name}.tmp"
        try:
            temporary.write_text(json.dumps(content, indent=2, allow_nan=False) + "\n", encoding="utf-8")
            _fsync(temporary)
            temporary.rename(path)
        except OSError as error:
            raise SweepError(
                f"{path} cannot be written ({error.strerror}); make room or choose another --out"
            ) from error
        return path

    def read_json(self, name: str) -> dict[str, Any] | None:
        """The content of a JSON file of the folder, None where there is none; SweepError where it is damaged."""
        path = self.folder / name
        if not path.exists():
            return None
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise SweepError(f"{path} is damaged ({error}); delete the folder, or choose another --out") from error
        if not isinstance(content, dict):
            raise SweepError(f"{path} is damaged (no JSON object); delete the folder, or choose another --out")
        return content


def difference(stored: Any, wanted: Any, path: str = "") -> list[str]:
    """The places in which two JSON values differ, as 'key: stored -> wanted'."""
    if isinstance(stored, dict) and isinstance(wanted, dict):
        keys = sorted({*stored, *wanted})
        return [c for k in keys for c in difference(stored.get(k), wanted.get(k), f"{path}.{k}" if path else str(k))]
    return [] if stored == wanted else [f"{path}: {stored!r} there, {wanted!r} asked for"]


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:32]


def _fsync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
