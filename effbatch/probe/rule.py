"""Held-out scores of short runs at a few learning rates -> the optimal rate of the full run, with its interval.

Two stages. Runs of T/25 at five rates, factors of four apart, find the neighbourhood; runs of T/3 (or of a length that
the effort decides) at three rates, factors of two apart, find the peak. Each goes on past an end while the best is
there. A short run is the full one in small: a fraction f of the steps, the whole schedule, and, where labels stay and
may be memorised, the same fraction of the examples, others for every seed, so as many passes over them. Its score is
the held-out cross-entropy at the best temperature (`engine.evaluation`): smoother than accuracy, blind to the
confidence of networks that memorise, and at any temperature linear in the labels, so that noisy labels rank rates as
clean ones do.

Short runs want higher rates than long ones. With m = log2 of the optimal rate of the full run, a stage sees its peak at

    x_f = m − p log2 f + noise         p = 0.4 (1 − λ²) ± (0.22 + 0.2 (1 − λ²)),  λ = 1/(1 + α)

and least squares over both stages, with that prior for p, give m and its standard deviation. Derived: where the noise
of the labels sets the optimal rate and what is unlearned falls as (ηt)^−s, η* ∝ t^(−s/(1+s)), the noisy quadratic model
(Zhang et al. 2019, arXiv 1907.04164); without label noise nothing pulls the rate down, p = 0. Only observed: s = 2/3,
that 1 − λ² joins the two, and the size of the noise (docs/notes/probe.md: networks and recipes it was tuned on, and
its errors on others). Where labels stay, memorising sets the rate, the more the more passes there are, and all is
observed:

    p = 0.14 (1 − λ²) log2(passes/8f) ± 0.3

Where held-out labels are noisy, scores tell little: the first stage begins with seven rates, the last one with two that
are two octaves apart, of T/2 steps, and m and its deviation are those of its posterior, by the likelihood of every
stage (`probe.bump`) and the prior for p. To the deviation comes what shorter runs do not see in networks that
normalise, and where the first stage hardly bends.

The stages are successive halving (Jamieson & Talwalkar 2016, arXiv 1502.07943) with the shift of
the optimum put in.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import exp, hypot, inf, log, log2, sqrt
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from effbatch.audit.proportions import wilson
from effbatch.core.estimate import Estimate
from effbatch.probe.bump import NORMAL, WIDTH, WIDTH_SPREAD, likelihood
from effbatch.probe.effort import FARTHEST, Plan
from effbatch.probe.stages import COARSE, Floats, Scored, Stage, Train, has_learned, stage_of
from effbatch.theory.detection import accuracy as forced_choice
from effbatch.theory.detection import d_prime

LEVEL, NORMAL_90 = 0.9, 1.645  # of the intervals, and their half-width in standard deviations
LONGER = 2.5  # times as long is a second scan, where the first learned nothing
WIDE_AGAIN = 2  # rates to either side of the start, where runs look everywhere once more
SHIFT = 0.4  # p at large α
SHIFT_NOISE = (0.22, 0.2)  # its standard deviation without label noise, and what comes to it at large α
STAYING = 0.14  # where labels stay, p grows by this for every doubling of the passes and halving of f, at large α
FORGIVEN = 8  # passes before that
STAYING_NOISE = 0.3  # standard deviation of p there
NORMALISING = 1.1  # octaves of deviation more in networks that normalise, where labels stay: a second hump
GROWTH = (0.71, 0.17)  # a, b: ln d′ grows by a/d′ − b, never less than 0, for each factor of three in steps
GOES_ON = 0.47  # or by this share of what it grew from the first stage to the last; between both lies what is said
AVERAGING = 0.5  # at most d′ ∝ √n, as when it is only noise that has to average out
GROWTH_NOISE = 0.1  # standard deviation for a factor of three, where both agree
LEAST_D = 0.02  # below that nothing is learned yet
NEARLY = 0.8  # of what the best rate of the first stage learns
GRID, BEYOND = 0.05, 6  # octaves between the optima that are weighed, and beyond the rates tried
POINT = 0.01  # of accuracy on clean labels: what a rate on the plateau may cost
WIDEST, NARROWEST = 1.0, 0.25  # octaves that a plateau is told beyond the peak, to either side


@dataclass(frozen=True, kw_only=True)
class Probe:
    """What short runs say of the full one.

    learning_rate  optimal rate, 90 % interval, n = runs; no value where no rate learns, and the reason
    plateau        a rate between costs about one point of accuracy at most, on average, the error of the rate included
    accuracy       on held-out examples with labels as given, after all steps at that rate, 0 to 1; 90 % interval
    growth         power of the number of steps by which d′ of clean labels goes on growing, 0 to ½; None: not seen
    stop_at        step after which that accuracy falls by more than its noise; None where it does not
    full_runs      cost: runs of all steps, one seed; seconds  as measured
    kind           of runs: "short", or "whole" ones, see `probe.whole`
    """

    learning_rate: Estimate
    plateau: tuple[float, float] | None
    accuracy: Estimate
    stop_at: int | None
    stages: tuple[Stage, ...]
    full_runs: float
    seconds: float = 0.0
    growth: Estimate | None = None
    kind: Literal["short", "whole"] = "short"


@dataclass(frozen=True)
class Shift:
    """Runs of a fraction f ask for a rate p L + bend L² octaves above that of the full run, L = log2(1/f).

    noise  standard deviation of p
    """

    p: float
    noise: float
    bend: float = 0.0

    def by(self, fraction: float) -> float:
        """The octaves expected."""
        return self.p * log2(1 / fraction) + self.bend * log2(fraction) ** 2


@dataclass(frozen=True, kw_only=True)
class FullRun:
    """What is known of the run whose optimal rate is looked for.

    steps       of the optimiser
    alpha       noisy labels per clean one in what is trained on; None where it is not known
    passes      over labels that stay: shorter runs see fewer of them, as often; None: noise is fresh at every visit
    normalises  whether layers of the network do, such as BatchNorm
    """

    steps: int
    alpha: float | None
    passes: float | None = None
    normalises: bool = False

    @property
    def shift(self) -> Shift:
        """What is expected of it; between none and all of it where α is not known."""
        if self.alpha is None:
            return Shift(SHIFT / 2, SHIFT / 2 + sum(SHIFT_NOISE))
        noisy = 1 - (1 + self.alpha) ** -2
        if self.passes is None:
            return Shift(SHIFT * noisy, SHIFT_NOISE[0] + SHIFT_NOISE[1] * noisy)
        return Shift(STAYING * noisy * log2(self.passes / FORGIVEN), STAYING_NOISE, STAYING * noisy)


def find(train: Train, plan: Plan, full: FullRun, scored: Scored, *, start: float, seed: int = 0) -> Probe:
    """The optimal rate of a full run, from `train(rates, fraction, seeds)`; `start` is a first guess of it.

    The stages walk from there, with seeds from `seed` on.
    """
    stages = _looked(train, plan, full, scored, round(log2(start)), seed)
    last, told = stages[-1], [stage for stage in stages if has_learned(stage, scored)]
    cost = sum(len(stage.learning_rates) * len(stage.seeds) * stage.fraction for stage in stages)
    n = sum(stage.loss.size for stage in stages)
    if not has_learned(last, scored):
        return silent(stages, scored.n, n=n, full_runs=cost)
    m, deviation = _where(told, full, scored)
    accuracy, growth = accuracy_at_end(told, scored.num_classes, scored.n, scored.alpha)
    flat = 0.0 if scored.entropy is None else _flat(told[0], scored.entropy)
    low, high = (2.0 ** (m + side * NORMAL_90 * hypot(deviation, flat)) for side in (-1, 1))
    bend = _bend(last, by_loss=bool(full.alpha and full.passes))
    return Probe(
        learning_rate=Estimate(2.0**m, low, high, n=n, level=LEVEL),
        plateau=plateau_of(bend, m, deviation, POINT / (1 + scored.alpha)),
        accuracy=accuracy,
        growth=growth,
        stop_at=end_of(last, full.steps, scored.n),
        stages=tuple(stages),
        full_runs=cost,
    )


def _looked(train: Train, plan: Plan, full: FullRun, scored: Scored, middle: int, seed: int) -> list[Stage]:
    """Stages from an octave in the middle on: the scan, a second one if that learned nothing, and the last one."""
    shape = plan.shape

    def coarse(fraction: float, wide: int, of: int) -> Stage:
        octaves = [middle + COARSE * k for k in range(-wide, wide + 1)]
        return stage_of(train, fraction, full.steps, octaves, [of], FARTHEST)

    stages = [coarse(plan.first, shape.wide, seed)]
    if not has_learned(stages[0], scored) and plan.first < plan.last / 2:  # too short to learn: longer, and fewer
        stages.append(coarse(min(LONGER * plan.first, plan.last / 2), WIDE_AGAIN, seed))
    if scored.entropy is None and not has_learned(stages[-1], scored):  # the longest runs have to look everywhere
        return [*stages, coarse(plan.last, WIDE_AGAIN, seed + 1)]
    expected = _where(stages[-1:], full, scored)[0] + full.shift.by(plan.last)  # a likelihood knows how little it says
    below = round(expected - shape.spacing * (shape.near - 1) / 2)
    octaves = [below + shape.spacing * k for k in range(shape.near)]
    seeds = range(seed + 1, seed + 1 + plan.seeds)
    return [*stages, stage_of(train, plan.last, full.steps, octaves, seeds, shape.farther)]


def _where(stages: Sequence[Stage], full: FullRun, scored: Scored) -> tuple[float, float]:
    """m and its standard deviation, by the peaks of the stages or, where labels are noisy, by their likelihoods."""
    if scored.entropy is None:
        return optimum(stages, full.shift)
    m, deviation = posterior(stages, full.shift, scored.entropy, scored.n)
    return m, hypot(deviation, NORMALISING * (full.normalises and full.passes is not None))


def silent(
    stages: Sequence[Stage], held_out: int, *, n: int, full_runs: float, kind: Literal["short", "whole"] = "short"
) -> Probe:
    """What n runs say of which none learned anything."""
    steps = stages[-1].steps
    why = f"no run of {steps} steps beat chance on n = {held_out:,} held-out examples: give more steps"
    no = Estimate(None, n=n, reason=why)
    return Probe(
        learning_rate=no,
        plateau=None,
        accuracy=no,
        stop_at=None,
        stages=tuple(stages),
        full_runs=full_runs,
        kind=kind,
    )


def optimum(stages: Sequence[Stage], shift: Shift) -> tuple[float, float]:
    """m and its standard deviation: least squares over the stages, with the prior for p."""
    halvings = [-log2(stage.fraction) for stage in stages]
    rows = [(1.0, L, stage.peak - shift.bend * L**2, stage.noise) for L, stage in zip(halvings, stages, strict=True)]
    rows.append((0.0, 1.0, shift.p, shift.noise))
    design = np.array([(a / noise, b / noise) for a, b, _, noise in rows])
    seen = np.array([x / noise for *_, x, noise in rows])
    covariance = np.linalg.inv(design.T @ design)
    return float((covariance @ design.T @ seen)[0]), float(sqrt(covariance[0, 0]))


def posterior(stages: Sequence[Stage], shift: Shift, entropy: float, held_out: int) -> tuple[float, float]:
    """m and its standard deviation where held-out labels are noisy, by the likelihood of every stage (`probe.bump`).

    The prior of p is that of `shift`, of m uniform from some octaves below the rates tried to some above.
    """
    tried = np.log2([rate for stage in stages for rate in stage.learning_rates])
    grid = np.arange(tried.min() - BEYOND, tried.max() + BEYOND, GRID)
    seen = [
        likelihood(
            np.log2(stage.learning_rates),
            np.clip(entropy - stage.loss.mean(1), 0, None),
            held_out=held_out,
            seeds=len(stage.seeds),
            grid=grid,
        )
        for stage in stages
    ]
    total = np.full(len(grid), -np.inf)
    for z in NORMAL:
        by = [replace(shift, p=shift.p + z * shift.noise).by(stage.fraction) for stage in stages]
        of_p = sum(np.interp(grid + octaves, grid, one) for octaves, one in zip(by, seen, strict=True))
        total = np.logaddexp(total, of_p - z**2 / 2)
    weights = np.exp(total - total.max())
    weights /= weights.sum()
    m = float(weights @ grid)
    return m, float(sqrt(weights @ (grid - m) ** 2))


def _flat(stage: Stage, entropy: float) -> float:
    """Standard deviation of an optimum that may lie anywhere between rates that learn nearly the most, in octaves.

    If they reach farther than those of a bump may: (reach² − usual²)/12 is what a uniform law adds to its variance.
    """
    octaves = np.log2(stage.learning_rates)
    grid = np.arange(octaves[0], octaves[-1] + GRID, GRID)
    gain = np.interp(grid, octaves, np.clip(entropy - stage.loss.mean(1), 0, None))
    near = grid[gain >= NEARLY * gain.max()]
    usual = 2 * WIDTH * exp(WIDTH_SPREAD) * sqrt(-2 * log(NEARLY))
    return sqrt(max(0.0, (near[-1] - near[0]) ** 2 - usual**2) / 12)


def _bend(stage: Stage, *, by_loss: bool) -> float:
    """By how much the best rate and its neighbours say that accuracy falls at one octave from its peak.

    by_loss  where wrong labels stay, the loss at the best temperature, which bends as accuracy does there, is read in
             its place: few and noisy held-out labels tell more of it
    """
    at = int(np.clip(stage.best, 1, len(stage.learning_rates) - 2))
    below, top, above = (-stage.loss if by_loss else stage.accuracy).mean(1)[at - 1 : at + 2]
    return float((2 * top - below - above) / (2 * stage.spacing**2))


def plateau_of(bend: float, m: float, deviation: float, point: float) -> tuple[float, float]:
    """Rates u octaves from 2^m that cost less than a point on average: bend (u² + deviation²), as m may be off."""
    seen = point / bend if bend > 0 else inf
    wide = sqrt(float(np.clip(seen - deviation**2, NARROWEST**2, WIDEST**2)))
    return 2.0 ** (m - wide), 2.0 ** (m + wide)


def accuracy_at_end(
    stages: Sequence[Stage], num_classes: int, held_out: int, alpha: float
) -> tuple[Estimate, Estimate]:
    """Accuracy at the end of the full run, d′ growing on from the last stage, and by which power of the steps it does.

    d′ is that of accuracy a on clean labels, of which held-out labels with α show λ a + (1 − λ)/K, λ = 1/(1 + α).
    """
    lowest, highest = 1 / num_classes + 0.5 / held_out, 1 - 0.5 / held_out
    signal, by_chance = 1 / (1 + alpha), alpha / (1 + alpha) / num_classes

    def d_of(scored: ArrayLike, lowest: float = lowest, highest: float = highest) -> Floats:
        return np.maximum(0, d_prime(np.clip((np.asarray(scored) - by_chance) / signal, lowest, highest), num_classes))

    first, last = (float(stage.accuracy.mean(1)[stage.best]) for stage in (stages[0], stages[-1]))
    d, ends = float(d_of(last)), d_of(wilson(last * held_out, held_out, LEVEL), 1 / num_classes, 1)
    growth, noise = _growth(float(d_of(first)), d, log(stages[-1].fraction / stages[0].fraction))
    to_go, side = log(1 / stages[-1].fraction), np.array([0, -1, 1])
    with np.errstate(divide="ignore"):  # an end may be chance, d′ = 0, or no error at all, d′ = ∞
        sampled = np.log(np.array([d, *ends]) / d)
    grown = growth * to_go + side * np.hypot(sampled, NORMAL_90 * noise * to_go * side)
    value, low, high = (by_chance + signal * forced_choice(d * np.exp(grown), num_classes)).tolist()
    least, most = (float(np.clip(growth + side * NORMAL_90 * noise, 0, AVERAGING)) for side in (-1, 1))
    return (
        Estimate(value, low, high, n=held_out, level=LEVEL),
        Estimate(growth, least, most, n=held_out, level=LEVEL),
    )


def _growth(early: float, late: float, between: float) -> tuple[float, float]:
    """By how much ln d′ grows on for a factor e in steps, and its standard deviation, from d′ at two stages.

    Two guesses, each wrong where the other is not: where noise is what there is to learn through, d′ grows the more
    slowly the larger it is, whatever it did before; where the task is hard, it goes on growing as it did. What they
    differ by is a part of what is not known.
    """
    usual = max(0.0, min(AVERAGING, (GROWTH[0] / late - GROWTH[1]) / log(3))) if late > 0 else AVERAGING
    if between <= 0:
        return usual, 2 * GROWTH_NOISE / log(3)
    as_before = max(0.0, min(AVERAGING, GOES_ON * log(late / max(early, LEAST_D)) / between))
    return (usual + as_before) / 2, sqrt((GROWTH_NOISE / log(3)) ** 2 + ((usual - as_before) / 2) ** 2)


def end_of(stage: Stage, steps: int, held_out: int) -> int | None:
    """The step of the full run after which accuracy falls by more than two standard errors at the best rate."""
    along = stage.history[stage.best].mean(0)
    best = int(along.argmax())
    error = sqrt(2 * along[best] * (1 - along[best]) / (held_out * len(stage.seeds)))
    if along[best] - along[-1] <= 2 * error:
        return None
    return max(1, round(steps * (best + 1) / len(along)))
