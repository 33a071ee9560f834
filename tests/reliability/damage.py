"""Flipped bits, cut files, files in each other's place: every one is found out, or does no harm."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path

from sweeps import UNITS, Sweep, alike
from tally import Tally, reference

from effbatch.core.errors import CubeError, SweepError
from effbatch.plan.cube import open_cube
from effbatch.sweep.store import Store


def unit_files(home: Path, count: int, rng: random.Random) -> Tally:
    """One bit flipped at `count` positions of a unit file (all of them, if it has no more), and as many cuts."""
    tally = Tally("unit file with one bit flipped, or cut short")
    whole, _ = reference(home / "whole")
    store, path = Store(whole.out), _units(whole)[0]
    key = path.name.partition("-")[0]
    for content in _damaged(path.read_bytes(), count, rng):
        path.write_bytes(content)
        said: list[str] = []
        used = store.finished(said.append)
        tally.tried += 1
        tally.different += key in used
        tally.unexplained += key not in used and (len(said) != 1 or str(path) not in said[0])
        tally.lost += len(used) != UNITS - 1
        tally.struck["found"] += key not in used
    return tally


def units_trained_again(home: Path, count: int, rng: random.Random) -> Tally:
    """Whole runs on a folder with one damaged unit: it is named, set aside and trained again, and no other is."""
    tally = Tally("sweep repeated after a unit file was damaged or replaced")
    whole, cube = reference(home / "whole")
    for number in range(count):
        sweep = Sweep(home / f"sweep{number}")
        shutil.copytree(whole.out, sweep.out)
        one, other = rng.sample(_units(sweep), 2)
        content = one.read_bytes()
        keys = {one.name.partition("-")[0]}
        name, damage = rng.choice(
            [
                ("flipped", lambda: one.write_bytes(next(_damaged(content, 1, rng)))),  # noqa: B023
                ("cut", lambda: one.write_bytes(content[: rng.randrange(len(content))])),  # noqa: B023
                ("foreign", lambda: one.write_text("hello")),  # noqa: B023
                ("another unit's", lambda: other.rename(_in_the_name_of(one, other))),  # noqa: B023
            ]
        )
        damage()
        if name == "another unit's":  # its file took the place of the other's, which is gone
            keys = {one.name.partition("-")[0], other.name.partition("-")[0]}
            one.unlink()
        tally.tried += 1
        tally.struck[name] += 1
        tally.expect(sweep, 0, sweep.run(), "was moved to", "quarantine")
        tally.lost += {key for _, what, key in sweep.events() if what == "training"} != keys
        tally.different += not alike(open_cube(sweep.out), cube)
    return tally


def json_files(home: Path, count: int, rng: random.Random) -> Tally:
    """The same damage to sweep.json and predictions.json."""
    tally = Tally("`sweep.json`, `predictions.json` with one bit flipped, or cut short")
    whole, _ = reference(home / "whole")
    store = Store(whole.out)
    store.write_json("predictions.json", {"stored": "now", "prediction": {"best": [0.25, None, 1e-3], "α": "yes"}})
    for name in ("sweep.json", "predictions.json"):
        path = whole.out / name
        good, truth = path.read_bytes(), store.read_json(name)
        for content in _damaged(good, count // 2, rng):
            path.write_bytes(content)
            _read(
                tally, lambda name=name: store.read_json(name), lambda found, truth=truth: _within(truth, found), name
            )
        path.write_bytes(good)
    return tally


def cube_file(home: Path, count: int, rng: random.Random) -> Tally:
    """The same damage to cube.nc."""
    tally = Tally("`cube.nc` with one bit flipped, or cut short")
    whole, cube = reference(home / "whole")
    path = whole.out / "cube.nc"
    for content in _damaged(path.read_bytes(), count, rng):
        path.unlink()  # HDF5 would see what it still holds open under the same file
        path.write_bytes(content)
        _read(tally, lambda: open_cube(path).load(), lambda found: found.identical(cube), "cube.nc")
    return tally


def refused(home: Path, count: int, rng: random.Random) -> Tally:
    """A folder of another spec, a cube of another schema, predictions edited by hand: refused, the difference shown."""
    tally = Tally("folder with another spec, another cube or edited predictions")
    whole, cube = reference(home / "whole")
    shutil.copytree(whole.home, home / "other")
    other = Sweep(home / "other", whole.steps + 1)
    tally.expect(other, 1, other.run(), f"train.budget.steps: {whole.steps} there, {other.steps} asked for")
    cube.assign_attrs(schema_version=99).to_netcdf(home / "cube.nc", engine="h5netcdf")
    _read(tally, lambda: open_cube(home / "cube.nc"), lambda found: False, "schema 1; this one has 99")
    store = Store(whole.out)
    path = store.write_json("predictions.json", {"prediction": {"best": 0.25}})
    path.write_text(path.read_text(encoding="utf-8").replace("0.25", "0.35"), encoding="utf-8")
    _read(tally, lambda: store.read_json("predictions.json"), lambda found: False, "changed after it was written")
    tally.tried += 1
    return tally


def _units(sweep: Sweep) -> list[Path]:
    return sorted((sweep.out / "units").glob("*.nc"))


def _in_the_name_of(one: Path, other: Path) -> Path:
    """Where the file of `other` claims to be that of `one`: with its own checksum, and the other's key."""
    return other.with_name(f"{one.name.partition('-')[0]}-{other.name.partition('-')[2]}")


def _damaged(content: bytes, count: int, rng: random.Random):
    """`content` with one bit flipped at `count` positions, or at all, and cut at as many."""
    positions = range(len(content)) if count >= len(content) else sorted(rng.sample(range(len(content)), count))
    for position in positions:
        flipped = bytearray(content)
        flipped[position] ^= 1 << rng.randrange(8)
        yield bytes(flipped)
    for position in positions:
        yield content[:position]


def _read(tally: Tally, read: Callable, harmless: Callable, words: str) -> None:
    """Count one attempt to read what is damaged: refused with these words, harmless, or used all the same."""
    tally.tried += 1
    try:
        found = read()
    except (SweepError, CubeError) as error:
        tally.struck["found"] += 1
        tally.unexplained += words not in str(error) or "\n" in str(error)
    else:
        unharmed = harmless(found)
        tally.struck["harmless"] += unharmed
        tally.different += not unharmed


def _within(truth: dict, found: dict | None) -> bool:
    """Whether everything true is there; a key that the damage renamed stands beside it."""
    return found is not None and json.dumps({**found, **truth}, sort_keys=True) == json.dumps(found, sort_keys=True)
