"""The probe of effbatch 0.1, for plain SGD, as the record of `prediction.py` used it: scores of short runs -> rate.

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
from copy import deepcopy
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from effbatch.core.errors import InputError
from effbatch.engine.visits import Stream
from effbatch.networks.per_image import Images, as_images, as_labels, logits_of
from effbatch.networks.untouched import evaluation_mode
from effbatch.plan.spec import Data

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


CHUNK = 500  # images per forward pass of the scoring
BLOCK = 2_000_000  # labels drawn at once


def probe_learning_rate(
    network: nn.Module,
    x_train: Images,
    y_train: ArrayLike,
    x_held_out: Images,
    y_held_out: ArrayLike,
    *,
    num_classes: int,
    alpha: float,
    batch_size: int,
    steps: int,
    seed: int = 0,
) -> Probe:
    """Best constant learning rate of `steps` steps of plain SGD on fresh noisy labels, from about two full runs.

    Runs of 1/16, 1/4 and 1/2 of the steps at octaves of the learning rate, each continued where it is asked for
    again; see `probe.rule` for how they become one number. All start from a copy of `network` and see the images and
    labels of `seed`. Held-out images are taken from the training images, never from the test set: they choose the
    rate. Scoring costs one forward pass over them per rate and stage, about 13 in all.

    Raises InputError when steps are fewer than 16, images and labels do not match, or the network does not fit them.
    """
    if steps < 1 / FRACTIONS[0]:
        raise InputError(f"a probe needs at least {1 / FRACTIONS[0]:g} steps, got {steps}: try every rate in full")
    if batch_size < 1:
        raise InputError(f"batch_size needs a whole number >= 1, got {batch_size}")
    train, held_out = as_images(network, x_train), as_images(network, x_held_out)
    targets, truth = (
        torch.as_tensor(as_labels(y, x, num_classes), device=train.device)
        for y, x in ((y_train, x_train), (y_held_out, x_held_out))
    )
    with evaluation_mode(network):
        logits_of(network, held_out[:1], num_classes, 1)  # raises where network, images and classes do not fit
    stream = Stream(Data(), targets, num_classes, alphas=[alpha], seeds=[seed], batch_size=batch_size)
    runs: dict[float, _Run] = {}

    def score(learning_rates: Sequence[float], fraction: float) -> list[float]:
        values = []
        for rate in learning_rates:
            if rate not in runs:
                runs[rate] = _Run(network, rate)
            runs[rate].train(train, stream, round(fraction * steps))
            values.append(runs[rate].score(held_out, truth))
        return values

    return probe(score, alpha)


def held_out_score(logits: Tensor, labels: Tensor) -> float:
    """½ (accuracy + mean cosine of an image's centred logits with its target e_c − 1/K).

    Accuracy alone moves in steps of one image; the cosine is smooth, blind to the size of the logits, and by itself
    prefers somewhat too high rates at small alpha (observed). A cosine of zero logits is 0.
    """
    classes = logits.shape[1]
    centred = logits - logits.mean(1, keepdim=True)
    of_true = centred.gather(1, labels[:, None]).squeeze(1)
    tiny = torch.finfo(logits.dtype).tiny
    cosine = of_true / centred.norm(dim=1).clamp_min(tiny) / (1 - 1 / classes) ** 0.5
    accuracy = (logits.argmax(1) == labels).to(logits.dtype)
    return float((accuracy + cosine).mean() / 2)


class _Run:
    """One copy of the network in training at one learning rate; it goes on from where it stopped."""

    def __init__(self, network: nn.Module, learning_rate: float) -> None:
        self.network = deepcopy(network).train()
        self.optimizer = torch.optim.SGD(self.network.parameters(), learning_rate)
        self.done = 0

    def train(self, images: Tensor, stream: Stream, last: int) -> None:
        block = max(1, BLOCK // stream.batch_size)
        while self.done < last:
            upto = min(last, self.done + block)
            visits = stream.block(self.done, upto)
            for image, label in zip(visits.image[:, 0], visits.label[:, 0, 0], strict=True):
                self.optimizer.zero_grad()
                cross_entropy(self.network(images[image]), label).backward()
                self.optimizer.step()
            self.done = upto

    @torch.no_grad()
    def score(self, images: Tensor, labels: Tensor) -> float:
        """`held_out_score`, or that of chance (accuracy 1/K, cosine 0) where the run has diverged."""
        with evaluation_mode(self.network):
            logits = torch.cat([self.network(x) for x in images.split(CHUNK)])
        if not logits.isfinite().all():
            return 1 / logits.shape[1] / 2
        return held_out_score(logits, labels)
