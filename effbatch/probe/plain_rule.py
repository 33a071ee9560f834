"""Scores of short runs at a few learning rates -> the best learning rate of the full run, without a tuned anchor.

Three stages, of 1/16, 1/4 and 1/2 of the steps T. Each tries octaves of the learning rate around what the stages
before it say, goes on past an end while the best is there, and finds the peak of the scores. A peak found after a
fraction f of the steps is carried to the full run by

    eta*(T) = eta*(f T) f^p        p = 0.4 (1 - lambda²)        lambda = 1/(1 + alpha)

and the answer is the mean of the three in log2 eta, each weighted by its fraction f.

Derived: where the noise of the labels sets the best rate and what is not yet learned falls as (eta t)^-s, balancing
it against a noise that grows as eta gives eta* ~ t^(-s/(1+s)), the noisy quadratic model (Zhang et al. 2019, arXiv
1907.04164). Without label noise the clean gradient vanishes as the network learns, and nothing pulls the rate down:
p = 0. Only observed: s = 2/3, and that the share of the label noise in the energy of one labelled copy, 1 - lambda²,
joins the two (eight pairs of network and data, 200 and 600 steps, plain SGD at a constant rate). How far off the
rates are on pairs that were not looked at stands in docs/notes/prediction-gap.md. The stages are successive halving
(Jamieson & Talwalkar 2016, arXiv 1502.07943) with the shift of the optimum put in.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from effbatch.core.errors import InputError

Score = Callable[[Sequence[float], float], Sequence[float]]

FRACTIONS = (1 / 16, 1 / 4, 1 / 2)
FIRST = (-5, -4, -3, -2, -1)  # log2 of the first stage's learning rates; a stage walks past its ends where it must
AROUND = (-1, 0, 1)  # octaves about the estimate, in the later stages
OCTAVES = 20  # a stage that has walked so far has no peak


@dataclass(frozen=True)
class Stage:
    """Runs of `fraction` of the full length: their learning rates, ascending, their scores, and where these peak.

    peak  learning rate of the highest score; NaN where the stage found none
    """

    fraction: float
    learning_rates: NDArray[np.float64]
    scores: NDArray[np.float64]
    peak: float


@dataclass(frozen=True)
class Probe:
    """The best learning rate of the full run, the stages that found it, and their cost.

    learning_rate  NaN where some stage has no peak: the score does not tell learning rates apart
    stages         in order, as far as they were run
    cost           in full runs, each learning rate's run continued from stage to stage
    """

    learning_rate: float
    stages: tuple[Stage, ...]
    cost: float


def probe(score: Score, alpha: float) -> Probe:
    """Best learning rate of a full run from `score(learning_rates, fraction)`, one number per learning rate.

    `score` trains `fraction` of the steps of the full run at each rate, with the same images and labels for all
    rates, and says how good the networks are on held-out images, higher is better; chance where a run diverged.
    `probe.runs` has one for plain SGD. Rates are asked for one by one or several at a time, never twice at
    one fraction; those asked for again at a longer fraction can be continued where the schedule is constant.

    Raises InputError for alpha < 0, or scores that are not one finite number per learning rate.
    """
    if not (np.isfinite(alpha) and alpha >= 0):
        raise InputError(f"alpha needs a finite value >= 0, got {alpha:g}: give noisy labels per clean one")
    exponent = shift_exponent(alpha)
    stages: list[Stage] = []
    estimate = np.nan
    for fraction in FRACTIONS:
        shift = exponent * np.log2(fraction)  # log2 of eta*(T)/eta*(fraction T)
        octaves = [round(estimate - shift) + i for i in AROUND] if stages else list(FIRST)
        stages.append(_stage(score, fraction, octaves))
        estimate = carried([(s.fraction, s.peak) for s in stages], exponent)
        if np.isnan(estimate):
            break
    longest = {rate: stage.fraction for stage in stages for rate in stage.learning_rates}
    return Probe(float(2.0**estimate), tuple(stages), sum(longest.values()))


def shift_exponent(alpha: float) -> float:
    """p in eta*(t) ~ t^(-p): 0.4 (1 - lambda²) with lambda = 1/(1 + alpha)."""
    return 0.4 * (1 - (1 + alpha) ** -2)


def carried(peaks: Sequence[tuple[float, float]], exponent: float) -> float:
    """log2 of the full run's best rate: the (fraction, best rate) of shorter ones, carried over and averaged."""
    fractions, rates = np.array(peaks).T
    return float(np.average(np.log2(rates) + exponent * np.log2(fractions), weights=fractions))


def _stage(score: Score, fraction: float, octaves: list[int]) -> Stage:
    """Score the octaves, walk on while the best is at an end, find the peak."""

    def scores_of(new: Sequence[int]) -> list[float]:
        values = np.asarray(score([2.0**k for k in new], fraction), float)
        if values.shape != (len(new),) or not np.isfinite(values).all():
            raise InputError(
                f"a score needs one finite number for each of {len(new)} learning rates, got {values}: "
                "give a run that diverged the score of chance"
            )
        return values.tolist()

    scores = scores_of(octaves)
    while True:
        best = int(np.argmax(scores))
        if 0 < best < len(scores) - 1 or len(scores) > OCTAVES:
            break
        if best == 0:
            octaves = [octaves[0] - 1, *octaves]
            scores = [*scores_of(octaves[:1]), *scores]
        else:
            octaves = [*octaves, octaves[-1] + 1]
            scores = [*scores, *scores_of(octaves[-1:])]
    return Stage(fraction, 2.0 ** np.array(octaves, float), np.array(scores), 2.0 ** _vertex(octaves, scores))


def _vertex(octaves: Sequence[int], scores: Sequence[float]) -> float:
    """Vertex of the parabola through the best octave and its neighbours; NaN where it has only one."""
    best = int(np.argmax(scores))
    if not 0 < best < len(scores) - 1:
        return np.nan
    below, top, above = scores[best - 1 : best + 2]
    return octaves[best] + (below - above) / (2 * (below - 2 * top + above))  # argmax is the first: below < top
