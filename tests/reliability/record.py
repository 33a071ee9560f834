"""Try every fault as often as `make torture` does, print what was survived, and write it to docs/reliability.md."""

from __future__ import annotations

import multiprocessing
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import load
import long_tests
from faults import FAULTS, Fault
from tally import Tally

from effbatch.core.errors import first_line

PAGE = Path(__file__).parents[2] / "docs" / "reliability.md"
SEED = 1
COLUMNS = ("fault", "tried", "lost", "twice", "unreadable", "different", "unexplained", "what was seen")
HEAD = """# What a sweep survives

A finished unit is never lost and never trained again, a damaged file is never used, and whatever happens, the same
command ends with the same cube, bit for bit on one device. This page counts how often that was tried. `make torture`
writes it; a short version runs with the tests (`tests/reliability`).

Every fault strikes the real command, `effbatch simulate`, on a sweep of four units, or, in the rows that say so,
`effbatch advise` with `--out`, on a few short real runs. Then the same command is given again without the fault. Damage
to single bytes is tried on the functions that read the files.

* **tried**: how often the fault struck
* **lost**: units, or short runs, whose commit had returned, and which were gone or trained again
* **twice**: units that one run trained twice
* **unreadable**: sweeps and answers that did not end
* **different**: cubes and answers not equal to those of an undisturbed command, or damaged content that was used
* **unexplained**: runs that ended without the sentence that they owe, or with a traceback
"""
LOAD_HEAD = """## Large sweeps

Each is measured in a process of its own; memory is all that the process took, Python and libraries included. The
goals are for a machine that does nothing else: they are compared with the time of the processor. Time and memory of a
fit grow with the square of the settings that one network and data set have: 400 here.
"""
LONG_HEAD = """## Bad input, numerics and intervals

The other tests of `tests/reliability` with `EFFBATCH_TORTURE=1`: 2,000 examples of every kind of random input, 1,000
draws or more of every interval. Coverage is held to 93 to 97 %; of a few intervals, named in `test_coverage.py`, to at
least 92 %, at most 98 or 99 %, or to no upper bound at all. The worlds where some are known to cover less are
[listed](when-it-fails.md).
"""


def main() -> None:
    began, commit = time.monotonic(), _commit()
    todo = [fault for fault in FAULTS if not fault.needs]
    missed = [fault for fault in FAULTS if fault.needs]
    context = multiprocessing.get_context("spawn")  # threads would take each other's exit codes
    with tempfile.TemporaryDirectory() as folder, ProcessPoolExecutor(os.cpu_count(), context) as pool:
        tallies = list(pool.map(partial(_tried, Path(folder)), todo))
    with tempfile.TemporaryDirectory() as folder:
        loads = load.measured(Path(folder))
        counts = long_tests.counted(Path(folder))
    page = "\n".join(_page(tallies, missed, loads, counts, commit, time.monotonic() - began))
    PAGE.write_text(page + "\n", encoding="utf-8")
    print(page)
    late = [what for what in loads if not _met(what, loads[what])]
    failed = [name for name, found in counts.items() if found["failed"] or not found["passed"]]
    sys.exit(1 if late or failed or not all(tally.survived for tally in tallies) else 0)


def _tried(folder: Path, fault: Fault) -> Tally:
    home = folder / fault.name
    home.mkdir()
    try:
        tally = fault.attempt(home, fault.long, random.Random(SEED))
    except Exception as error:  # the other faults are still worth trying
        tally = Tally(fault.name, tried=1, unexplained=1, struck=Counter([first_line(error)]))
    print(f"{fault.name}: {tally}", file=sys.stderr, flush=True)
    return tally


def _page(
    tallies: Sequence[Tally],
    missed: Sequence[Fault],
    loads: dict[str, dict[str, float]],
    counts: dict[str, Counter[str]],
    commit: str,
    seconds: float,
) -> Iterator[str]:
    from effbatch.engine.device import pick_device
    from effbatch.sweep.provenance import environment

    facts = environment(pick_device("cpu"))
    yield HEAD
    yield from _table(COLUMNS, [_row(tally) for tally in tallies])
    yield ""
    tried = sum(tally.tried for tally in tallies)
    survived = sum(tally.tried for tally in tallies if tally.survived)
    yield f"In all {tried:,} faults tried, {survived:,} in rows without a failure."
    for fault in missed:
        yield f"Not tried: {fault.name}, which needs {fault.needs}."
    yield ""
    yield LOAD_HEAD
    rows = [
        [
            load.WHAT[what],
            f"{found['cpu']:.1f} s",
            f"{found['seconds']:.1f} s",
            f"{found['megabytes']:,.0f} MB",
            _goal(what),
        ]
        for what, found in loads.items()
    ]
    yield from _table(("what", "processor", "clock", "memory", "goal"), rows)
    yield ""
    yield LONG_HEAD
    rows = [[long_tests.title(name), *(found[what] for what in long_tests.OUTCOMES)] for name, found in counts.items()]
    yield from _table(("what", *long_tests.OUTCOMES), rows)
    yield ""
    yield "## The record"
    yield ""
    versions = ", ".join(f"{name} {version}" for name, version in facts["versions"].items())
    yield (
        f"Command: `make torture` (random seed {SEED}). Date: {datetime.now(UTC):%Y-%m-%d}. Device: {facts['device']}, "
        f"{os.cpu_count()} cores, shared with other work. Versions: {versions}, Python {facts['python']}; commit "
        f"{commit}. Duration: {seconds / 60:.0f} minutes."
    )


def _commit() -> str:
    """What is tried, before it can change."""
    asked = ["git", "describe", "--always", "--dirty"]
    return subprocess.run(asked, capture_output=True, text=True, cwd=PAGE.parent).stdout.strip() or "unknown"


def _row(tally: Tally) -> list[object]:
    counts = [tally.tried, tally.lost, tally.twice, tally.unreadable, tally.different, tally.unexplained]
    seen = ", ".join(f"{what}: {times:,}" for what, times in sorted(tally.struck.items()))
    return [tally.fault, *(f"{count:,}" for count in counts), seen.replace("|", "/")]


def _table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> Iterator[str]:
    for row in (columns, ["---"] * len(columns), *rows):
        yield "| " + " | ".join(map(str, row)) + " |"


def _goal(what: str) -> str:
    seconds, megabytes = load.GOALS[what]
    return f"{seconds} s" + (f", {megabytes} MB" if megabytes else "")


def _met(what: str, found: dict[str, float]) -> bool:
    seconds, megabytes = load.GOALS[what]
    return found["cpu"] <= seconds and (megabytes is None or found["megabytes"] <= megabytes)


if __name__ == "__main__":
    main()
