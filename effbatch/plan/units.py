"""Spec -> units: the cells of the grid, grouped so that those that can train side by side do."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import KW_ONLY, dataclass, replace
from typing import Any

import numpy as np

from effbatch.core.errors import SpecError
from effbatch.plan.cube import FIRST_CHECKPOINT
from effbatch.plan.options import MAX_BUDGET
from effbatch.plan.recipe import steps_bought
from effbatch.plan.spec import MEMBER_DIMS, Data, Spec, Train, at, points

CELLS_PER_UNIT = 400  # a few seconds of work on two cores for a small network, and one file


@dataclass(frozen=True)
class Unit:
    """The block alphas x learning_rates x seeds of cells that share everything else (`point`, data, train).

    `whole_axes` are the alphas, learning rates and seeds of the whole unit, where only some cells of it are asked for.
    """

    point: Mapping[str, Any]
    data: Data
    train: Train
    _: KW_ONLY
    batch_size: int
    steps: int
    checkpoints: tuple[int, ...]
    alphas: tuple[float, ...]
    learning_rates: tuple[float, ...]
    seeds: tuple[int, ...]
    whole_axes: tuple[tuple[float, ...], tuple[float, ...], tuple[int, ...]] | None = None

    @property
    def whole(self) -> Unit:
        """The unit that these cells belong to, most often this one."""
        if self.whole_axes is None:
            return self
        alphas, learning_rates, seeds = self.whole_axes
        return replace(self, alphas=alphas, learning_rates=learning_rates, seeds=seeds, whole_axes=None)

    @property
    def axes(self) -> tuple[tuple[float, ...], tuple[float, ...], tuple[int, ...]]:
        """Alphas, learning rates and seeds, in the order of the arrays that training gives."""
        return self.alphas, self.learning_rates, self.seeds

    @property
    def cells(self) -> int:
        return math.prod(map(len, self.axes))

    @property
    def model_steps(self) -> int:
        """Optimiser steps summed over the cells: the unit of cost."""
        return self.cells * self.steps

    @property
    def key(self) -> str:
        """A name that changes when any number of the unit would change: of these facts, named as 0.1 named them."""
        facts: dict[str, Any] = {
            "point": dict(self.point),
            "data": self.data.given(),
            "train": self.train.given(),
            "batch_size": self.batch_size,
            "steps": self.steps,
            "checkpoints": self.checkpoints,
            "alphas": self.alphas,
            "learning_rates": self.learning_rates,
            "seeds": self.seeds,
        }
        if self.whole_axes is not None:
            facts["whole_axes"] = self.whole_axes
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]


def units(
    spec: Spec,
    available: Mapping[str, int],
    rates: Callable[[Mapping[str, Any], float], tuple[float, ...]] | None = None,
    *,
    most_checkpoints: int | None = None,
) -> Iterator[Unit]:
    """All units of a spec; `available` gives the size of each data set's training set.

    `rates` gives the learning rates to run at a point and alpha, perhaps none; without it, those of the grid. A cell is
    evaluated as often as the spec says, but at most after every step, and at most `most_checkpoints` times.
    """
    grid = dict(spec.grid)
    if spec.whole_grid is not None:
        grid |= {dim: spec.whole_grid[dim] for dim in MEMBER_DIMS}
    rates = rates or (lambda point, alpha: grid["learning_rate"])
    for point in points(grid, without=MEMBER_DIMS):
        data, train = at(spec, point)
        batch_size, clean_examples = int(point["batch_size"]), _clean_examples(data, available)
        alike: dict[tuple[Any, ...], list[float]] = {}  # foreign images depend on α: there each α is alone
        for alpha in grid["alpha"]:
            steps = steps_for(train, batch_size, alpha, clean_examples)
            alone = alpha if data.noise == "foreign" else None
            alike.setdefault((steps, rates(point, alpha), alone), []).append(alpha)
        for (steps, learning_rates, _), alphas in alike.items():
            width = max(1, CELLS_PER_UNIT // max(1, len(alphas) * len(learning_rates)))
            for start in range(0, len(grid["seed"]), width):
                unit = Unit(
                    point=point,
                    data=data,
                    train=train,
                    batch_size=batch_size,
                    steps=steps,
                    checkpoints=log_spaced_steps(steps, min(train.evaluations, steps, most_checkpoints or steps)),
                    alphas=tuple(alphas),
                    learning_rates=learning_rates,
                    seeds=grid["seed"][start : start + width],
                )
                if spec.whole_grid is not None:
                    unit = _cut(unit, spec.grid)
                if unit.cells:
                    yield unit


def _clean_examples(data: Data, available: Mapping[str, int]) -> int:
    if data.clean_examples > available[data.dataset]:
        raise SpecError(
            f"[data] clean_examples must be at most the {available[data.dataset]} training images of {data.dataset}, "
            f"got {data.clean_examples}: ask for fewer"
        )
    return data.clean_examples or available[data.dataset]


def _cut(unit: Unit, grid: Mapping[str, tuple]) -> Unit:
    """Of the cells of a unit those that are in the grid."""
    cut = replace(
        unit,
        alphas=tuple(alpha for alpha in unit.alphas if alpha in grid["alpha"]),
        learning_rates=tuple(rate for rate in unit.learning_rates if rate in grid["learning_rate"]),
        seeds=tuple(seed for seed in unit.seeds if seed in grid["seed"]),
    )
    return unit if cut == unit else replace(cut, whole_axes=unit.axes)


def fewest_steps(spec: Spec, available: Mapping[str, int]) -> int:
    """Of any cell of the grid, or of the grid that it was cut out of: until 0.1, no cell was evaluated more often.

    The size of a data set is asked for only where a budget depends on it.
    """
    grid, fewest = spec.whole_grid or spec.grid, []
    for point in points(grid, without=MEMBER_DIMS):
        data, train = at(spec, point)
        clean_examples = data.clean_examples or (available[data.dataset] if "epochs" in train.budget else 0)
        fewest.append(steps_for(train, int(point["batch_size"]), min(grid["alpha"]), clean_examples))
    return min(fewest)


def steps_for(train: Train, batch_size: int, alpha: float, clean_examples: int) -> int:
    """Optimiser steps that a budget buys; one epoch is clean_examples·(1 + α) labelled copies. At least 1."""
    steps = steps_bought(train.budget, batch_size, epoch=clean_examples * (1 + alpha))
    if steps > MAX_BUDGET:
        ((unit, amount),) = train.budget.items()
        raise SpecError(
            f"a budget may buy at most {MAX_BUDGET:g} steps; {amount:g} {unit} at alpha = {alpha:g} and batch size "
            f"{batch_size} buy {steps:.3g}: lower it"
        )
    return steps


def log_spaced_steps(steps: int, count: int) -> tuple[int, ...]:
    """`count` different step numbers, evenly spaced in log from steps/128 (at least 1) to `steps`, both included.

    Needs count <= steps; where rounding would repeat a step the next free one is taken.
    """
    wanted = np.geomspace(max(1.0, steps / FIRST_CHECKPOINT), steps, count).round().astype(int)
    for i in range(1, count):
        wanted[i] = max(wanted[i], wanted[i - 1] + 1)
    wanted[-1] = steps
    for i in range(count - 2, -1, -1):
        wanted[i] = min(wanted[i], wanted[i + 1] - 1)
    return tuple(int(step) for step in wanted)
