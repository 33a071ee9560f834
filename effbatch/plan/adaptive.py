"""Scores of the learning rates run so far -> the rates to run next: past an edge, then around the best.

A sweep starts on the rates start·factor^i. Where the best of them in a setting (a grid point without learning rate and
seed) is the first or last that it ran, the next two in that direction follow. Where it lies inside, the gaps on both
sides of it are halved, `refine` times. So the best rate ends between neighbours a factor factor^(1/2^refine) away, for
few of the runs that a full grid of that spacing takes. What runs next is decided by finished runs alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from effbatch.plan.cube import Outcome, score

MAX_OCTAVES = 10  # how far beyond either end of its starting rates a grid is extended
STEPS_BEYOND = 2  # rates added past an edge at once


@dataclass(frozen=True)
class Ladder:
    """The rates that an adaptive grid may take, η_k = start·factor^(k/2^refine); with the whole numbers k, its rungs.

    The sweep starts on k = 0 … last, in steps of 2^refine.
    """

    start: float
    factor: float
    refine: int
    last: int

    @property
    def spacing(self) -> int:
        """Rungs between two starting rates."""
        return 2**self.refine

    @property
    def between_ends(self) -> tuple[float, ...]:
        """All rates from the lowest to the highest starting rate."""
        return tuple(self.rate(rung) for rung in range(self.last + 1))

    @property
    def allowed(self) -> tuple[float, ...]:
        """All rates that the grid may come to run, those past its ends included."""
        beyond = math.ceil(MAX_OCTAVES / math.log2(self.factor)) * self.spacing
        return tuple(self.rate(rung) for rung in range(-beyond, self.last + beyond + 1) if self._allowed(rung))

    def rate(self, rung: int) -> float:
        """Learning rate of a rung."""
        return self.start * self.factor ** (rung / self.spacing)

    def rung(self, rate: float) -> int:
        """Rung of a learning rate of this ladder."""
        return round(math.log(rate / self.start, self.factor) * self.spacing)

    def next_rungs(self, scores: Mapping[int, float]) -> list[int]:
        """Rungs to run next in a setting, from the mean score of every rung that it ran; empty where it is done."""
        ran, best = sorted(scores), best_rung(scores)
        beyond = [(i + 1) * self.spacing for i in range(STEPS_BEYOND)]
        wanted = []
        if best == ran[0]:
            wanted += [best - distance for distance in beyond]
        if best == ran[-1]:
            wanted += [best + distance for distance in beyond]
        if not wanted:
            below, above = (ran[ran.index(best) + side] for side in (-1, 1))
            wanted = [(best + beside) // 2 for beside in (below, above) if abs(best - beside) > 1]
        return sorted(filter(self._allowed, wanted))

    def _allowed(self, rung: int) -> bool:
        beyond = max(0 - rung, rung - self.last) / self.spacing * math.log2(self.factor)
        return beyond <= MAX_OCTAVES + 1e-9


def best_rung(scores: Mapping[int, float]) -> int:
    """The rung with the highest score; the lowest of equal ones, since rates that all diverge are too high."""
    return max(scores, key=lambda rung: (scores[rung], -rung))


def next_rates(ladder: Ladder, cube: xr.Dataset) -> Callable[[Mapping[str, Any], float], tuple[float, ...]]:
    """(point of the outer grid keys, alpha) -> learning rates to run next there, from the cube of all that has run."""
    curves = _curves(ladder, cube)

    def rates(point: Mapping[str, Any], alpha: float) -> tuple[float, ...]:
        scores = _ran(curves.sel({**point, "alpha": alpha}))
        return tuple(ladder.rate(rung) for rung in ladder.next_rungs(scores))

    return rates


def rates_run(ladder: Ladder, cube: xr.Dataset) -> Callable[[Mapping[str, Any], float], tuple[float, ...]]:
    """(point of the outer grid keys, alpha) -> learning rates that ran there, or those to start on where none did."""
    curves = _curves(ladder, cube)
    start = tuple(ladder.rate(rung) for rung in range(0, ladder.last + 1, ladder.spacing))

    def rates(point: Mapping[str, Any], alpha: float) -> tuple[float, ...]:
        return tuple(ladder.rate(rung) for rung in _ran(curves.sel({**point, "alpha": alpha}))) or start

    return rates


def account(ladder: Ladder, cube: xr.Dataset) -> dict[str, int]:
    """What a finished adaptive sweep took, for the attributes of its cube.

    trained_runs       runs of this sweep
    full_grid_runs     runs of the full grid: in every setting the whole range of rates, at the finest spacing
    settings_at_bound  settings whose best rate is at an edge all the same, MAX_OCTAVES beyond the starting rates
    """
    curves = _curves(ladder, cube)
    dims = [dim for dim in curves.dims if dim != "rung"]
    rows = curves.stack(setting=dims).transpose("setting", "rung")
    settings = [_ran(row) for row in rows]
    rungs = curves["rung"].values
    return {
        "trained_runs": int((cube["outcome"] != int(Outcome.NOT_RUN)).sum()),
        "full_grid_runs": int(np.ptp(rungs) + 1) * len(settings) * cube.sizes["seed"],
        "settings_at_bound": sum(best_rung(scores) in (min(scores), max(scores)) for scores in settings),
    }


def account_in_words(cube: xr.Dataset) -> list[str]:
    """What `account` found, in sentences; none for a fixed grid."""
    if "full_grid_runs" not in cube.attrs:
        return []
    trained, full, at_bound = (int(cube.attrs[k]) for k in ("trained_runs", "full_grid_runs", "settings_at_bound"))
    said = [
        f"The grid of learning rates was adaptive: {trained:,} runs in {int(cube.attrs['rounds'])} rounds, where the "
        f"full grid of the same resolution and range takes {full:,} ({1 - trained / full:.0%} saved)."
    ]
    if at_bound:
        said.append(
            f"In {at_bound} setting{'s' * (at_bound != 1)} the best learning rate is at an edge all the same, "
            f"{MAX_OCTAVES} powers of two beyond the rates that the sweep started on: the grid went no further."
        )
    return said


def _curves(ladder: Ladder, cube: xr.Dataset) -> xr.DataArray:
    """Seed-mean score by setting and rung, NaN where it did not run; a rate that ran without a score is the worst."""
    ran = (cube["outcome"] != int(Outcome.NOT_RUN)).any("seed")
    curves = score(cube).mean("seed").fillna(-math.inf).where(ran)
    rungs = [ladder.rung(rate) for rate in cube["learning_rate"].values]
    curves = curves.rename(learning_rate="rung").assign_coords(rung=rungs)
    return curves.drop_vars(["step", "examples"], errors="ignore")


def _ran(curve: xr.DataArray) -> dict[int, float]:
    """Rung -> score of one setting, of the rungs that it ran."""
    known = curve.dropna("rung")
    return dict(zip(known["rung"].values.tolist(), known.values.tolist(), strict=True))
