"""A run's model-steps -> a live bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from effbatch.show.time_left import TimeLeft

if TYPE_CHECKING:
    from effbatch.plan.units import Unit

LINE_EVERY_SECONDS = 10.0
WITH_BAR, WITH_STEPS = 110, 80  # columns of a terminal, with room for the longest name of a simulation


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


class Tally:
    """Model-steps of a round, done and in all, with their rate and the time left: what both displays show."""

    def __init__(self) -> None:
        self.time_left = TimeLeft()

    def start(self, what: str, waiting: Sequence[Unit], *, kept: Sequence[Unit]) -> None:
        self.what = what
        self.done = sum(unit.model_steps for unit in kept)
        self.total = self.done + sum(unit.model_steps for unit in waiting)
        self.time_left.start(waiting)

    def wanted(self) -> Unit | None:
        return self.time_left.wanted()

    def look(self, unit: Unit, step: float, evaluation: float) -> None:
        self.time_left.look(unit, step, evaluation)

    def advance(self, unit: Unit, model_steps: int, evaluations: int, seconds: float) -> None:
        self.done += model_steps
        self.time_left.advance(unit, model_steps, evaluations, seconds)


class LineProgress(Tally):
    """One plain line every few seconds: done/total, model-steps per second, time left."""

    def start(self, what: str, waiting: Sequence[Unit], *, kept: Sequence[Unit]) -> None:
        super().start(what, waiting, kept=kept)
        self.said = self.time_left.last
        earlier = f", {self.done / self.total:.0%} kept from an earlier run" if self.done else ""
        self._say(f"{self.total:,} model-steps to train{earlier}")

    def advance(self, unit: Unit, model_steps: int, evaluations: int, seconds: float) -> None:
        super().advance(unit, model_steps, evaluations, seconds)
        if self.time_left.last - self.said < LINE_EVERY_SECONDS and self.done < self.total:
            return
        self.said = self.time_left.last
        self._say(
            f"{self.done:,}/{self.total:,} model-steps ({self.done / self.total:.0%}), "
            f"{self.time_left.per_second:,.0f} per second, {duration(self.time_left.seconds())} left"
        )

    def tell(self, sentence: str) -> None:
        print(sentence, file=sys.stderr, flush=True)

    def _say(self, text: str) -> None:
        self.tell(f"{self.what}: {text}")


class LiveProgress(Tally):
    """A bar with done/total, rate and time left, redrawn in place by rich; less of it where a terminal is narrow."""

    def __enter__(self) -> LiveProgress:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn

        console = Console(stderr=True)
        self.width = console.width
        self.progress = Progress(
            TextColumn("{task.description}"),
            *([BarColumn(bar_width=24)] if self.width >= WITH_BAR else []),
            TextColumn("{task.percentage:>3.0f} %"),
            TextColumn("{task.fields[steps]}"),
            console=console,
        )
        self.progress.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.progress.stop()

    def start(self, what: str, waiting: Sequence[Unit], *, kept: Sequence[Unit]) -> None:
        super().start(what, waiting, kept=kept)
        self.task = self.progress.add_task(what, total=self.total, completed=self.done, steps="")

    def advance(self, unit: Unit, model_steps: int, evaluations: int, seconds: float) -> None:
        super().advance(unit, model_steps, evaluations, seconds)
        steps = f"{_short(self.done)}/{_short(self.total)} model-steps, {_short(self.time_left.per_second)}/s, "
        left = f"{duration(self.time_left.seconds())} left"
        shown = steps * (self.width >= WITH_STEPS) + left
        self.progress.update(self.task, completed=self.done, steps=shown)

    def tell(self, sentence: str) -> None:
        self.progress.console.print(sentence, markup=False, highlight=False)


def duration(seconds: float | None) -> str:
    """42 -> 42 s; 600 -> 10 min; 9000 -> 2.5 h; None -> unknown time."""
    if seconds is None:
        return "unknown time"
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def _short(number: float) -> str:
    """1,234 -> 1,234; 56,789 -> 57k; 12,345,678 -> 12.3M."""
    if number >= 1e6:
        return f"{number / 1e6:,.1f}M"
    return f"{number / 1000:,.0f}k" if number >= 10_000 else f"{number:,.0f}"
