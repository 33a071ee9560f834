"""Units -> their blocks, trained by whoever is at hand: this process, others of this machine, a Dask cluster.

The driver commits. A worker only returns arrays, so that it shares no disk with the driver, and a unit is the same work
wherever it trains.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future, as_completed
from importlib.metadata import version
from typing import Any, Protocol

import torch
import xarray as xr

from effbatch.core.errors import RunError
from effbatch.data import datasets
from effbatch.engine.device import pick_device
from effbatch.engine.train import train_unit
from effbatch.plan.units import Unit
from effbatch.sweep.assembly import to_block
from effbatch.sweep.provenance import environment, made_by

KEPT = "finished units are kept, and the same command goes on from there"

Advance = Callable[[Unit, float, float], None]  # unit, the share of it that was just trained, the seconds that took


class Workers(Protocol):
    """Who trains.

    at_once      how many units at the same time
    environment  facts for the record: versions, device, time
    train        units -> (unit, block), in whatever order they finish
    """

    @property
    def at_once(self) -> int: ...
    def environment(self) -> dict[str, Any]: ...
    def train(self, work: Sequence[Unit], advance: Advance) -> Iterator[tuple[Unit, xr.Dataset]]: ...


class InProcess:
    """This process, on one device; InputError where that device is not there."""

    at_once = 1

    def __init__(self, device: str = "auto") -> None:
        self.device = pick_device(device)

    def environment(self) -> dict[str, Any]:
        return environment(self.device)

    def train(self, work: Sequence[Unit], advance: Advance) -> Iterator[tuple[Unit, xr.Dataset]]:
        for unit in work:
            yield unit, train_block(unit, self.device, advance)


class OnExecutor:
    """Workers behind a `concurrent.futures.Executor`; they tell of a unit only when it is done."""

    def __init__(self, executor: Executor, device: str = "auto", *, at_once: int = 1) -> None:
        self.executor, self.device, self._at_once = executor, device, at_once

    @property
    def at_once(self) -> int:
        return self._at_once

    def environment(self) -> dict[str, Any]:
        return self.executor.submit(_environment_there, self.device).result()

    def train(self, work: Sequence[Unit], advance: Advance) -> Iterator[tuple[Unit, xr.Dataset]]:
        ours = version("effbatch")
        units = {self.executor.submit(_train_there, unit, self.device, ours): unit for unit in work}
        try:
            for future in as_completed(units):
                unit = units.pop(future)  # a future keeps its block
                block = self.result(future, unit)
                yield unit, block
                advance(unit, 1.0, block.attrs["seconds"])
        finally:
            if units:
                self.give_up(units)

    def give_up(self, futures: Iterable[Future[xr.Dataset]]) -> None:
        """What has not ended is no longer wanted."""
        for future in futures:
            future.cancel()

    def result(self, future: Future[xr.Dataset], unit: Unit) -> xr.Dataset:
        """The block of a unit that has ended; the executor's own errors become those of the package here."""
        return future.result()


def train_block(unit: Unit, device: torch.device, advance: Advance) -> xr.Dataset:
    """The block of one unit; its attributes say how many `seconds` it took and what it was `made_by`."""
    began = last = time.monotonic()

    def tell(share: float) -> None:
        nonlocal last
        moment = time.monotonic()
        advance(unit, share, moment - last)
        last = moment

    trained = train_unit(unit, datasets.load(unit.data.dataset), device=device, on_progress=tell)
    return to_block(unit, trained).assign_attrs(seconds=time.monotonic() - began, made_by=made_by(device))


def _environment_there(device: str) -> dict[str, Any]:
    return environment(pick_device(device))


def _train_there(unit: Unit, device: str, needed: str) -> xr.Dataset:
    """What a worker does; RunError where it is of another version than the driver."""
    if (own := version("effbatch")) != needed:
        raise RunError(
            f"workers need the effbatch {needed} of the process that drives them, got {own}: install the same version "
            "there",
            version=own,
        )
    return train_block(unit, pick_device(device), lambda unit, share, seconds: None)
