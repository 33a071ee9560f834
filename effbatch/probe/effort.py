"""An effort, in full runs -> which runs a probe makes: how many stages, how long, at how many rates and seeds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from effbatch.core.errors import InputError
from effbatch.probe.stages import COARSE, FINE

FIRST = 1 / 25  # fraction of the full run
FEWEST_STEPS = 20  # of a run that says something: BatchNorm's running statistics have then seen the data
UNASKED, UNASKED_RATES = 1.5, 2.8  # full runs and rates: shorter last ones where the first take more than half of them
LEAST_RATES = 3  # of a stage whose best rate lies inside
WHOLE = 10.0  # full runs, from which on no run is short (`probe.whole`)
FEWEST_WHOLE, OF_A_HUMP = 9, 2  # runs are then made, and so many more beside another hump
FARTHEST = 6  # rates that the first stage goes on past its ends


@dataclass(frozen=True, kw_only=True)
class Shape:
    """What the stages look like: rates to either side of the start in the first one, and the last one's runs.

    fraction  of the full run, of the last stage, where no effort is asked for
    near      rates that the last stage begins with; of two, the best lies at an end: they always go on by one
    spacing   octaves between them
    walked    rates that it goes on by beyond three, on average
    extra     runs of the first stage beyond those it begins with, on average; with those where it learned nothing
    farther   rates that the last stage may go on by past its ends
    """

    wide: int
    fraction: float
    near: int
    spacing: int
    walked: float
    extra: float
    farther: int


# held-out labels are clean: a parabola through three rates finds the peak, and others tell nothing of it
CLEAN = Shape(wide=2, fraction=1 / 3, near=3, spacing=FINE, walked=0.9, extra=1.1, farther=2)
# or noisy: rates far apart tell more of it through the noise (`probe.bump`)
NOISY = Shape(wide=3, fraction=1 / 2, near=2, spacing=COARSE, walked=0.3, extra=0.0, farther=4)


@dataclass(frozen=True)
class Plan:
    """Fractions of the first and the last stage, the seeds of the last one, and what they look like.

    whole  so many runs of the last fraction that all look alike, in place of both stages (`probe.whole`); 0: two stages
    """

    first: float
    last: float
    seeds: int
    shape: Shape = CLEAN
    whole: int = 0

    def runs(self, extra: float, rates: float) -> tuple[tuple[float, float], ...]:
        """Fraction and number of runs of each stage, with so many more in the first and so many rates in the last."""
        return (self.first, 2 * self.shape.wide + 1 + extra), (self.last, rates * self.seeds)

    @property
    def usual_runs(self) -> tuple[tuple[float, float], ...]:
        """Those of a mean probe."""
        if self.whole:
            return ((self.last, self.whole),)
        return self.runs(self.shape.extra, LEAST_RATES + self.shape.walked)

    @property
    def least_runs(self) -> tuple[tuple[float, float], ...]:
        """Those where no stage goes on, and of whole runs those where one rate is better than all others."""
        if self.whole:
            return ((self.last, FEWEST_WHOLE),)
        return self.runs(0, LEAST_RATES)

    @property
    def most_runs(self) -> tuple[tuple[float, float], ...]:
        """Those where both stages go on past an end as far as they may, and the first one learns something."""
        if self.whole:
            return ((self.last, max(self.whole, FEWEST_WHOLE + OF_A_HUMP + FARTHEST)),)
        return self.runs(FARTHEST, self.shape.near + self.shape.farther)


def planned(
    steps: int,
    effort: float | None = None,
    *,
    least: float = 0.0,
    shape: Shape = CLEAN,
    scoring: tuple[float, float] = (0.0, 0.0),
    whole: float = 1.0,
) -> Plan:
    """The stages of a probe that costs `effort` full runs of so many steps on average; none is shorter than `least`.

    effort   None: what runs of the usual fraction take, as `usual_runs` counts
    scoring  what it costs to score a run of the first and of the last stage, in full runs
    whole    fraction of the full run that makes all passes over all examples that are not held out
    Raises InputError for an effort that is not above 0.
    """
    first, rates = min(1.0, max(FIRST, FEWEST_STEPS / steps, least)), LEAST_RATES + shape.walked
    scans, usual = 2 * shape.wide + 1 + shape.extra, max(shape.fraction, min(1.0, 2 * first))
    if effort is None:
        left = UNASKED - scans * first
        enough = left > UNASKED_RATES * usual / 2
        return Plan(first, usual if enough else min(usual, max(2 * first, left / UNASKED_RATES)), 1, shape)
    if not (np.isfinite(effort) and effort > 0):
        raise InputError(f"the effort needs a number of full runs above 0, got {effort}: 1.6 is usual")
    if effort >= WHOLE:
        return Plan(whole, whole, 1, NOISY, max(FEWEST_WHOLE, int(effort / (whole + scoring[1]))))
    left = effort - scans * (first + scoring[0])
    seeds = max(1, round(left / (rates * (usual + scoring[1]))))
    last = left / (rates * seeds) - scoring[1]
    return Plan(first, min(1.0, max(last, 2 * first)), seeds, shape)  # a stage tells more than one half as long
