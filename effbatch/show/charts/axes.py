"""An axis of a panel and what it has to show -> its range, its ticks as readers write them, its scale in Vega-Lite."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from effbatch.core.errors import InputError
from effbatch.core.figures import Axis, Panel
from effbatch.core.formats import typeset
from effbatch.show.charts.look import TICKS

MARGIN = 0.04  # of the axis, left free beyond the outermost value
POSITIVE = ("log", "log2")  # scales that show nothing else
SCALES: dict[str, tuple[Callable[[float], float], Callable[[float], float]]] = {  # value -> place, and back
    "linear": (float, float),
    "log": (math.log, math.exp),
    "log2": (math.log, math.exp),
    "log1p": (math.log1p, math.expm1),
}


def channels(
    panel: Panel, domains: tuple[tuple[float, float], tuple[float, float]], name: str, ticks: int
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Encodings of the fields x and y on scales of these `domains`, of the panel that Vega will call `name`.

    ticks  about how many x has where none are given
    """
    x, y = (
        {
            "field": field,
            "type": "quantitative",
            "title": axis.label,
            **_axis(axis, domain, f"{name}_{field}", ticks if field == "x" else TICKS),
        }
        for field, axis, domain in zip("xy", (panel.x, panel.y), domains, strict=True)
    )
    return x, y


def domains(panel: Panel) -> tuple[tuple[float, float], tuple[float, float]]:
    """Ranges of x and y: those of the heat map, or what holds all series with their intervals."""
    if panel.heat is not None:
        x, y = (edges(sorted(float(v) for v in v_), a) for v_, a in ((panel.heat.x, panel.x), (panel.heat.y, panel.y)))
        return (x[0], x[-1]), (y[0], y[-1])

    def values(axis: str) -> Iterator[float | None]:
        for series in panel.series:
            yield from series.x if axis == "x" else series.y
            if series.interval == axis:
                for limits in (series.low, series.high):
                    yield from () if limits is None else limits

    return _domain(panel.x, values("x")), _domain(panel.y, values("y"))


def edges(centres: Sequence[float], axis: Axis) -> list[float]:
    """Borders of the tiles about sorted `centres`: halfway between them on the scale of `axis`."""
    forward, back = SCALES[axis.scale]
    c = [forward(v) for v in centres]
    between = [(a + b) / 2 for a, b in itertools.pairwise(c)] or [c[0] + 0.5]
    borders = [2 * c[0] - between[0], *between, 2 * c[-1] - between[-1]] if len(c) > 1 else [c[0] - 0.5, *between]
    return [back(border) for border in borders]


def tick_label(value: float, scale: str) -> str:
    """A tick as readers write it: 1/128 on a log2 axis, 10⁵ and 10⁻⁵ far from one, 5,000 and 0.0002 between."""
    if scale == "log2" and 0 < value < 1 and (1 / value).is_integer():
        return f"1/{1 / value:.0f}"
    if value != 0 and not 1e-4 <= abs(value) < 1e5:
        exponent = math.floor(math.log10(abs(value)))
        factor = value / 10.0**exponent
        power = typeset(f"10^{exponent}")
        return power if math.isclose(factor, 1) else f"{factor:.3g}×{power}".replace("-", "−")
    return (f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}").replace("-", "−")


def log_ticks(low: float, high: float, base: int) -> list[float]:
    """At most about seven round values within [low, high]: powers of `base`, or 1-2-5 within few decades."""
    first, last = math.ceil(math.log(low, base)), math.floor(math.log(high, base))
    every = max(1, math.ceil((last - first + 1) / 7))
    powers = [float(base) ** k for k in range(first, last + 1, every)]
    if base == 10 and last - first < 3:
        digits = (1, 2, 5) if high / low > 6 else range(1, 10)
        fine = [d * 10.0**k for k in range(first - 1, last + 1) for d in digits]
        return [tick for tick in fine if low <= tick <= high]
    return powers


def finite(value: float | None) -> bool:
    return value is not None and math.isfinite(value)


def _domain(axis: Axis, values: Iterable[float | None]) -> tuple[float, float]:
    """Range of the axis: the one given, or that of the values it can show with a small margin."""
    if axis.domain is not None:
        return float(axis.domain[0]), float(axis.domain[1])
    positive = axis.scale in POSITIVE
    usable = [float(v) for v in values if v is not None and finite(v) and (v > 0 or not positive)]
    if not usable:
        raise InputError(
            f"the axis {axis.label!r} needs at least one finite value to show and has none: leave the figure out"
        )
    forward, back = SCALES[axis.scale]
    low, high = forward(min(usable)), forward(max(usable))
    alone = abs(high) * 0.1 or 1.0 if axis.scale == "linear" else math.log(2)
    margin = (high - low) * MARGIN or alone
    return back(low - margin), back(high + margin)


def _axis(axis: Axis, domain: tuple[float, float], scale_name: str, count: int) -> dict[str, Any]:
    """Scale and axis options of one channel, whose scale Vega will call `scale_name`."""
    scale: dict[str, Any] = {"domain": list(domain), "nice": False}
    base = 2 if axis.scale == "log2" else 10
    kinds: dict[str, dict[str, Any]] = {"linear": {"zero": False}, "log1p": {"type": "symlog", "constant": 1}}
    scale |= kinds.get(axis.scale, {"type": "log", "base": base})
    if axis.scale == "linear" and axis.ticks is None:
        return {"scale": scale, "axis": {"tickCount": count}}
    if axis.ticks is not None:
        fine = ticks = [float(tick) for tick in axis.ticks]
    elif axis.scale == "log1p":
        fine = ticks = [0.0, *log_ticks(1.0, max(domain[1], 1.0), 10)]
    else:
        fine, ticks = _fine_ticks(*domain, base), log_ticks(*domain, base)
    labels = [tick_label(tick, axis.scale) for tick in fine] if axis.names is None else list(axis.names)
    # Vega holds the very numbers of the tick list, so that looking one up by equality is safe.
    expression = f"{json.dumps(labels, ensure_ascii=False)}[indexof({json.dumps(fine)}, datum.value)]"
    values: Any = ticks
    if fine != ticks:  # a reader who zooms in finds more of them
        span = f"log(domain('{scale_name}')[1] / domain('{scale_name}')[0])"
        zoomed = f"{span} < {0.7 * math.log(domain[1] / domain[0]):.4g}"
        values = {"expr": f"{zoomed} ? {json.dumps(fine)} : {json.dumps(ticks)}"}
    return {"scale": scale, "axis": {"values": values, "labelExpr": expression}}


def _fine_ticks(low: float, high: float, base: int) -> list[float]:
    """Every power of 2 within [low, high], or 1-2-5 of every decade with all of `log_ticks`."""
    digits = (1, 2, 5) if base == 10 else (1,)
    powers = range(math.floor(math.log(low, base)), math.ceil(math.log(high, base)) + 1)
    every = {d * float(base) ** k for k in powers for d in digits}
    return sorted(tick for tick in every | set(log_ticks(low, high, base)) if low <= tick <= high)
