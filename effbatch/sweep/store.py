"""The sweep folder: spec, predictions and one netCDF file per finished unit; the rename of a file is its commit.

    sweep.json                         the resolved spec, fingerprints of its data, versions, device, when it was made,
                                       and each extension of its grid
    predictions.json                   what was predicted, and when, before the first unit trained
    units/<unit>-<checksum>.nc         one finished unit; the checksum is the SHA-256 of its key and content
    quarantine/                        unit files that were damaged, or of another unit
    cube.nc                            the assembled cube
    lock                               process number of the run that owns the folder

A file is written under a temporary name, fsynced, and renamed, so a killed run leaves a whole unit or none. A
file whose content does not match its name is moved to quarantine/ and its unit is trained again. JSON files carry the
SHA-256 of what they say. One process owns the folder from before it reads anything there.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import xarray as xr

from effbatch.core import durable, netcdf
from effbatch.core.errors import SweepError
from effbatch.plan.rounds import added
from effbatch.plan.spec import Spec
from effbatch.sweep.provenance import now

LAYOUT = 2
SIGNATURE = "sha256"  # key of a JSON file: the first 32 digits of the SHA-256 of all its other keys


class Store:
    """One sweep folder, opened by `Store.open`, which refuses a folder made from another spec or from other data."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.units_folder = folder / "units"
        self.quarantine = folder / "quarantine"

    @classmethod
    @contextmanager
    def open(
        cls, folder: str | Path, resolved: Mapping[str, Any], facts: Mapping[str, Any], data: Mapping[str, str]
    ) -> Iterator[Store]:
        """Make or reopen and own the folder of the sweep `resolved`; `facts` (versions, device, ...) are stored once.

        A second process is refused with the owner's number. A wider grid than that of the folder extends it; any other
        difference is refused. `data` holds the fingerprint of each data set by name. A name may come to mean another
        content, a file written anew above all, so a folder whose fingerprints differ is refused; one that stored none
        is taken.
        """
        store = cls(Path(folder))
        try:
            store.units_folder.mkdir(parents=True, exist_ok=True)
            for made in (store.folder, store.folder.parent):  # units/ itself and the folder are entries there
                durable.sync(made)
        except OSError as error:
            raise SweepError(
                f"the folder {folder} cannot be written ({error.strerror}); choose another --out"
            ) from error
        with store._locked():
            resolved = json.loads(json.dumps(resolved))
            if store.facts():
                store._check(resolved, data)
            else:
                store.write_json("sweep.json", {"layout": LAYOUT, "spec": resolved, "data": data, **facts})
            yield store

    def _check(self, resolved: Mapping[str, Any], data: Mapping[str, str]) -> None:
        """Refuse a folder of a later layout, of another spec or of other data; note what its grid is extended by."""
        stored = self.facts()
        if self.layout > LAYOUT:
            raise SweepError(
                f"{self.folder} was begun by a later effbatch, this one reads folders up to layout {LAYOUT}, got "
                f"{self.layout}: install a later one, or choose another --out"
            )
        before, after = self.grids[-1], _values(resolved.get("grid", {}))
        changes = difference(_training(stored.get("spec", {})), _training(resolved))
        if before.keys() == after.keys():
            changes += [f"grid.{dim}: {list(values)} not asked for" for dim, values in added(after, before).items()]
        else:
            changes += [f"lists in [grid]: {', '.join(before)} there, {', '.join(after)} asked for"]
        if changes:
            raise SweepError(
                f"{self.folder} holds a sweep of another spec ({'; '.join(changes[:3])}); only more values in the "
                "lists of [grid] extend it: choose another --out, or delete that folder",
                changes=changes,
            )
        fingerprints = stored.get("data", {})
        changed = [name for name, mark in data.items() if fingerprints.get(name, mark) != mark]
        if changed:
            raise SweepError(
                f"{self.folder} was begun on other images or labels than {', '.join(changed)} holds now; give the old "
                "ones back, choose another --out, or delete that folder",
                changed=changed,
            )
        if new := added(before, after):
            extension = {"made": now(), "added": new, "grid": after, "units": self.committed()}
            extended = [*self.extensions, extension]
            self.write_json("sweep.json", {**stored, "data": {**fingerprints, **data}, "extended": extended})

    @property
    def layout(self) -> int:
        """How the folder is laid out: 1 until effbatch 0.1, where no cell had more evaluations than any had steps."""
        return int(self.facts().get("layout", 1))

    @property
    def extensions(self) -> list[dict[str, Any]]:
        """When the grid was extended, by what, to which grid, and how many units were there."""
        return self.facts().get("extended", [])

    @property
    def grids(self) -> list[dict[str, tuple]]:
        """The grids that the sweep has had, the first and the last ones included."""
        grids = [self.facts().get("spec", {}).get("grid", {}), *(one["grid"] for one in self.extensions)]
        return list(map(_values, grids))

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Own the folder; a second run is refused with the owner's process number."""
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
            with suppress(OSError):  # on a full disk the owner stays unknown
                os.ftruncate(lock.fileno(), 0)
                os.write(lock.fileno(), str(os.getpid()).encode())
            yield

    def facts(self) -> dict[str, Any]:
        """What sweep.json holds: the resolved spec, versions and device of the run that made the folder."""
        return self.read_json("sweep.json") or {}

    def rule(self, spec: Spec) -> Mapping[str, Any]:
        """The rule that was stored with the prediction (until 0.1: with the spec); before there is one, the spec's."""
        stored = self.read_json("predictions.json")
        return spec.claim if stored is None else stored.get("rule") or self.facts()["spec"]["claim"]

    def committed(self) -> int:
        """How many units were ever committed here, damaged since or not."""
        return sum(1 for folder in (self.units_folder, self.quarantine) for _ in folder.glob("[!.]*"))

    def finished(self, tell: Callable[[str], None] = lambda sentence: None) -> dict[str, Path]:
        """Unit key -> file of every whole unit; leftovers of a killed run are removed.

        A file that does not match its name is moved to quarantine/, and a sentence about it told.
        """
        found = {}
        for path in sorted(self.units_folder.iterdir()):
            key, _, checksum = path.stem.partition("-")
            try:
                if path.name.startswith("."):
                    path.unlink()
                elif path.suffix == ".nc" and _digest(key.encode() + path.read_bytes()) == checksum:
                    found[key] = path
                else:
                    self.quarantine.mkdir(exist_ok=True)
                    path.rename(self.quarantine / path.name)
                    tell(
                        f"{path} is damaged, or not of the unit that its name says; it was moved to {self.quarantine} "
                        "and that unit is trained again"
                    )
            except OSError as error:
                raise SweepError(
                    f"{path} can neither be used nor set aside ({error.strerror}); move it away and run the same "
                    "command again: its unit is then trained again"
                ) from error
        return found

    def commit(self, key: str, block: xr.Dataset) -> Path:
        """Write one finished unit; once this returns, no crash can lose it."""
        content = netcdf.as_bytes({"/": block})
        path = self.units_folder / f"{key}-{_digest(key.encode() + content)}.nc"
        try:
            durable.write(path, content)
        except OSError as error:
            raise SweepError(
                f"unit {key} could not be written to {self.units_folder} ({error.strerror}); "
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
        plain = json.loads(json.dumps(content, allow_nan=False))
        signed = json.dumps({**plain, SIGNATURE: _signature(plain)}, indent=2)
        try:
            durable.write(path, signed.encode() + b"\n")
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
            if not isinstance(content, dict):
                raise ValueError("no JSON object")
            signature = content.pop(SIGNATURE, None)  # files of before it had none
            if signature not in (None, _signature(content)):
                raise ValueError("it was changed after it was written")
        except (OSError, ValueError) as error:
            raise SweepError(
                f"{path} is damaged ({error}); put a copy of it back, or move it away and run the same command again: "
                "finished units are kept"
            ) from error
        return content


def _values(grid: Mapping[str, Sequence]) -> dict[str, tuple]:
    """A grid as JSON gives it, its values as tuples."""
    return {dim: tuple(values) for dim, values in grid.items()}


def _training(resolved: Mapping[str, Any]) -> dict[str, Any]:
    """How a cell is trained: all of a spec but its grid, and the rule that judges the cube."""
    return {name: table for name, table in resolved.items() if name not in ("grid", "claim")}


def difference(stored: Any, wanted: Any, path: str = "") -> list[str]:
    """The places in which two JSON values differ, as 'key: stored -> wanted'."""
    if isinstance(stored, dict) and isinstance(wanted, dict):
        keys = sorted({*stored, *wanted})
        return [c for k in keys for c in difference(stored.get(k), wanted.get(k), f"{path}.{k}" if path else str(k))]
    return [] if stored == wanted else [f"{path}: {stored!r} there, {wanted!r} asked for"]


def _signature(content: Mapping[str, Any]) -> str:
    return _digest(json.dumps(content, sort_keys=True).encode())


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:32]
