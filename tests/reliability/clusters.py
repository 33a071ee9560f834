"""A killed local worker, a killed driver of such, a lost Dask scheduler."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from sweeps import LONG, Sweep, ended, wait_for
from tally import Tally, kept, reference

SCHEDULER = """
import time
from distributed import LocalCluster

if __name__ == "__main__":
    local = LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address="localhost:0")
    print(local.scheduler_address, flush=True)
    time.sleep(600)
"""


def worker_killed(home: Path, count: int, rng: random.Random) -> Tally:
    """One of two local workers is killed at a random moment of a run that goes on."""
    tally = Tally("one of `--workers 2` killed")
    _, cube = reference(home / "whole", steps=LONG)
    for sweep, driver, workers in _with_workers(home, count, rng):
        if workers:
            os.kill(rng.choice(workers), signal.SIGKILL)
            tally.tried += 1
        tally.expect(sweep, 0, ended(driver))
        tally.settle(sweep, cube)
    return tally


def scheduler_lost(home: Path, count: int, rng: random.Random) -> Tally:
    """The scheduler dies while a run trains there: the run ends with one sentence, and goes on here."""
    tally = Tally("Dask scheduler lost")
    _, cube = reference(home / "whole", steps=LONG)
    (home / "scheduler.py").write_text(SCHEDULER, encoding="utf-8")
    for number in range(count):
        command = [sys.executable, str(home / "scheduler.py")]
        scheduler = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        address = scheduler.stdout.readline().strip()
        sweep = Sweep(home / f"sweep{number}", LONG)
        driver = sweep.start(None, "--scheduler", address)
        wait_for(lambda sweep=sweep: sweep.acknowledged())
        time.sleep(rng.uniform(0, 0.3))
        scheduler.kill()
        scheduler.communicate()
        code = ended(driver)
        tally.tried += 1
        tally.expect(sweep, code, code, *(["finished units are kept"] if code else []))
        tally.struck["was done before" if code == 0 else kept(len(sweep.acknowledged()), "unit")] += 1
        tally.settle(sweep, cube)
    return tally


def driver_killed(home: Path, count: int, rng: random.Random) -> Tally:
    """The command itself is killed while its local workers train: none of them stays behind."""
    tally = Tally("`kill -9` of a run with `--workers 2`")
    _, cube = reference(home / "whole", steps=LONG)
    for sweep, driver, workers in _with_workers(home, count, rng):
        driver.kill()
        tally.tried += ended(driver) == -signal.SIGKILL
        wait_for(lambda workers=workers: not any(map(_alive, workers)))
        tally.struck["no worker left behind"] += 1
        tally.settle(sweep, cube)
    return tally


def _with_workers(home: Path, count: int, rng: random.Random) -> Iterator[tuple[Sweep, subprocess.Popen, list[int]]]:
    """So many runs with two local workers each, at a random moment after the first unit: sweep, driver, workers."""
    for number in range(count):
        sweep = Sweep(home / f"sweep{number}", LONG)
        driver = sweep.start(None, "--workers", "2")
        wait_for(lambda sweep=sweep: sweep.acknowledged())
        time.sleep(rng.uniform(0, 0.3))
        yield sweep, driver, _workers(driver.pid)


def _workers(driver: int | None) -> list[int]:
    """Process numbers of the workers that a driver has started."""
    import psutil

    children = psutil.Process(driver).children(recursive=True)
    return [child.pid for child in children if "spawn_main" in " ".join(child.cmdline())]


def _alive(pid: int) -> bool:
    import psutil

    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
