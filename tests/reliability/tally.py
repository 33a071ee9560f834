"""Faults that were tried on commands -> how many were survived; one row of the table in docs/reliability.md."""

from __future__ import annotations

import shutil
from collections import Counter
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import xarray as xr
from sweeps import SHORT, Command, Prepare, Sweep

from effbatch.core.errors import EffbatchError
from effbatch.plan.cube import open_cube


@dataclass
class Tally:
    """What became of sweeps, or of answers, after one kind of fault; all but `tried` must stay 0.

    lost         units whose commit had returned, and which were gone or trained again all the same
    twice        units that one run trained twice
    unfinished   sweeps that the same command did not finish
    different    cubes, or answers, that are not those of the undisturbed command, bit for bit
    unexplained  runs that ended without the sentence that they owe, or with a traceback
    struck       where the fault struck, or what was seen, with counts
    """

    fault: str
    tried: int = 0
    lost: int = 0
    twice: int = 0
    unfinished: int = 0
    different: int = 0
    unexplained: int = 0
    struck: Counter[str] = field(default_factory=Counter)

    @property
    def survived(self) -> bool:
        return self.tried > 0 and not (self.lost + self.twice + self.unfinished + self.different + self.unexplained)

    def expect(self, sweep: Command, code: int, came: int, *sentences: str) -> None:
        """Count a run that ended otherwise than with `code` and these sentences."""
        said = sweep.said
        if came != code or "Traceback" in said or not all(sentence in said for sentence in sentences):
            self.unexplained += 1
            self.struck[f"exit {came}: {said.strip().splitlines()[-1:]}"] += 1

    def settle(self, sweep: Command, truth: Any, prepare: Prepare | None = None) -> None:
        """Give the same command again without a fault, and count what is wrong with the sweep then."""
        lost, code = sweep.lost(), sweep.run(prepare)
        self.lost += max(lost, sweep.lost())
        self.twice += sweep.twice()
        if code:
            self.unfinished += 1
            self.struck[f"exit {code}: {sweep.said.strip().splitlines()[-1:]}"] += 1
            return
        try:
            self.different += not sweep.same(truth)
        except EffbatchError:
            self.unfinished += 1


def kept(count: int, what: str) -> str:
    """ "kept 1 unit", "kept 3 units"."""
    return f"kept {count} {what}{'s' * (count != 1)}"


def reference(home: Path, steps: int = SHORT) -> tuple[Sweep, xr.Dataset]:
    """A sweep at `home` that nothing disturbed, and its cube; it is run once and copied from then on."""
    shutil.copytree(Path(_undisturbed(steps).name, "sweep"), home)
    sweep = Sweep(home, steps)
    return sweep, open_cube(sweep.out).load()


@cache
def _undisturbed(steps: int) -> TemporaryDirectory[str]:
    folder = TemporaryDirectory()
    sweep = Sweep(Path(folder.name, "sweep"), steps)
    if sweep.run():
        raise RuntimeError(sweep.said)
    return folder
