"""Try every fault as often as `make torture` does, count what survived it, and write docs/reliability.md."""

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
COLUMNS = ("fault", "tried", "lost", "twice", "unfinished", "different", "unexplained", "what was seen")
HEAD = """# What a sweep survives

`effbatch simulate` never loses a finished unit, never trains one twice and never uses a damaged file. After any fault,
give the same command again: it ends with the same cube, bit for bit on one device. This page counts how often that was
tried. `make torture` writes it, and the tests in `tests/reliability` try a short version.

Each fault strikes the real command on a sweep of four units. The rows that begin with "advise" strike
`effbatch advise --out DIR`, which keeps a few short training runs. Then the same command runs again without the fault.
Damage to single bytes is tried on the functions that read the files.

* **tried**: how often the fault struck
* **lost**: committed units, or short runs, that were gone afterwards or trained again
* **twice**: units that one run trained twice
* **unfinished**: sweeps and answers that the second command did not finish
* **different**: cubes and answers that differ from those of an undisturbed command, and damaged content that was used
* **unexplained**: commands that ended with a traceback, or without the sentence that explains their end
"""
LOAD_HEAD = """## Large sweeps

Each measurement runs in a process of its own, and memory is the peak of that process, Python and its libraries
included. The goals are for an idle machine, so they are compared with processor time. Time and memory of a fit grow
with the square of the number of settings of one network and data set, 400 here.
"""
LONG_HEAD = """## Bad input, numerics and intervals

`EFFBATCH_TORTURE=1` runs the other tests of `tests/reliability` with 2,000 examples of each kind of random input and at
least 1,000 draws of each interval. Coverage must lie between 93 and 97 %. A few intervals, named in `test_coverage.py`,
must reach at least 92 %; their upper limit is 98 %, 99 % or none. [When it fails](when-it-fails.md) lists the cases in
which some intervals are known to cover less.
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
    yield f"{tried:,} faults were tried in all, {survived:,} of them in rows without a failure."
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
        f"`make torture` wrote this page on {datetime.now(UTC):%Y-%m-%d} in {seconds / 60:.0f} minutes, with random "
        f"seed {SEED}. Device: {facts['device']}, {os.cpu_count()} cores, shared with other work. Versions: "
        f"{versions}, Python {facts['python']}; commit {commit}."
    )


def _commit() -> str:
    """What is tried, before it can change."""
    asked = ["git", "describe", "--always", "--dirty"]
    return subprocess.run(asked, capture_output=True, text=True, cwd=PAGE.parent).stdout.strip() or "unknown"


def _row(tally: Tally) -> list[object]:
    counts = [tally.tried, tally.lost, tally.twice, tally.unfinished, tally.different, tally.unexplained]
    seen = ", ".join(f"{times:,} × {what}" for what, times in sorted(tally.struck.items()))
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
