"""Whole runs at rates far apart -> the best of them, and every other that held-out labels do not tell from it.

A short run is a full one in small, but where a network memorises labels that are wrong for good, accuracy may have more
than one hump along the rates, and short runs may end highest on another than the full run (docs/notes/probe.md). Where
an answer may cost that much, no run is short: all passes, over all examples that are not held out. One seed tries seven
rates, two octaves apart, going on past an end while the best is there, then both rates halfway from the best to its
neighbours, and from the top of another hump, if that is not told apart from the best. Then every further seed holds
other examples out and tries the rates that are not told apart yet, until one is left or what may be spent is spent.
What decides is accuracy, as it is what is asked for: humps far apart may have the same loss.

Rates are compared by the seeds that both have, each on the same held-out labels, so that what all runs of a seed share
is left out. What is left of accuracy between seeds has the variance σ², taken as a(1 − a)/2n with n held-out labels and
the best accuracy a, as much as six degrees of freedom, beside what is seen. Half of it is that of labels, and falls no
more once all parts of the examples were held out. Only observed, on nine tables: both halves. Rates that are not worse
than the best by more than 1.6 deviations make the interval, which ends half way to the next rate tried on either side
and spans every hump among them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import groupby
from math import log2, sqrt

import numpy as np

from effbatch.core.estimate import Estimate
from effbatch.probe.effort import FARTHEST, Plan
from effbatch.probe.rule import LEVEL, NORMAL_90, POINT, FullRun, Probe, accuracy_at_end, end_of, plateau_of, silent
from effbatch.probe.stages import COARSE, Floats, Runs, Scored, Stage, Train, has_learned, joined, runs_at

SCATTER, KNOWN_AS = 0.5, 6  # of a(1 − a)/n between seeds, and the degrees of freedom that this counts for
OFF = 0.5  # octaves that the best of rates one octave apart may lie from the optimum of its hump


class _Looked:
    """Whole runs so far, by octave and seed: which are best, and which are not told apart from that."""

    def __init__(self, train: Train, plan: Plan, scored: Scored) -> None:
        self.train, self.plan, self.scored = train, plan, scored
        self.runs: dict[tuple[int, int], Runs] = {}

    def look(self, octaves: Sequence[int], seed: int) -> None:
        """Train one seed at these octaves."""
        found = runs_at(self.train, octaves, self.plan.last, [seed])
        for i, octave in enumerate(octaves):
            one = {name: values[i : i + 1] for name, values in vars(found).items()}
            self.runs[octave, seed] = Runs(**one)

    @property
    def octaves(self) -> list[int]:
        """All that were tried."""
        return sorted({octave for octave, _ in self.runs})

    def seeds(self, octave: int) -> list[int]:
        """Those that tried an octave; the first seed tried all."""
        return sorted(seed for tried, seed in self.runs if tried == octave)

    def accuracies(self, octaves: Sequence[int], seeds: Sequence[int]) -> Floats:
        """On held-out labels, (octaves, seeds)."""
        return np.array([[self.runs[octave, seed].accuracy[0, 0] for seed in seeds] for octave in octaves])

    @property
    def best(self) -> int:
        """The octave of highest accuracy, of those that most seeds tried."""
        most = max(len(self.seeds(octave)) for octave in self.octaves)
        known = [octave for octave in self.octaves if len(self.seeds(octave)) == most]
        return max(known, key=lambda octave: self.accuracies([octave], self.seeds(octave)).mean())

    def near(self) -> list[int]:
        """The octaves that are not told apart from the best."""
        best, scatter, near = self.best, self._scatter(), []
        for octave in self.octaves:
            seeds = [seed for seed in self.seeds(octave) if (best, seed) in self.runs]
            here, there = self.accuracies([octave, best], seeds).mean(1)
            shared = (1 / len(seeds) + 1 / min(len(seeds), self.scored.parts)) / 2
            if there - here <= NORMAL_90 * sqrt(2 * scatter * shared):
                near.append(octave)
        return near

    def other_hump(self, seed: int) -> int | None:
        """The best octave of the scan that is a hump of its own, better than its neighbours, and near the best."""
        tried = self.octaves
        a = dict(zip(tried, self.accuracies(tried, [seed])[:, 0], strict=True))
        humps = [
            octave
            for octave in set(self.near()) & set(tried[1:-1])
            if abs(octave - self.best) > COARSE
            and a[octave] >= max(a.get(octave - COARSE, 1), a.get(octave + COARSE, 1))
        ]
        return max(humps, key=a.__getitem__, default=None)

    def _scatter(self) -> float:
        """σ²: variance of accuracy between seeds at one rate, less what all rates of a seed share."""
        seeds = self.seeds(self.best)
        table = self.accuracies([octave for octave in self.octaves if self.seeds(octave) == seeds], seeds)
        left = table - table.mean(0) - table.mean(1, keepdims=True) + table.mean()
        free = (len(table) - 1) * (len(seeds) - 1)
        a = float(table.mean(1).max())
        expected = SCATTER * a * (1 - a) / self.scored.n
        return (KNOWN_AS * expected + float((left**2).sum())) / (KNOWN_AS + free)

    def stage(self, octaves: Sequence[int], seeds: Sequence[int], steps: int) -> Stage:
        """Runs that have all of these octaves and seeds."""
        runs = joined([[self.runs[octave, seed] for seed in seeds] for octave in octaves])
        return Stage(
            fraction=self.plan.last,
            steps=max(1, round(self.plan.last * steps)),
            learning_rates=tuple(2.0**octave for octave in octaves),
            seeds=tuple(seeds),
            spacing=COARSE,
            peak=float(octaves[int(runs.accuracy.mean(1).argmax())]),
            **vars(runs),
        )

    def stages(self, steps: int) -> tuple[Stage, ...]:
        """One for all seeds in a row that tried the same octaves."""
        seeds = sorted({seed for _, seed in self.runs})
        tried = {seed: [octave for octave in self.octaves if (octave, seed) in self.runs] for seed in seeds}
        return tuple(self.stage(octaves, list(same), steps) for octaves, same in groupby(seeds, key=tried.__getitem__))

    def bend(self, octave: int, *, by_loss: bool) -> float:
        """By how much accuracy, or in its place the loss, says that one octave from a rate costs, by its neighbours."""
        octaves, seed = self.octaves, min(seed for _, seed in self.runs)
        at = int(np.clip(octaves.index(octave), 1, len(octaves) - 2))
        below, top, above = octaves[at - 1 : at + 2]
        runs = {one: self.runs[one, seed] for one in (below, top, above)}
        gain = {one: float((-run.loss if by_loss else run.accuracy)[0, 0]) for one, run in runs.items()}
        up, down = (gain[above] - gain[top]) / (above - top), (gain[top] - gain[below]) / (top - below)
        return (down - up) / (above - below)


def find(train: Train, plan: Plan, full: FullRun, scored: Scored, *, start: float, seed: int = 0) -> Probe:
    """The best rate by `plan.whole` whole runs, as `rule.find` has it by short ones."""
    looked = _looked(_Looked(train, plan, scored), round(log2(start)), seed)
    stages, n, best = looked.stages(full.steps), len(looked.runs), looked.best
    at_best = looked.stage([best], looked.seeds(best), full.steps)
    scored = replace(scored, n=scored.n * min(scored.parts, len(at_best.seeds)))
    if not has_learned(at_best, scored):
        return silent(stages, scored.n, n=n, full_runs=n * plan.last, kind="whole")
    near, tried = looked.near(), looked.octaves
    below, above = (tried[0] - COARSE, *tried), (*tried[1:], tried[-1] + COARSE)
    low = (near[0] + below[tried.index(near[0])]) / 2
    high = (near[-1] + above[tried.index(near[-1])]) / 2
    accuracy, growth = accuracy_at_end([at_best], scored.num_classes, scored.n, scored.alpha)
    bend = looked.bend(best, by_loss=scored.entropy is not None)
    return Probe(
        learning_rate=Estimate(2.0**best, 2.0**low, 2.0**high, n=n, level=LEVEL),
        plateau=plateau_of(bend, best, OFF, POINT / (1 + scored.alpha)),
        accuracy=accuracy,
        growth=growth,
        stop_at=end_of(at_best, full.steps, scored.n // len(at_best.seeds)),
        stages=stages,
        full_runs=n * plan.last,
        kind="whole",
    )


def _looked(looked: _Looked, middle: int, seed: int) -> _Looked:
    """The scan from an octave in the middle, the rates halfway from the best, and further seeds as far as they go."""
    whole, wide = looked.plan.whole, looked.plan.shape.wide
    looked.look([middle + COARSE * k for k in range(-wide, wide + 1)], seed)
    for _ in range(FARTHEST):
        beyond = {looked.octaves[0]: -COARSE, looked.octaves[-1]: COARSE}
        if (best := looked.best) not in beyond:
            break
        looked.look([best + beyond[best]], seed)
    looked.look([looked.best - 1, looked.best + 1], seed)
    if (other := looked.other_hump(seed)) is not None:
        looked.look([other - 1, other + 1], seed)
    for further in range(seed + 1, seed + whole):
        near, left = looked.near(), whole - len(looked.runs)
        if len(near) == 1 or left < 2:  # one more run would compare nothing
            break
        near.sort(key=lambda octave: float(looked.accuracies([octave], looked.seeds(octave)).mean()), reverse=True)
        looked.look(sorted(near[:left]), further)
    return looked
