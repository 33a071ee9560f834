"""Two runs in one folder, and a clock that jumps."""

from __future__ import annotations

import os
import random
import time
from collections import Counter
from functools import partial
from pathlib import Path

from sweeps import LONG, SHORT, Sweep, ended, wait_for
from tally import Tally, reference

YEARS = 10 * 365 * 86400


def two_runs(home: Path, count: int, rng: random.Random) -> Tally:
    """A second run in the folder of a first one: refused with the first one's process number."""
    tally = Tally("a second run in the same folder")
    _, cube = reference(home / "whole", steps=LONG)
    for number in range(count):
        first, second = _pair(home / f"pair{number}", LONG)
        child = first.start()
        wait_for(lambda first=first: first.events())
        tally.expect(second, 1, second.run(), f"in use by the process {child.pid}")
        tally.tried += 1
        if ended(child):
            tally.unexplained += 1
        tally.settle(first, cube)
    return tally


def two_at_once(home: Path, count: int, rng: random.Random) -> Tally:
    """Two runs that begin in a new folder within some hundredths of a second: one is refused, or comes after."""
    tally = Tally("two runs started together in a new folder")
    _, cube = reference(home / "whole")
    for number in range(count):
        first, second = _pair(home / f"pair{number}", SHORT)
        children = [(first, first.start())]
        time.sleep(rng.uniform(0, 0.05))
        children.append((second, second.start()))
        codes = [ended(child) for _, child in children]
        tally.tried += 1
        tally.struck["one run was refused" if any(codes) else "one after the other"] += 1
        for (sweep, _), code in zip(children, codes, strict=True):
            tally.expect(sweep, code, code, *(["in use by the process"] if code else []))
        tally.unfinished += all(codes)
        trained = Counter(key for sweep in (first, second) for _, what, key in sweep.events() if what == "training")
        tally.twice += sum(times - 1 for times in trained.values())
        tally.settle(first if not codes[0] else second, cube)
    return tally


def _pair(home: Path, steps: int) -> tuple[Sweep, Sweep]:
    """Two sweeps with one folder; each has its own journal and its own words."""
    first, second = Sweep(home / "first", steps), Sweep(home / "second", steps)
    first.out.mkdir(parents=True)
    second.home.mkdir()
    second.out.symlink_to(first.out)
    return first, second


def clock_jumps(home: Path, count: int, rng: random.Random) -> Tally:
    """Every look at the clock is years off, and so are the times of all files, while runs are stopped and go on."""
    tally = Tally("the clock jumps by up to ten years, back and forth")
    _, cube = reference(home / "whole")
    for number in range(count):
        sweep = Sweep(home / f"sweep{number}")
        confused = partial(_confuse, seed=rng.randrange(2**32))
        child = sweep.start(confused)
        wait_for(lambda sweep=sweep: sweep.acknowledged())
        child.kill()
        ended(child)
        for path in [sweep.out, *sweep.out.rglob("*")]:
            os.utime(path, (time.time() + rng.uniform(-YEARS, YEARS),) * 2)
        tally.tried += 1
        tally.settle(sweep, cube, confused)
    return tally


def _confuse(home: Path, *, seed: int) -> None:
    """Make the clock of this process jump with every look at it."""
    from datetime import datetime

    from effbatch.sweep import provenance

    rng, clock = random.Random(seed), time.time

    class Jumping(datetime):
        @classmethod
        def now(cls, tz=None):
            return datetime.fromtimestamp(time.time(), tz)

    time.time = lambda: clock() + rng.uniform(-YEARS, YEARS)
    provenance.datetime = Jumping  # type: ignore[misc, assignment]
