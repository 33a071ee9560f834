"""A run's model-steps -> a live bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

LINE_EVERY_SECONDS = 10.0


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


class LineProgress:
    """One plain line every few seconds: done/total, model-steps per second, time left."""

    def start(self, total: int, done: int, what: str) -> None:
        self.total, self.done, self.what = total, done, what
        self.began = self.said = time.monotonic()
        self.base = done
        kept = f", {done / total:.0%} kept from an earlier run" if done else ""
        print(f"{what}: {total:,} model-steps to train{kept}", file=sys.stderr, flush=True)

    def advance(self, model_steps: int) -> None:
        self.done += model_steps
        moment = time.monotonic()
        if moment - self.said < LINE_EVERY_SECONDS and self.done < self.total:
            return
        self.said = moment
        rate = (self.done - self.base) / max(moment - self.began, 1e-9)
        left = (self.total - self.done) / rate
        print(
            f"{self.what}: {self.done:,}/{self.total:,} model-steps ({self.done / self.total:.0%}), "
            f"{rate:,.0f} per second, {left:.0f} s left",
            file=sys.stderr,
            flush=True,
        )


class LiveProgress:
    """A bar with done/total, rate and time left, redrawn in place by rich."""

    def __enter__(self) -> LiveProgress:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        self.progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TextColumn("{task.percentage:>3.0f} %"),
            TextColumn("{task.fields[steps]}"),
            TimeRemainingColumn(compact=True),
            console=Console(stderr=True),
        )
        self.progress.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.progress.stop()

    def start(self, total: int, done: int, what: str) -> None:
        self.began, self.base, self.done, self.total = time.monotonic(), done, done, total
        self.task = self.progress.add_task(what, total=total, completed=done, steps="")

    def advance(self, model_steps: int) -> None:
        self.done += model_steps
        rate = (self.done - self.base) / max(time.monotonic() - self.began, 1e-9)
        steps = f"{_short(self.done)}/{_short(self.total)} model-steps, {_short(rate)}/s"
        self.progress.update(self.task, completed=self.done, steps=steps)


def _short(number: float) -> str:
    """1,234 -> 1,234; 56,789 -> 57k; 12,345,678 -> 12.3M."""
    if number >= 1e6:
        return f"{number / 1e6:,.1f}M"
    return f"{number / 1000:,.0f}k" if number >= 10_000 else f"{number:,.0f}"
