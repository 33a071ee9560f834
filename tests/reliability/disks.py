"""A full disk, a limit on the size of files, a folder that nobody may write to."""

from __future__ import annotations

import os
import random
import resource
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from sweeps import Command, Sweep
from tally import Tally, kept, reference

ROOM = "8m"
PAGES = range(1, 44)  # of 4 KiB: what a whole sweep needs


def may_mount() -> bool:
    """Whether a small disk can be mounted here, which takes root."""
    return os.geteuid() == 0 and subprocess.run(["mount", "--help"], capture_output=True).returncode == 0


def full(home: Path, count: int, rng: random.Random) -> Tally:
    """A disk (tmpfs) that is full after so many pages; then room is made."""
    tally = Tally("disk full (small tmpfs)")
    _, cube = reference(home / "whole")
    return filled(tally, Sweep, cube, home, _spread(PAGES, count, rng))


def filled(tally: Tally, kind: type[Command], truth: Any, home: Path, sizes: Sequence[int], *owed: str) -> Tally:
    """The same for any command, which comes to `truth` when nothing disturbs it and else owes a sentence."""
    for pages in sizes:
        command = kind(home / f"pages{pages}")
        with _disk(command.out, f"{4 * pages}k") as remount:
            code = command.run()
            if code == 0:
                tally.struck["the disk was large enough"] += 1
                continue
            tally.tried += 1
            tally.expect(command, 1, code, *owed)
            tally.struck[kept(len(command.acknowledged()), "unit")] += 1
            remount(f"size={ROOM}")
            tally.settle(command, truth)
    return tally


def files_too_large(home: Path, count: int, rng: random.Random) -> Tally:
    """A limit on the size of one file (RLIMIT_FSIZE), which a write meets in its midst; then it is lifted."""
    tally = Tally("a write that fails halfway (`RLIMIT_FSIZE`)")
    whole, cube = reference(home / "whole")
    largest = max(path.stat().st_size for path in whole.out.rglob("*") if path.is_file())
    for _ in range(count):
        size = rng.randrange(500, largest)
        sweep = Sweep(home / f"size{size}")
        tally.tried += 1
        tally.expect(sweep, 1, sweep.run(partial(_limit, size=size)))
        tally.struck[kept(len(sweep.acknowledged()), "unit")] += 1
        tally.settle(sweep, cube)
    return tally


def read_only(home: Path, count: int, rng: random.Random) -> Tally:
    """The folder of a sweep that was stopped on the way can no longer be written to; then it can."""
    tally = Tally("read-only folder")
    _, cube = reference(home / "whole")
    for number in range(count):
        sweep = Sweep(home / f"sweep{number}")
        with _disk(sweep.out, ROOM) as remount:
            sweep.run(partial(_stop_after, units=number % 4))
            remount("ro")
            tally.tried += 1
            tally.expect(sweep, 1, sweep.run(), "choose another --out")
            remount("rw")
            tally.settle(sweep, cube)
    return tally


@contextmanager
def _disk(folder: Path, size: str) -> Iterator:
    """A tmpfs at `folder`, and a function that mounts it anew with other options."""
    folder.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)], check=True)
    try:
        yield lambda option: subprocess.run(["mount", "-o", f"remount,{option}", str(folder)], check=True)
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def _spread(values: range, count: int, rng: random.Random) -> list[int]:
    return sorted(rng.sample(values, min(count, len(values))))


def _limit(home: Path, *, size: int) -> None:
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


def _stop_after(home: Path, *, units: int) -> None:
    from effbatch.sweep.store import Store

    commit = Store.commit

    def deadly(store: Store, key: str, block: object) -> Path:
        path = commit(store, key, block)  # type: ignore[arg-type]
        if len(list(store.units_folder.iterdir())) > units:
            os.kill(os.getpid(), signal.SIGKILL)
        return path

    Store.commit = deadly  # type: ignore[assignment, method-assign]
