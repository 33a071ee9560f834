"""A unit -> what its cells cost, in labelled copies trained on: how far a unit is, is told in these."""

from __future__ import annotations

from dataclasses import dataclass

from effbatch.data.dataset import DataSet
from effbatch.engine.evaluation import WRONG_LABELS, history_images
from effbatch.plan.units import Unit

SCORED = 1 / 3  # copies that one image costs in an evaluation, a forward pass without backward
MOMENTS = 20_000  # copies that the gradient moments of one member cost, roughly


@dataclass(frozen=True)
class Cost:
    """Of one cell: a step, an evaluation along the run, what is evaluated at its end alone, and all of it."""

    step: float
    evaluation: float
    end: float
    cell: float


def cost_of(unit: Unit, dataset: DataSet) -> Cost:
    """The cost of a cell of `unit`."""
    along, everything = history_images(unit.train, dataset), len(dataset.x_test)
    evaluation = SCORED * along + MOMENTS * ("moments" in unit.train.measure)
    evaluation += SCORED * WRONG_LABELS * ("memorised" in unit.train.measure)
    end = SCORED * everything if everything > along else 0.0
    cell = unit.steps * unit.batch_size + len(unit.checkpoints) * evaluation + end
    return Cost(unit.batch_size, evaluation, end, cell)
