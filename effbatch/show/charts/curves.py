"""A panel of curves -> its layers: measured points with intervals, predicted lines, dashed rivals; a colour a group."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

from effbatch.core.figures import Figure, Panel, Series
from effbatch.show.charts.look import COLOURS, DASHES, INK, LABEL_FONT, SHAPES, SYMBOL_SIZE
from effbatch.show.charts.marks import SERIES, beside, hover, layer, span

Groups = Mapping[str, Sequence[Series]]


def groups_of(figure: Figure) -> Groups:
    """Series of every group, in order; a series without a group is its own. None on heat maps, which have one look."""
    groups: dict[str, list[Series]] = {}
    for panel in figure.panels:
        for series in panel.series if panel.heat is None else ():
            groups.setdefault(series.group or series.name, []).append(series)
    return groups


def curve_layers(
    panel: Panel, x: dict[str, Any], y: dict[str, Any], groups: Groups, *, legend: bool
) -> list[dict[str, Any]]:
    """What is drawn from the back to the front; last what only hovering needs.

    legend  False where names stand at the ends of curves in its place
    """
    colour, shape = _looks(groups, legend=legend)
    dashes = _dashes(groups)
    rhythm_scale = {"domain": list(dashes), "range": list(dashes.values())}
    rhythm = {"strokeDash": {"field": "group", "type": "nominal", "scale": rhythm_scale, "legend": None}}
    detail = {"detail": SERIES}
    place = {"x": x, "y": y, "color": colour}
    faded = {"opacity": {"condition": {"param": "shown", "value": 1.0}, "value": 0.08}}
    shown = place | (faded if legend else {})
    lying = sideways(panel)
    ends = span("x", x, "low", "high") if lying else span("y", y, "low", "high")
    rule, point = {"type": "rule", "strokeWidth": 1.4}, {"type": "point", "filled": True, "size": 48, "opacity": 1}
    dodged = {"xOffset": {"expr": "datum.shift || 0"}} if beside(panel) else {}
    layers = [
        layer("rival", {"type": "line", "strokeWidth": 1.2}, shown | detail | rhythm),
        layer("predicted", {"type": "line", "strokeWidth": 2}, shown | detail),
        layer("measured", rule | dodged, shown | ends),
        layer("measured", point | dodged, shown | {"shape": shape}),
        hover(panel, place),
    ]
    if any(series.dots for series in panel.series):
        layers[2:2] = [
            layer("predicted", rule, shown | ends, dots=True),
            layer("predicted", point, shown | {"shape": shape}, dots=True),
        ]
    return layers if lying else [layer("measured", {"type": "line", "strokeWidth": 0.7}, shown | detail), *layers]


def sideways(panel: Panel) -> bool:
    """Whether its intervals lie along x, where no line joins its points."""
    return any(series.interval == "x" for series in panel.series)


def name_layers(data: str, x: dict[str, Any], y: dict[str, Any], groups: Groups) -> list[dict[str, Any]]:
    """The names of curves at their right ends, each behind the symbol of its curve."""
    colour, shape = _looks(groups, legend=False)
    place = {"x": x, "y": y}
    symbol = {"type": "point", "filled": True, "clip": False, "size": 48, "xOffset": 12, "opacity": 1}
    name = {"type": "text", "clip": False, "align": "left", "dx": 20, "fontSize": LABEL_FONT, "color": INK}
    return [
        {"data": {"name": data}, "mark": symbol, "encoding": place | {"color": colour, "shape": shape}},
        {"data": {"name": data}, "mark": name, "encoding": place | {"text": {"field": "name", "type": "nominal"}}},
    ]


def _looks(groups: Groups, *, legend: bool) -> tuple[dict[str, Any], dict[str, Any]]:
    """Colour and shape of every group."""
    key = {"title": None, "orient": "top", "symbolSize": SYMBOL_SIZE, "symbolStrokeWidth": 1.6} if legend else None
    names, dashes = list(groups), _dashes(groups)
    colours = [COLOURS[i % len(COLOURS)] for i in range(len(names))]
    symbols = [_symbol(i, groups[name], dashes.get(name)) for i, name in enumerate(names)]
    colour, shape = (
        {"field": "group", "type": "nominal", "scale": {"domain": names, "range": values}, "legend": key}
        for values in (colours, symbols)
    )
    return colour, shape


def _dashes(groups: Groups) -> dict[str, Sequence[float]]:
    """Dash pattern of every group that holds a rival."""
    rivals = [name for name, group in groups.items() if any(series.role == "rival" for series in group)]
    return {name: DASHES[i % len(DASHES)] for i, name in enumerate(rivals)}


def _symbol(index: int, group: Sequence[Series], dash: Sequence[float] | None) -> str:
    """Legend symbol of a group: its shape where it has points, else the line it is drawn with, as an SVG path."""
    roles = {series.role for series in group}
    if "measured" in roles or any(series.dots for series in group):
        return SHAPES[index % len(SHAPES)]
    unit = math.sqrt(SYMBOL_SIZE) / 2  # px; Vega scales a path from [-1, 1] to the size of a symbol
    pattern = itertools.cycle([18.0] if dash is None or "predicted" in roles else dash)
    path, x = "", -9.0
    while x < 9:
        end = min(x + next(pattern), 9)
        path += f"M{x / unit:.3f},0L{end / unit:.3f},0"
        x = end + next(pattern)
    return path
