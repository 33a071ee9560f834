"""A figure as plain data -> one Vega-Lite spec, interactive on screen -> the same as SVG for paper, or PNG.

Measured values are filled points with interval bars on a thin line, predictions solid lines, rivals thin dashed
lines. A group has a colour (Okabe & Ito 2008, told apart by colour-blind readers) and a shape or dash pattern, so
that grey print still tells the groups apart. Heat maps are viridis, which darkens evenly in grey print too; what is
drawn on them is white with a black rim. Text, axes and grid are drawn in `currentColor`: ink on paper, light on a dark
screen.
"""

from __future__ import annotations

import itertools
import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any
from xml.sax.saxutils import escape

from effbatch.errors import InputError
from effbatch.exhibits import Axis, Figure, Heat, Panel, Series
from effbatch.resources import bundled
from effbatch.tables import typeset

FONT = "Inter, Noto Sans Math, sans-serif"
INK = "currentColor"
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", INK)
SHAPES = ("circle", "square", "triangle-up", "diamond", "triangle-down", "cross")
DASHES: tuple[Sequence[float], ...] = ([5, 4], [2, 2.5], [9, 3], [8, 3, 2, 3], [1, 4])  # px drawn, px left free, ...
SYMBOL_SIZE = 56  # of the legend, px²
# Size of one panel in px by the number of panels in a row: a row fills the text width of A4.
ROW_WIDTH = 630
PANEL_WIDTH = {1: 460, 2: 240, 3: 138}
PANEL_HEIGHT = {1: 240, 2: 200, 3: 160}
MARGIN = 0.04  # of the axis, left free beyond the outermost value
PAPER, PRINTED_INK = "#ffffff", "#1a1f24"  # of a PNG, which knows no page
PIXELS_PER_PX = 3  # of a PNG: 288 dots per inch
# A mouse drags the axes; with Ctrl (and so with two fingers on a touchpad) the wheel zooms. Touch and plain wheel are
# left to the page, which has to scroll.
DRAG = "[pointerdown[event.pointerType == 'mouse'], window:pointerup] > window:pointermove!"
WHEEL = "wheel![event.ctrlKey]"

_SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


@dataclass(frozen=True)
class Drawing:
    """One chart twice: a Vega-Lite spec for the screen and an SVG document for paper."""

    spec: dict[str, Any]
    svg: str

    def _repr_svg_(self) -> str:
        """What a notebook shows."""
        return self.svg


def draw(figure: Figure) -> Drawing:
    """Draw `figure`; on screen, hovering shows values and intervals, a click in the legend switches a group.

    Points without both coordinates are left out. InputError if a series has lists of different lengths or a value
    that its logarithmic axis cannot show.
    """
    import vl_convert

    spec = _spec(figure)
    still = {**spec, "concat": [{**panel, "layer": panel["layer"][:-1]} for panel in spec["concat"]]}  # no hover points
    svg = vl_convert.vegalite_to_svg(still, vl_version=vega_lite_version(), allowed_base_urls=[])
    svg = re.sub(r' (?:role="graphics-|aria-roledescription=")[^"]*"', "", svg)  # the whole is one image with a title
    svg = _rename_ids(svg, "".join(c if c.isalnum() else "-" for c in figure.name))
    return Drawing(spec, svg.replace(">", f"><title>{escape(figure.caption)}</title>", 1))


def png(figure: Figure) -> bytes:
    """`figure` in dark ink on white, as a PNG of 288 dots per inch."""
    import vl_convert

    printed = json.loads(json.dumps(_spec(figure)).replace(f'"{INK}"', f'"{PRINTED_INK}"'))
    return vl_convert.vegalite_to_png(
        {**printed, "background": PAPER},
        vl_version=vega_lite_version(),
        scale=PIXELS_PER_PX,
        ppi=72.0,
        allowed_base_urls=[],
    )


def reading_key(figure: Figure) -> str:
    """One sentence that says how `figure` shows what was measured, predicted and held by rivals."""
    roles = {series.role for panel in figure.panels for series in panel.series}
    bars = " (bars: interval)" * any(series.low is not None for panel in figure.panels for series in panel.series)
    if any(panel.heat is not None for panel in figure.panels):
        shown = {
            "measured": f"white points, measured{bars}",
            "predicted": "white line, predicted",
            "rival": "dashed, rivals",
        }
        return "Shades, measured; " + "; ".join(words for role, words in shown.items() if role in roles) + "."
    shown = {
        "measured": f"points, measured{bars}",
        "predicted": "solid lines, predicted",
        "rival": "dashed lines, rival laws",
    }
    text = "; ".join(words for role, words in shown.items() if role in roles)
    return f"{text[:1].upper()}{text[1:]}."


@cache
def vega_lite_version() -> str:
    """The newest Vega-Lite that vl-convert draws ("6.1")."""
    import vl_convert

    return max(vl_convert.get_vegalite_versions(), key=lambda version: [int(part) for part in version.split(".")])


def tick_label(value: float, scale: str) -> str:
    """A tick as readers write it: 1/128 on a log2 axis, 10⁵ and 10⁻⁴ far from one, 5,000 between."""
    if scale == "log2" and 0 < value < 1 and (1 / value).is_integer():
        return f"1/{1 / value:.0f}"
    if value != 0 and not 1e-3 <= abs(value) < 1e5:
        exponent = math.floor(math.log10(abs(value)))
        factor = value / 10.0**exponent
        power = "10" + str(exponent).translate(_SUPERSCRIPT)
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


@cache
def _register_fonts() -> None:
    """Let vl-convert measure text in the font that the report embeds."""
    import vl_convert

    vl_convert.register_font_directory(str(bundled("templates") / "fonts"))


def _rename_ids(svg: str, prefix: str) -> str:
    """Number the clip paths of one drawing from 1 under `prefix`.

    Ids are global in a page, where two figures with the same `clip0` would clip each other; and Vega counts them
    through the life of the process, so that the same figure would not give the same bytes.
    """
    order: dict[str, str] = {}
    return re.sub(r"(?<=[\"#])clip\d+", lambda m: order.setdefault(m[0], f"{prefix}-clip{len(order) + 1}"), svg)


def _spec(figure: Figure) -> dict[str, Any]:
    """The Vega-Lite spec of `figure`, with its data."""
    if not figure.panels:
        raise InputError(f"figure {figure.name!r} needs at least one panel and has none: give its panels")
    _register_fonts()
    groups = _groups(figure)
    in_row = min(len(figure.panels), max(PANEL_WIDTH))
    datasets: dict[str, list[dict[str, Any]]] = {}
    panels = []
    for i, panel in enumerate(figure.panels):
        name = f"panel{i}"
        x_domain, y_domain = _domains(panel)
        datasets[name] = [row for series in panel.series for row in _rows(panel, series, x_domain, y_domain)]
        x = {
            "field": "x",
            "type": "quantitative",
            "title": typeset(panel.x.label),
            **_axis(panel.x, x_domain, f"{name}_x"),
        }
        y = {
            "field": "y",
            "type": "quantitative",
            "title": typeset(panel.y.label),
            **_axis(panel.y, y_domain, f"{name}_y"),
        }
        if panel.heat is None:
            layers = _layers(panel, x, y, groups, figure.legend)
        else:
            datasets[f"heat{i}"] = list(_tiles(panel, panel.heat))
            layers = _heat_layers(panel, panel.heat, f"heat{i}", x, y)
        layers[0]["params"] = [_zoom(i)] + [_shown(groups)] * (i == 0 and bool(groups))
        panels.append(
            {
                "name": name,
                "width": PANEL_WIDTH[in_row],
                "height": PANEL_HEIGHT[in_row],
                "data": {"name": name},
                "layer": layers,
                **({"title": typeset(panel.title)} if panel.title else {}),
            }
        )
    return {
        "$schema": f"https://vega.github.io/schema/vega-lite/v{vega_lite_version()}.json",
        "background": "transparent",
        "padding": 4,
        "columns": in_row,
        "spacing": 24,
        "concat": panels,
        "resolve": {"scale": {"color": "shared", "shape": "shared", "fill": "shared"}},
        "config": _config(groups),
        "datasets": datasets,
    }


def _shown(groups: Iterable[str]) -> dict[str, Any]:
    """The groups that are shown: a click in the legend switches one."""
    select = {"type": "point", "fields": ["group"], "toggle": "true"}
    return {"name": "shown", "select": select, "bind": "legend", "value": [{"group": group} for group in groups]}


def _zoom(index: int) -> dict[str, Any]:
    """The ranges of the axes of a panel, moved by the mouse."""
    return {
        "name": f"zoom{index}",
        "select": {"type": "interval", "translate": DRAG, "zoom": WHEEL},
        "bind": "scales",
    }


def _tooltip(panel: Panel, *last: dict[str, Any]) -> list[dict[str, Any]]:
    """What hovering shows: the coordinates that are numbers, and `last`."""
    coordinates = [
        {"field": field, "type": "quantitative", "title": _one_line(axis.label), "format": ".4~g"}
        for field, axis in (("x", panel.x), ("y", panel.y))
        if axis.names is None
    ]
    return [*coordinates, *last]


def _layers(
    panel: Panel, x: dict[str, Any], y: dict[str, Any], groups: Mapping[str, Sequence[Series]], legend: str
) -> list[dict[str, Any]]:
    """What a panel without a heat map draws, from the back to the front; last what only hovering needs."""
    names = list(groups)
    key = {"title": legend or None, "orient": "top", "symbolSize": SYMBOL_SIZE, "symbolStrokeWidth": 1.6}
    colours = [COLOURS[i % len(COLOURS)] for i in range(len(names))]
    colour = {"field": "group", "type": "nominal", "scale": {"domain": names, "range": colours}, "legend": key}
    dashes = _dashes(groups)
    rhythm_scale = {"domain": list(dashes), "range": list(dashes.values())}
    rhythm = {"strokeDash": {"field": "group", "type": "nominal", "scale": rhythm_scale, "legend": None}}
    symbols = [_symbol(i, groups[n], dashes.get(n)) for i, n in enumerate(names)]
    shape_scale = {"domain": names, "range": symbols}
    shape = {"shape": {"field": "group", "type": "nominal", "scale": shape_scale, "legend": key}}
    opacity = {"condition": {"param": "shown", "value": 1.0}, "value": 0.08}
    series, interval = ({"field": field, "type": "nominal", "title": field} for field in ("series", "interval"))
    detail = {"detail": series}
    sideways = any(series.interval == "x" for series in panel.series)
    if sideways:
        ends = {"x": {**x, "field": "low"}, "x2": {"field": "high"}}
    else:
        ends = {"y": {**y, "field": "low"}, "y2": {"field": "high"}}

    def of(role: str, mark: dict[str, Any], **encoding: Any) -> dict[str, Any]:
        return {
            "transform": [{"filter": f"datum.role === '{role}'" + " && isValid(datum.low)" * (mark["type"] == "rule")}],
            "mark": {"clip": True, **mark},
            "encoding": {"x": x, "y": y, "color": colour, "opacity": opacity, **encoding},
        }

    # A line is one mark and can show one tooltip only, so unseen points along it carry them.
    hover = {
        "mark": {"type": "point", "clip": True, "filled": True, "size": 150, "opacity": 0},
        "encoding": {"x": x, "y": y, "color": colour, "tooltip": [series, *_tooltip(panel, interval)]},
    }
    layers = [
        of("rival", {"type": "line", "strokeWidth": 1.2}, **detail, **rhythm),
        of("predicted", {"type": "line", "strokeWidth": 2}, **detail),
        of("measured", {"type": "rule", "strokeWidth": 1.4}, **ends),
        of("measured", {"type": "point", "filled": True, "size": 48, "opacity": 1}, **shape),
        hover,
    ]
    return layers if sideways else [of("measured", {"type": "line", "strokeWidth": 0.7}, **detail), *layers]


def _heat_layers(panel: Panel, heat: Heat, data: str, x: dict[str, Any], y: dict[str, Any]) -> list[dict[str, Any]]:
    """A heat map, on it the series in white with a black rim, read on every shade; last what only hovering needs."""
    # Squares, since WeasyPrint draws no gradient.
    square = {"symbolType": "square", "symbolSize": 1.5 * SYMBOL_SIZE, "symbolStrokeWidth": 0}
    legend = {"title": heat.label, "orient": "top", "type": "symbol", "columns": 6, **square}
    scale = {"scheme": "viridis", "domain": list(heat.domain)}
    shade = {"field": "value", "type": "quantitative", "scale": scale, "legend": legend}
    series, interval = ({"field": field, "type": "nominal", "title": field} for field in ("series", "interval"))
    value = {"field": "value", "type": "quantitative", "title": heat.label, "format": ".4~g"}
    tiles = {
        "data": {"name": data},
        # a rim of its own shade: no seams between tiles
        "mark": {"type": "rect", "clip": True, "stroke": {"expr": "scale('fill', datum.value)"}, "strokeWidth": 0.6},
        "encoding": {
            "x": {**x, "field": "left"},
            "x2": {"field": "right"},
            "y": {**y, "field": "bottom"},
            "y2": {"field": "top"},
            "fill": shade,
            "tooltip": _tooltip(panel, value),
        },
    }
    limits = {"y": {**y, "field": "low"}, "y2": {"field": "high"}}

    def of(role: str, mark: dict[str, Any], **encoding: Any) -> dict[str, Any]:
        return {
            "transform": [{"filter": f"datum.role === '{role}'" + " && isValid(datum.low)" * (mark["type"] == "rule")}],
            "mark": {"clip": True, **mark},
            "encoding": {"x": x, "y": y, "detail": series, **encoding},
        }

    point = {"type": "point", "filled": True, "fill": "white", "stroke": "black", "strokeWidth": 1, "size": 44}
    hover = {
        "mark": {"type": "point", "clip": True, "filled": True, "size": 150, "opacity": 0},
        "encoding": {"x": x, "y": y, "tooltip": [series, *_tooltip(panel, interval)]},
    }
    return [
        tiles,
        of("predicted", {"type": "line", "stroke": "black", "strokeWidth": 4}),
        of("predicted", {"type": "line", "stroke": "white", "strokeWidth": 2}),
        of("measured", {"type": "rule", "stroke": "black", "strokeWidth": 3}, **limits),
        of("measured", {"type": "rule", "stroke": "white", "strokeWidth": 1.2}, **limits),
        of("measured", {**point, "opacity": 1}),
        hover,
    ]


def _edges(centres: Sequence[float], axis: Axis) -> list[float]:
    """Borders of the tiles about sorted `centres`: halfway between them on the scale of `axis`."""
    log = axis.scale != "linear"
    c = [math.log(v) if log else v for v in centres]
    between = [(a + b) / 2 for a, b in itertools.pairwise(c)] or [c[0] + 0.5]
    edges = [2 * c[0] - between[0], *between, 2 * c[-1] - between[-1]] if len(c) > 1 else [c[0] - 0.5, *between]
    return [math.exp(edge) for edge in edges] if log else edges


def _tiles(panel: Panel, heat: Heat) -> Iterator[dict[str, float]]:
    """One row per value that is there, with the borders of its tile; a column is divided among the values it has."""
    xs = sorted(float(v) for v in heat.x)
    x_edges = _edges(xs, panel.x)
    for j, x in enumerate(heat.x):
        column = {float(y): float(row[j]) for y, row in zip(heat.y, heat.values, strict=True) if _finite(row[j])}
        ys = sorted(column)
        y_edges = _edges(ys, panel.y) if ys else []
        left, right = x_edges[(k := xs.index(float(x))) : k + 2]
        for i, y in enumerate(ys):
            sides = {"left": left, "right": right, "bottom": y_edges[i], "top": y_edges[i + 1]}
            yield {"x": float(x), "y": y, "value": column[y], **sides}


def _domains(panel: Panel) -> tuple[tuple[float, float], tuple[float, float]]:
    """Ranges of x and y: those of the heat map, or what holds all series with their intervals."""
    if panel.heat is not None:
        x, y = (_edges(sorted(float(v) for v in v_), a) for v_, a in ((panel.heat.x, panel.x), (panel.heat.y, panel.y)))
        return (x[0], x[-1]), (y[0], y[-1])

    def values(axis: str) -> Iterator[float | None]:
        for series in panel.series:
            yield from series.x if axis == "x" else series.y
            if series.interval == axis:
                for limits in (series.low, series.high):
                    yield from () if limits is None else limits

    return _domain(panel.x, values("x")), _domain(panel.y, values("y"))


def _one_line(text: str) -> str:
    """Vega writes the title of a tooltip into an expression, which a line break would end."""
    return " ".join(text.split())


def _groups(figure: Figure) -> dict[str, list[Series]]:
    """Series of every group, in order; a series without a group is its own. None on heat maps, which have one look."""
    groups: dict[str, list[Series]] = {}
    for panel in figure.panels:
        for series in panel.series if panel.heat is None else ():
            groups.setdefault(series.group or series.name, []).append(series)
    return groups


def _dashes(groups: Mapping[str, Sequence[Series]]) -> dict[str, Sequence[float]]:
    """Dash pattern of every group that holds a rival."""
    rivals = [name for name, group in groups.items() if any(series.role == "rival" for series in group)]
    return {name: DASHES[i % len(DASHES)] for i, name in enumerate(rivals)}


def _symbol(index: int, group: Sequence[Series], dash: Sequence[float] | None) -> str:
    """Legend symbol of a group: its shape where it has points, else the line it is drawn with, as an SVG path."""
    roles = {series.role for series in group}
    if "measured" in roles:
        return SHAPES[index % len(SHAPES)]
    unit = math.sqrt(SYMBOL_SIZE) / 2  # px; Vega scales a path from [-1, 1] to the size of a symbol
    pattern = itertools.cycle([18.0] if dash is None or "predicted" in roles else dash)
    path, x = "", -9.0
    while x < 9:
        end = min(x + next(pattern), 9)
        path += f"M{x / unit:.3f},0L{end / unit:.3f},0"
        x = end + next(pattern)
    return path


def _rows(
    panel: Panel, series: Series, x_domain: tuple[float, float], y_domain: tuple[float, float]
) -> Iterator[dict[str, Any]]:
    """Points of `series` that have both coordinates; an unbounded interval reaches the edge of the panel."""
    lengths = {len(values) for values in (series.x, series.y, series.low, series.high) if values is not None}
    if len(lengths) > 1:
        raise InputError(
            f"series {series.name!r} needs as many x, y, low and high; they have {sorted(lengths)} values: "
            "give one of each per point",
            series=series.name,
        )
    nothing = [None] * len(series.x)
    lows = nothing if series.low is None else series.low
    highs = nothing if series.high is None else series.high
    edges = x_domain if series.interval == "x" else y_domain
    for x, y, low, high in zip(series.x, series.y, lows, highs, strict=True):
        if not (_finite(x) and _finite(y)):
            continue
        for value, axis in ((x, panel.x), (y, panel.y)):
            if axis.scale != "linear" and value <= 0:
                raise InputError(
                    f"the logarithmic axis {axis.label!r} needs positive values; series {series.name!r} has "
                    f"{value:g}: drop the point and say so, or use a linear axis",
                    series=series.name,
                    value=float(value),
                )
        row: dict[str, Any] = {"series": series.name, "group": series.group or series.name, "role": series.role}
        row |= {"x": float(x), "y": float(y), "interval": "none"}
        if low is not None and high is not None and not (math.isnan(low) or math.isnan(high)):
            row["interval"] = f"{low:.4g} to {high:.4g}".replace("-", "−").replace("inf", "∞")
            row |= {"low": float(max(low, edges[0])), "high": float(min(high, edges[1]))}
        yield row


def _domain(axis: Axis, values: Iterable[float | None]) -> tuple[float, float]:
    """Range of the axis: the one given, or that of the values it can show with a small margin."""
    if axis.domain is not None:
        return float(axis.domain[0]), float(axis.domain[1])
    log = axis.scale != "linear"
    usable = [float(v) for v in values if v is not None and _finite(v) and (v > 0 or not log)]
    if not usable:
        raise InputError(
            f"the axis {axis.label!r} needs at least one finite value to show and has none: leave the figure out"
        )
    low, high = min(usable), max(usable)
    if log:
        ratio = (high / low) ** MARGIN if high > low else 2.0
        return low / ratio, high * ratio
    margin = (high - low) * MARGIN or abs(high) * 0.1 or 1.0
    return low - margin, high + margin


def _axis(axis: Axis, domain: tuple[float, float], scale_name: str) -> dict[str, Any]:
    """Scale and axis options of one channel, whose scale Vega will call `scale_name`."""
    scale: dict[str, Any] = {"domain": list(domain), "nice": False}
    base = 2 if axis.scale == "log2" else 10
    scale |= {"zero": False} if axis.scale == "linear" else {"type": "log", "base": base}
    if axis.scale == "linear" and axis.ticks is None:
        return {"scale": scale, "axis": {"tickCount": 6}}
    ticks = [float(tick) for tick in (log_ticks(*domain, base) if axis.ticks is None else axis.ticks)]
    fine = _fine_ticks(*domain, base) if axis.ticks is None else ticks
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


def _finite(value: float | None) -> bool:
    return value is not None and math.isfinite(value)


def _config(groups: Iterable[str]) -> dict[str, Any]:
    """Look of every chart: bare axes, a faint grid, ink that follows the page."""
    return {
        "font": FONT,
        "aria": False,
        "view": {"stroke": None},
        "axis": {
            "domainColor": INK,
            "domainOpacity": 0.7,
            "grid": True,
            "gridColor": INK,
            "gridOpacity": 0.1,
            "labelColor": INK,
            "labelFontSize": 10,
            "labelOpacity": 0.85,
            "labelOverlap": "greedy",
            "labelSeparation": 4,
            "tickColor": INK,
            "tickOpacity": 0.5,
            "tickSize": 4,
            "titleColor": INK,
            "titleFontSize": 10.5,
            "titleFontWeight": "normal",
            "titlePadding": 8,
        },
        "legend": {
            "columns": max(1, ROW_WIDTH // (40 + 6 * max(map(len, groups), default=0))),
            "labelColor": INK,
            "labelFontSize": 10,
            "labelLimit": 0,
            "labelOffset": 7,
            "columnPadding": 18,
            "titleColor": INK,
            "titleFontSize": 10,
            "titleFontWeight": 600,
        },
        "title": {"anchor": "start", "color": INK, "fontSize": 11, "fontWeight": 600, "offset": 8},
    }
