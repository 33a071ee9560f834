"""Rates, a fraction of the budget and seeds -> a stage: its runs, how they score, and where they peak."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import sqrt

import numpy as np
from numpy.typing import NDArray

from effbatch.core.errors import InputError

Floats = NDArray[np.float64]

COARSE, FINE = 2, 1  # octaves between the rates of the first stage, and where the peak is looked for
PEAK_NOISE = {COARSE: 0.8, FINE: 0.4}  # standard deviation of a stage's peak with one seed, octaves
LEARNED = 13  # nats on all held-out examples: seeds then scatter by a sixth of it


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
class Scored:
    """What is known of the held-out labels that score runs.

    n         how many there are, of K = num_classes
    majority  the share of the commonest class
    alpha     noisy labels per clean one in them, uniform noise; 0 where they are clean, or nothing is known
    entropy   in nats, where they are noisy; None where they are clean
    parts     of the examples that are held out in turns: seed s is scored on part s mod `parts`, of n examples
    """

    n: int
    num_classes: int
    majority: float
    alpha: float = 0.0
    entropy: float | None = None
    parts: int = 1


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


def stage_of(train: Train, fraction: float, steps: int, octaves: list[int], seeds: Sequence[int], most: int) -> Stage:
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
    runs = joined([[part] for part in parts])
    return Stage(
        fraction=fraction,
        steps=max(1, round(fraction * steps)),
        learning_rates=tuple(2.0**k for k in octaves),
        seeds=tuple(seeds),
        spacing=spacing,
        peak=_vertex(octaves, -runs.loss.mean(1)),
        **vars(runs),
    )


def joined(rows: Sequence[Sequence[Runs]]) -> Runs:
    """All of them in one: rates below each other, seeds side by side."""
    return Runs(
        **{
            name: np.concatenate([np.concatenate([getattr(run, name) for run in row], 1) for row in rows])
            for name in ("accuracy", "loss", "history")
        }
    )


def runs_at(train: Train, octaves: Sequence[int], fraction: float, seeds: Sequence[int]) -> Runs:
    """Train at the octaves; InputError where a score is missing or no number."""
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


def has_learned(stage: Stage, scored: Scored) -> bool:
    """Whether the best run is right more often than the commonest class, by more than three standard errors.

    Noisy labels tell it by the loss, too, far above what runs of chance gain by their best temperature, χ²/2n.
    """
    if scored.entropy is not None and scored.n * (scored.entropy - stage.loss.mean(1).min()) > LEARNED:
        return True
    error = sqrt(scored.majority * (1 - scored.majority) / scored.n)
    return bool(stage.accuracy.mean(1).max() > scored.majority + 3 * error)
