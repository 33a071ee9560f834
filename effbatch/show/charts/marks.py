"""What the layers of a panel have in common: which points they draw, their intervals, what hovering shows."""

from __future__ import annotations

from collections.abc import Iterator
from math import isnan
from typing import Any

from effbatch.core.errors import InputError
from effbatch.core.figures import Panel, Role, Series
from effbatch.show.charts.axes import POSITIVE, finite

SERIES: dict[str, Any] = {"field": "series", "type": "nominal", "title": "series"}
INTERVAL: dict[str, Any] = {"field": "interval", "type": "nominal", "title": "interval"}


def layer(role: Role, mark: dict[str, Any], encoding: dict[str, Any], *, dots: bool = False) -> dict[str, Any]:
    """Points of one role as one mark, a rule only where there is an interval; `dots`: of series that have them."""
    chosen = f"datum.role === '{role}'" + " && datum.dots" * dots + " && isValid(datum.low)" * (mark["type"] == "rule")
    return {
        "transform": [{"filter": chosen}],
        "mark": {"clip": True, **mark},
        "encoding": encoding,
    }


def hover(panel: Panel, channels: dict[str, Any]) -> dict[str, Any]:
    """Unseen points that carry the tooltips, since a line is one mark and can show one tooltip only."""
    return {
        "mark": {"type": "point", "clip": True, "filled": True, "size": 150, "opacity": 0},
        "encoding": {**channels, "tooltip": [SERIES, *tooltip(panel, INTERVAL)]},
    }


def tooltip(panel: Panel, *last: dict[str, Any]) -> list[dict[str, Any]]:
    """What hovering shows: the coordinates that are numbers, and `last`; a line break in a title would end it."""
    coordinates = [
        {"field": field, "type": "quantitative", "title": " ".join(axis.label.split()), "format": ".4~g"}
        for field, axis in (("x", panel.x), ("y", panel.y))
        if axis.names is None
    ]
    return [*coordinates, *last]


def span(name: str, channel: dict[str, Any], low: str, high: str) -> dict[str, Any]:
    """From the field `low` to the field `high` along the channel called `name`."""
    return {name: {**channel, "field": low}, f"{name}2": {"field": high}}


def beside(panel: Panel) -> dict[str, float]:
    """How far right of its x the bars of each measured series stand, in px, where several have one at the same x."""
    barred = [s for s in panel.series if s.role == "measured" and s.interval == "y" and s.low is not None]
    places = [float(x) for s in barred for x, y in zip(s.x, s.y, strict=True) if finite(x) and finite(y)]
    if len(set(places)) == len(places):
        return {}
    step = min(5.0, 10 / (len(barred) - 1)) if len(barred) > 1 else 0.0
    return {s.name: step * (i - (len(barred) - 1) / 2) for i, s in enumerate(barred)}


def rows(
    panel: Panel, series: Series, x_domain: tuple[float, float], y_domain: tuple[float, float]
) -> Iterator[dict[str, Any]]:
    """Points of `series` that have both coordinates; an unbounded interval reaches the edge of the panel."""
    edges = x_domain if series.interval == "x" else y_domain
    shift = beside(panel).get(series.name, 0.0)
    for x, y, low, high in series.points():
        if not (finite(x) and finite(y)):
            continue
        for value, axis in ((x, panel.x), (y, panel.y)):
            if axis.scale in POSITIVE and value <= 0:
                raise InputError(
                    f"the logarithmic axis {axis.label!r} needs positive values; series {series.name!r} has "
                    f"{value:g}: drop the point and say so, or use a linear axis",
                    series=series.name,
                    value=float(value),
                )
        row: dict[str, Any] = {"series": series.name, "group": series.group or series.name, "role": series.role}
        row |= {"x": float(x), "y": float(y), "interval": "none"} | ({"dots": True} if series.dots else {})
        row |= {"shift": shift} if shift else {}
        if low is not None and high is not None and not (isnan(low) or isnan(high)):
            row["interval"] = f"{low:.4g} to {high:.4g}".replace("-", "−").replace("inf", "∞")
            row |= {"low": float(max(low, edges[0])), "high": float(min(high, edges[1]))}
        yield row
