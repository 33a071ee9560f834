"""A unit -> how fast it trains, from its first moments, which are thrown away.

Units of another batch size or network may come only after minutes, and no rule tells their cost from that of the first
ones on every machine; a look at each takes a fraction of a second.
"""

from __future__ import annotations

import time
from collections import defaultdict
from contextlib import suppress
from dataclasses import replace
from functools import partial
from threading import get_ident
from typing import NamedTuple

import torch

from effbatch.data import datasets
from effbatch.engine import train as engine
from effbatch.plan.units import Unit

ENOUGH_SECONDS = 0.15  # of steps in one thread, after its first one, shared out among all threads
FURTHER = 4  # times as many steps by the next evaluation: few evaluations, and yet no long wait for the next report

Reports = dict[int, list[tuple[int, float]]]  # thread -> (number, seconds)


class Pace(NamedTuple):
    """Seconds per model-step, and per evaluation of one cell, while all threads are at work."""

    model_step: float
    evaluation: float


class Laps:
    """The time between the reports of a thread, shared out among all threads that have reported."""

    def __init__(self) -> None:
        self.began = time.monotonic()
        self.last: dict[int, float] = {}

    def lap(self) -> float:
        """Seconds since this thread's last report."""
        thread, moment = get_ident(), time.monotonic()
        before = self.last.get(thread, self.began)
        self.last[thread] = moment
        return (moment - before) / len(self.last)


class _Enough(Exception):
    """The first moments are over."""


def pace_of(unit: Unit, device: torch.device) -> Pace:
    """Train `unit` for a moment; what [train] measure asks for takes longer than that, and is left out.

    Never run on a GPU.
    """
    checkpoints = {1, unit.steps}
    step = min(2, unit.steps)
    while step < unit.steps:
        checkpoints.add(step)
        step *= FURTHER
    brief = replace(unit, checkpoints=tuple(sorted(checkpoints)), train=replace(unit.train, measure=()))
    laps = Laps()
    steps: Reports = defaultdict(list)
    evaluations: Reports = defaultdict(list)

    def tell(reports: Reports, number: int) -> None:
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        seconds = laps.lap()
        if number > 0:  # 0 where a part is set up, less where one is undone
            reports[get_ident()].append((number, seconds))
        if sum(seconds for _, seconds in steps[get_ident()][1:]) > ENOUGH_SECONDS:
            raise _Enough

    with suppress(_Enough):
        engine.train(
            brief,
            datasets.load(unit.data.dataset),
            device=device,
            on_steps=partial(tell, steps),
            on_evaluations=partial(tell, evaluations),
        )
    return Pace(_seconds_each(steps), _seconds_each(evaluations))


def _seconds_each(reports: Reports) -> float:
    """Without the first report of a thread, which is slow; of all where there are no others."""
    warm = [report for own in reports.values() for report in own[1:]]
    numbers, seconds = zip(*(warm or [report for own in reports.values() for report in own]), strict=True)
    return sum(seconds) / sum(numbers)
