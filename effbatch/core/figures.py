"""Figures, tables and numbers as plain data, and `figures`: an answer -> its figures. Nothing here draws."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import KW_ONLY, dataclass, field
from functools import singledispatch
from typing import Any, Literal

from effbatch.core.dispatch import maker
from effbatch.core.estimate import Estimate

Role = Literal["measured", "predicted", "rival"]
Values = Any  # a sequence of floats or a one-dimensional array
Cell = str | int | float | Estimate | None


@dataclass(frozen=True)
class Axis:
    """One axis of a panel: its label with unit, its scale, and the tick values where they should be fixed.

    scale   log1p: equal steps for equal factors of 1 + value, so that 0 has a place
    names   what stands at the `ticks` in place of their numbers: an axis of categories
    """

    label: str
    scale: Literal["linear", "log", "log2", "log1p"] = "linear"
    ticks: Sequence[float] | None = None
    domain: tuple[float, float] | None = None
    names: Sequence[str] | None = None


def noise_axis(alphas: Values) -> Axis:
    """The axis of α, ticks at `alphas`: what goes as a power of 1 + α is straight against a logarithm."""
    return Axis("noisy labels per clean one, α", "log1p", ticks=tuple(alphas))


@dataclass(frozen=True)
class Series:
    """One named curve. `low` and `high` are the interval of each point, NaN or None where there is none.

    role: "measured" is drawn as points with intervals, "predicted" as a solid line, "rival" as a thin dashed
    line, so that the three stay apart in grey print. `group` gives the colour; series that share a group
    (the measured points and the predicted line of one network, say) share the colour. `interval` says along which
    axis `low` and `high` lie; points whose interval lies along x are not joined by a line.
    `dots`: a predicted line shows its points, too, with their intervals.
    """

    name: str
    role: Role
    x: Values
    y: Values
    _: KW_ONLY
    low: Values = None
    high: Values = None
    group: str = ""
    interval: Literal["x", "y"] = "y"
    dots: bool = False

    def points(self) -> Iterator[tuple[Any, Any, Any, Any]]:
        """x, y, low and high of every point."""
        limits = ([None] * len(self.x) if values is None else values for values in (self.low, self.high))
        return zip(self.x, self.y, *limits, strict=True)


def limits(intervals: Sequence[tuple[float | None, float | None] | None]) -> dict[str, Any]:
    """`low` and `high` of a series from its intervals: an open limit lies beyond any axis; no interval, no limits."""
    if not any(intervals):
        return {}
    lows = [None if i is None else -math.inf if i[0] is None else i[0] for i in intervals]
    highs = [None if i is None else math.inf if i[1] is None else i[1] for i in intervals]
    return {"low": lows, "high": highs}


@dataclass(frozen=True)
class Heat:
    """A value on a grid, drawn as shades: `values[i][j]` at `y[i]` and `x[j]`, NaN where there is none."""

    label: str
    x: Values
    y: Values
    values: Any
    domain: tuple[float, float]


@dataclass(frozen=True)
class Panel:
    """One pair of axes with its series, on top of a heat map where there is one."""

    x: Axis
    y: Axis
    series: Sequence[Series]
    title: str = ""
    heat: Heat | None = None


@dataclass(frozen=True)
class Figure:
    """Panels side by side under one caption; the caption states the finding, not the axes."""

    name: str
    caption: str
    panels: Sequence[Panel]


@dataclass(frozen=True)
class Table:
    """A table: column headings and rows of cells, each column with its format."""

    name: str
    caption: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    formats: Sequence[str] = field(default_factory=tuple)


@dataclass(frozen=True)
class Number:
    """One result of a report: an estimate with what it is called, its unit, and a note on where it comes from.

    difference  whether it may as well be 0, as `core.formats.estimate_text` takes it
    """

    label: str
    estimate: Estimate
    unit: str = ""
    note: str = ""
    difference: bool = False

    def to_json(self) -> dict[str, Any]:
        """All in one object: label, value, low, high, n, unit, exact, note."""
        one = self.estimate
        numbers = {"value": one.value, "low": one.low, "high": one.high, "n": one.n}
        return {"label": self.label, **numbers, "unit": self.unit, "exact": one.exact, "note": self.note}


@singledispatch
def figures(answer: object) -> list[Figure]:
    """The figures of an answer of this package, empty where it has too little to draw; `effbatch.plot` draws them.

    Makers are registered as those of pages are, see `pages`. Raises InputError for anything that has none.
    """
    return maker(figures, answer, "a plot")(answer)
