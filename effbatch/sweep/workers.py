"""Units -> their blocks, trained by whoever is at hand: this process, or the workers of a cluster (`cluster`)."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

import torch
import xarray as xr

from effbatch.data import datasets
from effbatch.engine import train as engine
from effbatch.plan.units import Unit
from effbatch.sweep.assembly import to_block
from effbatch.sweep.pace import Laps, Pace, pace_of
from effbatch.sweep.provenance import environment, made_by

# told of a unit: model-steps or evaluations (counted in cells) just done, and the seconds they took; neither: set-up
Advance = Callable[[Unit, int, int, float], None]


class Workers(Protocol):
    """Who trains.

    environment   facts for the record: versions, device, time
    pace          how fast one of them trains a unit
    train         units -> (unit, block), in whatever order they finish
    """

    def environment(self) -> dict[str, Any]: ...
    def pace(self, unit: Unit) -> Pace: ...
    def train(self, work: Sequence[Unit], advance: Advance) -> Iterator[tuple[Unit, xr.Dataset]]: ...


class InProcess:
    """This process, on one device; InputError where that device is not there."""

    def __init__(self, device: str = "auto") -> None:
        self.device = engine.pick_device(device)

    def environment(self) -> dict[str, Any]:
        return environment(self.device)

    def pace(self, unit: Unit) -> Pace:
        return pace_of(unit, self.device)

    def train(self, work: Sequence[Unit], advance: Advance) -> Iterator[tuple[Unit, xr.Dataset]]:
        for unit in work:
            yield unit, train_unit(unit, self.device, advance)


def train_unit(unit: Unit, device: torch.device, advance: Advance) -> xr.Dataset:
    """The block of one unit; its attributes say how many `seconds` it took and what it was `made_by`."""
    laps = Laps()
    trained = engine.train(
        unit,
        datasets.load(unit.data.dataset),
        device=device,
        on_steps=lambda model_steps: advance(unit, model_steps, 0, laps.lap()),
        on_evaluations=lambda cells: advance(unit, 0, cells, laps.lap()),
    )
    block = to_block(unit, trained)
    return block.assign_attrs(seconds=time.monotonic() - laps.began, made_by=made_by(device))
