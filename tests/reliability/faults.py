"""Every fault that is tried on sweeps and on answers, and how often: in `make test`, and in `make torture`."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import asking
import clusters
import company
import damage
import disks
import kills
import signals
from tally import Tally

ALL = 1 << 20  # positions of a file: more than there are


@dataclass(frozen=True)
class Fault:
    """`attempt` (folder, how often, random numbers) -> Tally; `needs` says what this machine lacks for it."""

    attempt: Callable[[Path, int, random.Random], Tally]
    short: int
    long: int
    needs: str = ""

    @property
    def name(self) -> str:
        return f"{self.attempt.__module__}.{self.attempt.__name__}"


_MOUNT = "" if disks.may_mount() else "root, to mount a small disk"
_DASK = "" if find_spec("distributed") else "Dask: pip install 'effbatch[cluster]'"

FAULTS = [
    Fault(kills.at_random_moments, 4, 110),
    Fault(kills.at_every_durable_step, 2, ALL),
    Fault(kills.while_a_file_is_written, 1, 20),
    Fault(signals.one_ctrl_c, 1, 5),
    Fault(signals.one_sigterm, 1, 5),
    Fault(signals.two_ctrl_c, 1, 5),
    Fault(signals.at_random_moments, 0, 20),
    Fault(disks.full, 1, 10, _MOUNT),
    Fault(disks.files_too_large, 1, 10),
    Fault(disks.read_only, 1, 4, _MOUNT),
    Fault(company.two_runs, 1, 5),
    Fault(company.two_at_once, 1, 8),
    Fault(company.clock_jumps, 1, 5),
    Fault(clusters.worker_killed, 0, 3),  # short: tests/sweep
    Fault(clusters.driver_killed, 0, 2),
    Fault(clusters.scheduler_lost, 0, 2, _DASK),
    Fault(damage.unit_files, 200, ALL),
    Fault(damage.units_trained_again, 1, 10),
    Fault(damage.json_files, 200, ALL),
    Fault(damage.cube_file, 50, 2000),
    Fault(damage.refused, 1, 1),
    Fault(asking.killed_at_random_moments, 2, 40),
    Fault(asking.killed_at_every_durable_step, 2, ALL),
    Fault(asking.disk_full, 2, ALL, _MOUNT),
    Fault(asking.ctrl_c, 1, 10),
    Fault(asking.two_at_once, 1, 5),
]
