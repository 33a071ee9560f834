"""A run's units, done and waiting -> a live bar on a terminal, plain lines elsewhere, both with the time left.

Work is counted in labelled copies, and in what a step costs beside its copies. How long it takes is timed for every
kind of unit that has trained (data set, network, batch size, number of cells); what has not trained yet is taken to be
as fast as what is most like it.
"""

from __future__ import annotations

import math
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from effbatch.core.formats import duration

if TYPE_CHECKING:
    from effbatch.plan.units import Unit

# copies that a step costs beside its own: of every member, and of all together; the middle of what networks show in
# benchmarks/results/throughput.md
OF_A_STEP, OF_ALL = 8, 100
FIRST_SECONDS = 3.0  # of training tell nothing
NEARNESS = 8.0  # a second timed counts so many times more than one at twice the batch size or number of cells
LINE_EVERY_SECONDS = 10.0
WITH_BAR = 80  # columns of a terminal, with room for the longest name of a simulation

Kind = tuple[str, str, int, int]


@contextmanager
def watching() -> Iterator[LiveProgress | LineProgress]:
    """The progress display that suits standard error: a live bar, or plain lines where it is no terminal.

    Ctrl-C says what becomes of the work before it ends the command.
    """
    try:
        if sys.stderr.isatty():
            with LiveProgress() as live:
                yield live
        else:
            yield LineProgress()
    except KeyboardInterrupt:
        print("stopped; finished units are kept, and the same command goes on from there", file=sys.stderr)
        raise


class TimeLeft:
    """What is left of a round, and what was learnt about paces, which holds for all rounds and sweeps after it."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self.timed: dict[Kind, tuple[float, float]] = {}  # work done, seconds

    def start(self, waiting: Sequence[Unit], at_once: int) -> None:
        """A round begins, so many units at once."""
        self.at_once, self.began, self.told = at_once, self.clock(), 0.0
        self.left: dict[Kind, float] = defaultdict(float)
        for unit in waiting:
            self.left[_kind(unit)] += _work(unit)

    def advance(self, unit: Unit, share: float, seconds: float) -> None:
        """So large a share of `unit` was trained in so many seconds; a negative one is undone."""
        kind, work = _kind(unit), share * _work(unit)
        before = self.timed.get(kind, (0.0, 0.0))
        self.left[kind] -= work
        self.timed[kind] = before[0] + work, before[1] + seconds
        self.told += seconds

    def seconds(self) -> float | None:
        """Seconds left of this round; None while that is unknown."""
        if sum(seconds for _, seconds in self.timed.values()) < FIRST_SECONDS:
            return None
        total = 0.0
        for kind, work in self.left.items():
            if work > 0:
                if (pace := self._pace(kind)) is None:
                    return None
                total += work * pace
        untold = max(0.0, self.at_once * (self.clock() - self.began) - self.told)  # of units that tell at their end
        return max(total - untold, total / 2) / self.at_once

    def _pace(self, kind: Kind) -> float | None:
        """Seconds of training for one unit of work, from all that was timed of its network, the most alike foremost."""
        work = seconds = 0.0
        for other, (its_work, its_seconds) in self.timed.items():
            if other[:2] == kind[:2]:
                octaves = sum(abs(math.log2(a / b)) for a, b in zip(kind[2:], other[2:], strict=True))
                work += its_work * NEARNESS**-octaves
                seconds += its_seconds * NEARNESS**-octaves
        return seconds / work if work > 0 else None


def _kind(unit: Unit) -> Kind:
    """Data set, network, batch size, cells: units that share them train at the same pace."""
    return unit.data.dataset, unit.train.network, unit.batch_size, unit.cells


def _work(unit: Unit) -> float:
    """Labelled copies of a unit, and what its steps cost beside them."""
    return unit.model_steps * (unit.batch_size + OF_A_STEP + OF_ALL / unit.cells)


class Tally:
    """Labelled copies of a round, done and in all, and the time left: what both displays show."""

    def __init__(self) -> None:
        self.time_left = TimeLeft()

    def start(self, what: str, waiting: Sequence[Unit], *, kept: Sequence[Unit], at_once: int) -> None:
        self.what = what
        self.done = float(sum(map(_copies, kept)))
        self.total = self.done + sum(map(_copies, waiting))
        self.time_left.start(waiting, at_once)

    def advance(self, unit: Unit, share: float, seconds: float) -> None:
        self.done += share * _copies(unit)
        self.time_left.advance(unit, share, seconds)

    @property
    def left(self) -> str:
        return f"{duration(self.time_left.seconds())} left"


class LineProgress(Tally):
    """One plain line every few seconds."""

    def start(self, what: str, waiting: Sequence[Unit], *, kept: Sequence[Unit], at_once: int) -> None:
        super().start(what, waiting, kept=kept, at_once=at_once)
        self.said = time.monotonic()
        earlier = f", {self.done / self.total:.0%} kept from an earlier run" if self.done else ""
        self.tell(f"{what}: {self.total:,.0f} labelled copies to train on{earlier}")

    def advance(self, unit: Unit, share: float, seconds: float) -> None:
        super().advance(unit, share, seconds)
        if (moment := time.monotonic()) - self.said >= LINE_EVERY_SECONDS:
            self.said = moment
            self.tell(f"{self.what}: {self.done / self.total:.0%} done, {self.left}")

    def tell(self, sentence: str) -> None:
        print(sentence, file=sys.stderr, flush=True)


class LiveProgress(Tally):
    """A bar, redrawn in place by rich; none where a terminal is narrow."""

    def __enter__(self) -> LiveProgress:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn

        console = Console(stderr=True)
        bar = [BarColumn(bar_width=24)] if console.width >= WITH_BAR else []
        said = TextColumn("{task.percentage:>3.0f} % {task.fields[left]}")
        self.progress = Progress(TextColumn("{task.description}"), *bar, said, console=console)
        self.progress.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.progress.stop()

    def start(self, what: str, waiting: Sequence[Unit], *, kept: Sequence[Unit], at_once: int) -> None:
        super().start(what, waiting, kept=kept, at_once=at_once)
        self.task = self.progress.add_task(what, total=self.total, completed=round(self.done), left="")

    def advance(self, unit: Unit, share: float, seconds: float) -> None:
        super().advance(unit, share, seconds)
        self.progress.update(self.task, completed=self.done, left=self.left)

    def tell(self, sentence: str) -> None:
        self.progress.console.print(sentence, markup=False, highlight=False)


def _copies(unit: Unit) -> int:
    return unit.model_steps * unit.batch_size
