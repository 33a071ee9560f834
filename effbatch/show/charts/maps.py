"""A panel with a heat map -> its tiles and layers: shades of viridis, which darkens evenly in grey print too.

What is drawn on it is white with a black rim, read on every shade.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from effbatch.core.figures import Heat, Panel
from effbatch.show.charts.axes import edges, finite
from effbatch.show.charts.look import SYMBOL_SIZE
from effbatch.show.charts.marks import SERIES, hover, layer, span, tooltip


def tiles(panel: Panel, heat: Heat) -> Iterator[dict[str, float]]:
    """One row per value that is there, with the borders of its tile; a column is divided among the values it has."""
    xs = sorted(float(v) for v in heat.x)
    x_edges = edges(xs, panel.x)
    for j, x in enumerate(heat.x):
        column = {float(y): float(row[j]) for y, row in zip(heat.y, heat.values, strict=True) if finite(row[j])}
        ys = sorted(column)
        y_edges = edges(ys, panel.y) if ys else []
        left, right = x_edges[(k := xs.index(float(x))) : k + 2]
        for i, y in enumerate(ys):
            sides = {"left": left, "right": right, "bottom": y_edges[i], "top": y_edges[i + 1]}
            yield {"x": float(x), "y": y, "value": column[y], **sides}


def map_layers(
    panel: Panel, heat: Heat, data: str, x: dict[str, Any], y: dict[str, Any], *, narrow: bool = False
) -> list[dict[str, Any]]:
    """The tiles, in `data`, and on them the series, from the back to the front; last what only hovering needs."""
    # Squares, since WeasyPrint draws no gradient.
    square = {"symbolType": "square", "symbolSize": 1.5 * SYMBOL_SIZE, "symbolStrokeWidth": 0}
    legend = {"title": heat.label, "orient": "top", "type": "symbol", "titleOrient": "left", **square}
    legend |= {"columns": 6} if not narrow else {"columns": 4, "titleOrient": "top"}
    scale = {"scheme": "viridis", "domain": list(heat.domain)}
    shade = {"field": "value", "type": "quantitative", "scale": scale, "legend": legend}
    value = {"field": "value", "type": "quantitative", "title": heat.label, "format": ".4~g"}
    sides = span("x", x, "left", "right") | span("y", y, "bottom", "top")
    ground = {
        "data": {"name": data},
        # a rim of its own shade: no seams between tiles
        "mark": {"type": "rect", "clip": True, "stroke": {"expr": "scale('fill', datum.value)"}, "strokeWidth": 0.6},
        "encoding": {**sides, "fill": shade, "tooltip": tooltip(panel, value)},
    }
    place = {"x": x, "y": y}
    drawn = {**place, "detail": SERIES}
    ends = drawn | span("y", y, "low", "high")
    point = {"type": "point", "filled": True, "fill": "white", "stroke": "black", "strokeWidth": 1, "size": 44}
    return [
        ground,
        layer("predicted", {"type": "line", "stroke": "black", "strokeWidth": 4}, drawn),
        layer("predicted", {"type": "line", "stroke": "white", "strokeWidth": 2}, drawn),
        layer("measured", {"type": "rule", "stroke": "black", "strokeWidth": 3}, ends),
        layer("measured", {"type": "rule", "stroke": "white", "strokeWidth": 1.2}, ends),
        layer("measured", {**point, "opacity": 1}, drawn),
        hover(panel, place),
    ]
