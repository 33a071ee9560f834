"""SIGTERM and Ctrl-C: one lets the unit in training end and says so, two stop at once."""

from __future__ import annotations

import os
import random
import signal
import time
from pathlib import Path

from sweeps import LONG, Sweep, ended, wait_for
from tally import Tally, reference

FINISHING, STOPPED = "stopping when the unit in training is finished", "stopped; finished units are kept"


def one_ctrl_c(home: Path, count: int, rng: random.Random) -> Tally:
    return _one(Tally("one Ctrl-C"), signal.SIGINT, home, count, rng)


def one_sigterm(home: Path, count: int, rng: random.Random) -> Tally:
    return _one(Tally("SIGTERM"), signal.SIGTERM, home, count, rng)


def _one(tally: Tally, number: signal.Signals, home: Path, count: int, rng: random.Random) -> Tally:
    _, cube = reference(home / "whole", steps=LONG)
    for i in range(count):
        sweep = Sweep(home / f"sweep{i}", LONG)
        child = sweep.start()
        wait_for(lambda sweep=sweep: sweep.events())
        time.sleep(rng.uniform(0, 0.1))
        os.kill(child.pid, number)
        tally.expect(sweep, 1, ended(child), FINISHING, STOPPED)
        _, last, _ = sweep.events()[-1]
        tally.unexplained += last != "committed"
        tally.tried += 1
        tally.struck["the unit finished first"] += last == "committed"
        tally.settle(sweep, cube)
    return tally


def two_ctrl_c(home: Path, count: int, rng: random.Random) -> Tally:
    tally = Tally("two Ctrl-C")
    steps = 20 * LONG  # a unit that would take long
    for i in range(count):
        sweep = Sweep(home / f"sweep{i}", steps)
        child = sweep.start()
        wait_for(lambda sweep=sweep: sweep.events())
        os.kill(child.pid, signal.SIGINT)
        wait_for(lambda sweep=sweep: FINISHING in sweep.said)
        os.kill(child.pid, signal.SIGINT)
        tally.expect(sweep, 1, ended(child), FINISHING, STOPPED)
        _, last, _ = sweep.events()[-1]
        tally.unexplained += last != "training"
        tally.tried += 1
        tally.struck["stopped within a unit"] += last == "training"
        tally.lost += sweep.lost()
        tally.twice += sweep.twice()
    return tally


def at_random_moments(home: Path, count: int, rng: random.Random) -> Tally:
    """Either signal at any moment of a run's life, while it loads and assembles too."""
    tally = Tally("SIGTERM or Ctrl-C at a random moment")
    _, cube = reference(home / "whole")
    life = Sweep(home / "timed").seconds()
    for i in range(count):
        sweep = Sweep(home / f"sweep{i}")
        child = sweep.start()
        wait_for(lambda sweep=sweep: (sweep.home / "said").exists())
        time.sleep(rng.uniform(0, life))
        if child.is_alive():
            os.kill(child.pid, rng.choice([signal.SIGINT, signal.SIGTERM]))
            tally.tried += 1
        code = ended(child)
        tally.struck[{0: "was done", 1: "stopped", -signal.SIGTERM: "ended by SIGTERM"}.get(code, f"exit {code}")] += 1
        tally.settle(sweep, cube)
    return tally
