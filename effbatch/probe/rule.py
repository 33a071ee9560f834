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

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from math import exp, hypot, inf, log, log2, sqrt
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from effbatch.core.errors import InputError
from effbatch.core.estimate import Estimate
from effbatch.probe.bump import NORMAL, WIDTH, WIDTH_SPREAD, likelihood
from effbatch.theory.detection import accuracy as forced_choice
from effbatch.theory.detection import d_prime

Floats = NDArray[np.float64]

LEVEL, NORMAL_90 = 0.9, 1.645  # of the intervals, and their half-width in standard deviations
FIRST = 1 / 25  # fraction of the full run
LONGER = 2.5  # times as long is a second scan, where the first learned nothing
FEWEST_STEPS = 20  # of a run that says something: BatchNorm's running statistics have then seen the data
COARSE, FINE = 2, 1  # octaves between the rates of the first stage, and where the peak is looked for
UNASKED, UNASKED_RATES = 1.5, 2.8  # full runs and rates: shorter last ones where the first take more than half of them
WIDE_AGAIN = 2  # rates to either side of the start, where runs look everywhere once more
LEAST_RATES = 3  # of a stage whose best rate lies inside
WHOLE = 10.0  # full runs, from which on no run is short (`probe.whole`)
FEWEST_WHOLE, OF_A_HUMP = 9, 2  # runs are then made, and so many more beside another hump
FARTHEST = 6  # rates that the first stage goes on past its ends
PEAK_NOISE = {COARSE: 0.8, FINE: 0.4}  # standard deviation of a stage's peak with one seed, octaves
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
LEARNED = 13  # nats on all held-out examples: seeds then scatter by a sixth of it
NEARLY = 0.8  # of what the best rate of the first stage learns
GRID, BEYOND = 0.05, 6  # octaves between the optima that are weighed, and beyond the rates tried
POINT = 0.01  # of accuracy on clean labels: what a rate on the plateau may cost
WIDEST, NARROWEST = 1.0, 0.25  # octaves that a plateau is told beyond the peak, to either side


@dataclass(frozen=True, kw_only=True)
class Runs:
    """What runs of a fraction of the budget came to, on held-out examples with the labels as given.

    accuracy, loss  (rates, seeds); those of chance where a run diverged
    history         accuracy (rates, seeds, checkpoints), along the run
    """

    accuracy: Floats
    loss: Floats
    history: Floats


Train = Callable[[Sequence[float], float, Sequence[int]], Runs]


@dataclass(frozen=True, kw_only=True)
class Stage:
    """Runs of one fraction of the budget, by ascending rate, and log2 of the rate where their loss is least."""

    fraction: float
    steps: int
    learning_rates: tuple[float, ...]
    seeds: tuple[int, ...]
    accuracy: Floats
    loss: Floats
    history: Floats = field(repr=False)
    spacing: int
    peak: float

    @property
    def noise(self) -> float:
        """Standard deviation of the peak, in octaves; one at an end may lie beyond it."""
        inside = 0 < self.best < len(self.learning_rates) - 1
        return PEAK_NOISE[self.spacing if inside else COARSE] / sqrt(len(self.seeds))

    @property
    def best(self) -> int:
        """Which of the rates has the least loss."""
        return int(self.loss.mean(1).argmin())

    def nearest(self, learning_rate: float) -> float:
        """A rate, or the end of those tried that is nearest to it."""
        return min(max(learning_rate, min(self.learning_rates)), max(self.learning_rates))


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


@dataclass(frozen=True)
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


def shift_of(alpha: float | None, passes: float | None = None) -> Shift:
    """What is expected with α noisy labels per clean one; between none and all of it where α is not known.

    passes  over labels that stay, in the full run; None where noise is fresh at every visit
    """
    if alpha is None:
        return Shift(SHIFT / 2, SHIFT / 2 + sum(SHIFT_NOISE))
    noisy = 1 - (1 + alpha) ** -2
    if passes is None:
        return Shift(SHIFT * noisy, SHIFT_NOISE[0] + SHIFT_NOISE[1] * noisy)
    return Shift(STAYING * noisy * log2(passes / FORGIVEN), STAYING_NOISE, STAYING * noisy)


def find(
    train: Train,
    plan: Plan,
    *,
    steps: int,
    start: float,
    num_classes: int,
    held_out: int,
    majority: float,
    alpha: float | None,
    scored_alpha: float = 0.0,
    passes: float | None = None,
    entropy: float | None = None,
    normalises: bool = False,
    seed: int = 0,
) -> Probe:
    """The optimal rate of a full run of `steps`, from `train(rates, fraction, seeds)`.

    start               a first guess of the rate: the stages walk from there
    held_out, majority  how many held-out examples there are, and the share of their commonest class
    alpha               noisy labels per clean one in what is trained on; None where it is not known
    scored_alpha        the same in the held-out labels, uniform noise; 0 where they are clean, or nothing is known
    passes              of a full run over labels that stay: shorter ones see fewer of them, as often; None: fresh noise
    entropy             of the held-out labels, in nats, where they are noisy; None where they are clean
    normalises          whether layers of the network do, such as BatchNorm
    """
    shift, middle = shift_of(alpha, passes), round(log2(start))

    def coarse(fraction: float, wide: int, of: int) -> Stage:
        return _stage(train, fraction, steps, [middle + COARSE * k for k in range(-wide, wide + 1)], [of], FARTHEST)

    def learned(stage: Stage) -> bool:
        return has_learned(stage, held_out, majority, entropy)

    def where(stages: Sequence[Stage]) -> tuple[float, float]:
        if entropy is None:
            return optimum(stages, shift)
        m, deviation = posterior(stages, shift, entropy, held_out)
        return m, hypot(deviation, NORMALISING * (normalises and passes is not None))

    shape = plan.shape
    stages = [coarse(plan.first, shape.wide, seed)]
    if not learned(stages[0]) and plan.first < plan.last / 2:  # too short to learn anything: longer, and fewer
        stages.append(coarse(min(LONGER * plan.first, plan.last / 2), WIDE_AGAIN, seed))
    if learned(stages[-1]) or entropy is not None:  # a likelihood knows how little it says
        expected = where(stages[-1:])[0] + shift.by(plan.last)
        below = round(expected - shape.spacing * (shape.near - 1) / 2)
        octaves = [below + shape.spacing * k for k in range(shape.near)]
        seeds = range(seed + 1, seed + 1 + plan.seeds)
        stages.append(_stage(train, plan.last, steps, octaves, seeds, shape.farther))
    else:  # the longest runs have to look everywhere
        stages.append(coarse(plan.last, WIDE_AGAIN, seed + 1))
    last = stages[-1]
    cost = sum(len(stage.learning_rates) * len(stage.seeds) * stage.fraction for stage in stages)
    n = sum(stage.loss.size for stage in stages)
    if not learned(last):
        return silent(stages, held_out, n=n, full_runs=cost)
    told = [stage for stage in stages if learned(stage)]
    m, deviation = where(told)
    accuracy, growth = accuracy_at_end(told, num_classes, held_out, scored_alpha)
    unsure = deviation if entropy is None else hypot(deviation, _flat(told[0], entropy))  # flat: costs little
    low, high = (2.0 ** (m + side * NORMAL_90 * unsure) for side in (-1, 1))
    return Probe(
        learning_rate=Estimate(2.0**m, low, high, n=n, level=LEVEL),
        plateau=plateau_of(_bend(last, by_loss=bool(alpha and passes)), m, deviation, POINT / (1 + scored_alpha)),
        accuracy=accuracy,
        growth=growth,
        stop_at=end_of(last, steps, held_out),
        stages=tuple(stages),
        full_runs=cost,
    )


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


def _stage(train: Train, fraction: float, steps: int, octaves: list[int], seeds: Sequence[int], most: int) -> Stage:
    """Train at the octaves, go on past an end, `most` rates, while the best is there, find the peak."""
    spacing = octaves[1] - octaves[0]
    parts = [runs_at(train, octaves, fraction, seeds)]
    for _ in range(most):
        loss = np.concatenate([part.loss.mean(1) for part in parts])
        best = int(loss.argmin())
        if best == 0:
            octaves = [octaves[0] - spacing, *octaves]
            parts.insert(0, runs_at(train, octaves[:1], fraction, seeds))
        elif best == len(octaves) - 1:
            octaves = [*octaves, octaves[-1] + spacing]
            parts.append(runs_at(train, octaves[-1:], fraction, seeds))
        else:
            break
    accuracy, loss, history = (
        np.concatenate([getattr(part, name) for part in parts]) for name in ("accuracy", "loss", "history")
    )
    return Stage(
        fraction=fraction,
        steps=max(1, round(fraction * steps)),
        learning_rates=tuple(2.0**k for k in octaves),
        seeds=tuple(seeds),
        accuracy=accuracy,
        loss=loss,
        history=history,
        spacing=spacing,
        peak=_vertex(octaves, -loss.mean(1)),
    )


def runs_at(train: Train, octaves: Sequence[int], fraction: float, seeds: Sequence[int]) -> Runs:
    found = train([2.0**k for k in octaves], fraction, seeds)
    for name in ("accuracy", "loss"):
        values = getattr(found, name)
        if values.shape != (len(octaves), len(seeds)) or not np.isfinite(values).all():
            raise InputError(
                f"a probe needs one finite {name} for each of {len(octaves)} rates and {len(seeds)} seeds, got "
                f"{values}: give a run that diverged the {name} of chance"
            )
    return found


def _vertex(octaves: Sequence[int], scores: Floats) -> float:
    """Where the parabola through the best octave and its neighbours peaks; the best itself at an end."""
    best = int(np.argmax(scores))
    if not 0 < best < len(scores) - 1:
        return float(octaves[best])
    below, top, above = scores[best - 1 : best + 2]
    bend = below - 2 * top + above
    return octaves[best] + (octaves[1] - octaves[0]) * (0.0 if bend == 0 else float((below - above) / (2 * bend)))


def has_learned(stage: Stage, held_out: int, majority: float, entropy: float | None) -> bool:
    """Whether the best run is right more often than the commonest class, by more than three standard errors.

    Noisy labels tell it by the loss, too, far above what runs of chance gain by their best temperature, χ²/2n.
    """
    if entropy is not None and held_out * (entropy - stage.loss.mean(1).min()) > LEARNED:
        return True
    return bool(stage.accuracy.mean(1).max() > majority + 3 * sqrt(majority * (1 - majority) / held_out))


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

    def d_of(stage: Stage) -> tuple[float, float]:  # and the standard error of its logarithm
        scored = float(np.clip(stage.accuracy.mean(1)[stage.best], lowest, highest))
        d = float(d_prime(np.clip((scored - by_chance) / signal, lowest, highest), num_classes))
        slope = (float(forced_choice(d * 1.01, num_classes)) - float(forced_choice(d, num_classes))) / 0.01
        return d, sqrt(scored * (1 - scored) / held_out) / signal / max(slope, 1e-9)

    (d, sampled), (early, _) = d_of(stages[-1]), d_of(stages[0])
    growth, noise = _growth(early, d, log(stages[-1].fraction / stages[0].fraction))
    to_go = log(1 / stages[-1].fraction)
    spread = sqrt((noise * to_go) ** 2 + sampled**2)
    value, low, high = (
        by_chance + signal * float(forced_choice(d * exp(growth * to_go + side * NORMAL_90 * spread), num_classes))
        for side in (0, -1, 1)
    )
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
