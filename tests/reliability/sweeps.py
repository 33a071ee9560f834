"""A real command in a child of a warm process, with a journal that survives whatever kills it; a tiny sweep run so.

The children are forked from a server that has imported PyTorch once (the `forkserver` of multiprocessing), so that a
hundred runs take a minute. Every unit that is trained, and every commit that has returned, is one line of the journal.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import xarray as xr

from effbatch.plan.cube import open_cube

SPEC = """
[simulation]
name = "tiny"
title = "Tiny"
[data]
dataset = "digits"
clean_examples = 100
[train]
network = "mlp1"
budget = { steps = STEPS }
evaluations = 3
[grid]
alpha = [0, 2.5]
batch_size = [4, 6, 8, 10]
learning_rate = [0.1, 1e12]
seed = 3
[claim]
kind = "collapse"
"""
UNITS = 4
SHORT, LONG = 30, 200  # steps of a run that is killed anywhere, and of one that must be met while it trains
WARM = ["effbatch.cli.simulate", "effbatch.show.progress", "effbatch.sweep.runner", "effbatch.sweep.processes"]
WARM += ["effbatch.cli.advise", "effbatch.advice.advise", "effbatch.probe.runs", "effbatch.show.views.advice"]
WARM += ["sklearn.datasets", "h5netcdf", "sympy", "dask.array", "distributed"]  # some are met by the way
PATIENCE = 120  # seconds; a run that takes longer hangs

Prepare = Callable[[Path], None]  # what the child does to itself before it runs the command
Note = Callable[[str, str], object]  # writes what became of which unit into the journal


@dataclass(frozen=True)
class Command:
    """A folder with what a command writes, its journal, and what it said last."""

    home: Path

    @property
    def out(self) -> Path:
        return self.home / "out"

    @property
    def journal(self) -> Path:
        return self.home / "journal"

    @property
    def said(self) -> str:
        return (self.home / "said").read_text(encoding="utf-8")

    def start(self, prepare: Prepare | None = None, *options: str) -> multiprocessing.process.BaseProcess:
        """Begin the command; `prepare`, a picklable function, runs in the child first."""
        self.home.mkdir(parents=True, exist_ok=True)
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(WARM)
        child = context.Process(target=_run, args=(self, prepare, options))
        child.start()
        return child

    def run(self, prepare: Prepare | None = None, *options: str) -> int:
        """`start`, and its exit code (that of the signal, negative)."""
        return ended(self.start(prepare, *options))

    def seconds(self) -> float:
        """How long a whole run takes now."""
        began = time.monotonic()
        self.run()
        return time.monotonic() - began

    def events(self) -> list[tuple[str, str, str]]:
        """(run, what, unit key) of every line of the journal; a run is a process number."""
        lines = self.journal.read_text(encoding="utf-8").splitlines() if self.journal.exists() else []
        return [(run, what, key) for run, what, key in map(str.split, lines)]

    def acknowledged(self) -> set[str]:
        return {key for _, what, key in self.events() if what == "committed"}

    def twice(self) -> int:
        """Units that one run trained, or committed, twice."""
        return sum(times - 1 for times in Counter(self.events()).values())

    def arguments(self) -> list[str]:
        """What the command is given; makes what it needs."""
        raise NotImplementedError

    def files(self) -> set[str]:
        """The units that have a file."""
        raise NotImplementedError

    def noting(self, note: Note) -> None:
        """Make this process note what it trains, and what it has committed."""
        raise NotImplementedError

    def same(self, truth: Any) -> bool:
        """Whether the command came to what it comes to undisturbed, bit for bit."""
        raise NotImplementedError

    def lost(self) -> int:
        """Units whose commit had returned, and which are trained again later all the same, or have no file."""
        kept: set[str] = set()
        lost: set[str] = set()
        for _, what, key in self.events():
            if what == "committed":
                kept.add(key)
            elif what == "training" and key in kept:
                lost.add(key)
        return len(lost | kept - self.files())


@dataclass(frozen=True)
class Sweep(Command):
    """`effbatch simulate` of a tiny spec."""

    steps: int = SHORT

    def arguments(self) -> list[str]:
        """As `Command`."""
        spec = self.home / "spec.toml"
        spec.write_text(SPEC.replace("STEPS", str(self.steps)), encoding="utf-8")
        return ["simulate", str(spec)]

    def files(self) -> set[str]:
        """As `Command`."""
        return {path.name.partition("-")[0] for path in (self.out / "units").glob("[!.]*.nc")}

    def noting(self, note: Note) -> None:
        """As `Command`."""
        from effbatch.sweep import workers
        from effbatch.sweep.store import Store

        train, commit = workers.train_unit, Store.commit

        def noted_train(unit, *args, **kwargs):
            note("training", unit.key)
            return train(unit, *args, **kwargs)

        def noted_commit(store, key, block):
            path = commit(store, key, block)
            note("committed", key)
            return path

        workers.train_unit, Store.commit = noted_train, noted_commit

    def same(self, truth: Any) -> bool:
        """As `Command`; `truth` is a cube."""
        return alike(open_cube(self.out), truth)


def alike(one: xr.Dataset, other: xr.Dataset) -> bool:
    """Whether two cubes hold the same bits, and the same attributes but for when and how fast they were made."""
    attrs = [{k: str(v) for k, v in cube.attrs.items() if k not in ("made", "train_seconds")} for cube in (one, other)]
    return (
        attrs[0] == attrs[1]
        and set(one.variables) == set(other.variables)
        and all(one[name].values.tobytes() == other[name].values.tobytes() for name in one.variables)
    )


def ended(child: multiprocessing.process.BaseProcess) -> int:
    """Exit code of a child; one that hangs is killed and an error."""
    child.join(PATIENCE)
    if child.exitcode is None:
        child.kill()
        raise TimeoutError(f"a run hung for {PATIENCE} s")
    return child.exitcode


def wait_for(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError("what was waited for did not come")
        time.sleep(0.001)


def _run(command: Command, prepare: Prepare | None, options: tuple[str, ...]) -> None:
    """The child: write the journal, prepare, and run the command with what it says in a file."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    said = os.open(command.home / "said", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(said, 1)
    os.dup2(said, 2)
    sys.stdout = os.fdopen(1, "w", buffering=1, closefd=False)
    sys.stderr = os.fdopen(2, "w", buffering=1, closefd=False)

    import torch

    from effbatch.cli import main

    torch.set_num_threads(1)
    journal = os.open(command.journal, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    command.noting(lambda what, key: os.write(journal, f"{os.getpid()} {what} {key}\n".encode()))
    if prepare:
        prepare(command.home)
    main([*command.arguments(), "--out", str(command.out), "--device", "cpu", *options])
