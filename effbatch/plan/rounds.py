"""Spec + the grids that its sweep has had -> units, round after round.

A wider grid extends a sweep. What it adds is cut into boxes, grids of their own with no cell in common, and these into
units; the units of the grid before stay what they were, and so do their keys. So the folder needs no index of cells:
the grids that it had, in order, say which units hold them.

An adaptive grid goes on in rounds, decided by all that ran. Where it is extended, the added cells run the rates that
their setting ran already, or the ones to start on; then the rounds go on with the cells of both.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import pairwise

import xarray as xr

from effbatch.plan import adaptive
from effbatch.plan.spec import Spec
from effbatch.plan.units import Unit, units

Grid = Mapping[str, tuple]


def rounds(
    spec: Spec,
    available: Mapping[str, int],
    grids: Sequence[Grid],
    so_far: Callable[[Spec], xr.Dataset],
    *,
    most_checkpoints: int | None = None,
) -> Iterator[list[Unit]]:
    """The units of one round after another; those of a fixed grid are one round, however often it was extended.

    grids    that of the spec, and before it those that it had, from the first on
    so_far   the cube of all that ran, on the grid of the spec that it is given; asked for between rounds
    """
    plan = partial(units, available=available, most_checkpoints=most_checkpoints)
    stages = [replace(spec, grid=grid) for grid in grids]
    new = [stages[:1], *([replace(spec, grid=box) for box in boxes(*pair)] for pair in pairwise(grids))]
    if spec.ladder is None:
        yield [unit for parts in new for part in parts for unit in plan(part)]
        return
    for number, stage in enumerate(stages):
        ran = adaptive.rates_run(spec.ladder, so_far(stage)) if number else None
        yield [unit for part in new[number] for unit in plan(part, rates=ran)]
        while work := list(plan(stage, rates=adaptive.next_rates(spec.ladder, so_far(stage)))):
            yield work


def boxes(before: Grid, after: Grid) -> list[dict[str, tuple]]:
    """Grids with the cells that `after` has beyond `before`, each cell in one of them."""
    dims, new = list(after), added(before, after)
    return [
        {other: tuple(before[other] if other in dims[:i] else after[other]) for other in dims} | {dim: new[dim]}
        for i, dim in enumerate(dims)
        if dim in new
    ]


def added(before: Grid, after: Grid) -> dict[str, tuple]:
    """The values that `after` has beyond `before`, by dimension; a dimension without any is left out."""
    new = {dim: tuple(value for value in values if value not in before[dim]) for dim, values in after.items()}
    return {dim: values for dim, values in new.items() if values}
