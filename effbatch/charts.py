"""A figure as plain data -> one Altair definition -> an interactive Vega-Lite spec, and an SVG for paper.

Measured values are filled points with interval bars on a thin line, predictions solid lines, rivals thin dashed
lines. A group has a colour (Okabe & Ito 2008, told apart by colour-blind readers) and a shape or dash pattern, so
that grey print still tells the groups apart. Text, axes and grid are drawn in `currentColor`: ink on paper, light on
a dark screen.
"""

from __future__ import annotations

import itertools
import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any
from xml.sax.saxutils import escape

from effbatch.errors import InputError
from effbatch.exhibits import Axis, Figure, Panel, Series
from effbatch.resources import bundled

if TYPE_CHECKING:
    import altair as alt

FONT = "Inter, Noto Sans Math, sans-serif"
INK = "currentColor"
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", INK)
SHAPES = ("circle", "square", "triangle-up", "diamond", "triangle-down", "cross")
DASHES: tuple[Sequence[float], ...] = ([5, 4], [2, 2.5], [9, 3], [8, 3, 2, 3])  # px drawn, px left free, ...
SYMBOL_SIZE = 56  # of the legend, px²
# Size of one panel in px by the number of panels in a row: a row fills the text width of A4.
ROW_WIDTH = 630
PANEL_WIDTH = {1: 460, 2: 240, 3: 138}
PANEL_HEIGHT = {1: 270, 2: 210, 3: 165}
MARGIN = 0.04  # of the axis, left free beyond the outermost value

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

    _register_fonts()
    spec = _chart(figure).to_dict()
    svg = vl_convert.vegalite_to_svg(spec, vl_version=vega_lite_version(), allowed_base_urls=[])
    svg = _rename_ids(svg, "".join(c if c.isalnum() else "-" for c in figure.name))
    return Drawing(spec, svg.replace(">", f"><title>{escape(figure.caption)}</title>", 1))


def reading_key(figure: Figure) -> str:
    """One sentence that says how `figure` shows what was measured, predicted and held by rivals."""
    roles = {series.role for panel in figure.panels for series in panel.series}
    bars = any(series.low is not None for panel in figure.panels for series in panel.series)
    shown = {
        "measured": "points, measured" + (" (bars: interval)" if bars else ""),
        "predicted": "solid lines, predicted",
        "rival": "dashed lines, rival laws",
    }
    text = "; ".join(words for role, words in shown.items() if role in roles)
    return f"{text[:1].upper()}{text[1:]}."


def vega_lite_version() -> str:
    """Vega-Lite version that Altair writes, as vl-convert names it ("6.1")."""
    import altair as alt

    return ".".join(alt.SCHEMA_VERSION.removeprefix("v").split(".")[:2])


def tick_label(value: float, scale: str) -> str:
    """A tick as readers write it: 1/128 on a log2 axis, 10⁵ and 10⁻⁴ far from one, 5,000 between."""
    if scale == "log2" and 0 < value < 1 and (1 / value).is_integer():
        return f"1/{1 / value:.0f}"
    if value != 0 and not 1e-3 <= abs(value) < 1e5:
        exponent = math.floor(math.log10(abs(value)))
        factor = value / 10.0**exponent
        power = "10" + str(exponent).translate(_SUPERSCRIPT)
        return power if math.isclose(factor, 1) else f"{factor:.3g}×{power}".replace("-", "−")
    return f"{value:,.4g}".replace("-", "−")


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


def _chart(figure: Figure) -> alt.ConcatChart:
    import altair as alt

    if not figure.panels:
        raise InputError(f"figure {figure.name!r} needs at least one panel and has none: give its panels")
    groups = _groups(figure)
    in_row = min(len(figure.panels), max(PANEL_WIDTH))
    shown = alt.selection_point(
        name="shown",
        fields=["group"],
        bind="legend",
        toggle="true",
        value=[{"group": group} for group in groups],
    )
    size = {"width": PANEL_WIDTH[in_row], "height": PANEL_HEIGHT[in_row]}
    panels = [_panel(panel, groups, figure.legend, shown).properties(**size) for panel in figure.panels]
    panels[0] = panels[0].add_params(shown)
    chart = alt.concat(*panels, columns=in_row, spacing=24).resolve_scale(color="shared", shape="shared")
    return chart.properties(background="transparent", padding=4).configure(**_config(alt, groups))


def _panel(panel: Panel, groups: Mapping[str, Sequence[Series]], legend: str, shown: alt.Parameter) -> alt.LayerChart:
    import altair as alt

    x_domain = _domain(panel.x, (v for s in panel.series for v in s.x))
    y_domain = _domain(panel.y, (v for s in panel.series for vs in (s.y, s.low, s.high) if vs is not None for v in vs))
    rows = [row for series in panel.series for row in _rows(panel, series, y_domain)]
    data = alt.Data(values=rows)
    x = alt.X("x:Q", title=panel.x.label, **_axis(panel.x, x_domain))
    y = alt.Y("y:Q", title=panel.y.label, **_axis(panel.y, y_domain))
    names = list(groups)
    key = alt.Legend(title=legend or None, orient="top", symbolSize=SYMBOL_SIZE, symbolStrokeWidth=1.6)
    colour = alt.Color(
        "group:N",
        scale=alt.Scale(domain=names, range=[COLOURS[i % len(COLOURS)] for i in range(len(names))]),
        legend=key,
    )
    dashes = _dashes(groups)
    shape = alt.Shape(
        "group:N",
        scale=alt.Scale(domain=names, range=[_symbol(i, groups[n], dashes.get(n)) for i, n in enumerate(names)]),
        legend=key,
    )
    rhythm = alt.StrokeDash("group:N", scale=alt.Scale(domain=list(dashes), range=list(dashes.values())), legend=None)
    opacity = alt.condition(shown, alt.value(1.0), alt.value(0.08))
    tooltip = [
        alt.Tooltip("series:N", title="series"),
        alt.Tooltip("x:Q", title=_one_line(panel.x.label), format=".4~g"),
        alt.Tooltip("y:Q", title=_one_line(panel.y.label), format=".4~g"),
        alt.Tooltip("interval:N", title="interval"),
    ]
    base = alt.Chart(data).encode(x=x, y=y, color=colour)

    def of(role: str) -> alt.Chart:
        return base.encode(opacity=opacity).transform_filter(alt.datum.role == role)

    def line(role: str, **style: Any) -> alt.Chart:
        return of(role).mark_line(clip=True, **style).encode(detail="series:N")

    bars = of("measured").transform_filter("isValid(datum.low)").mark_rule(clip=True, strokeWidth=1.4)
    layers = [
        line("rival", strokeWidth=1.2).encode(strokeDash=rhythm),
        line("measured", strokeWidth=0.7),
        line("predicted", strokeWidth=2),
        bars.encode(y=alt.Y("low:Q"), y2="high:Q"),
        of("measured").mark_point(clip=True, filled=True, size=48, opacity=1).encode(shape=shape),
        # A line is one mark and can show one tooltip only, so unseen points along it carry them.
        base.mark_point(clip=True, filled=True, size=150, opacity=0).encode(tooltip=tooltip),
    ]
    chart = alt.LayerChart(layer=layers)
    return chart.properties(title=panel.title) if panel.title else chart


def _one_line(text: str) -> str:
    """Vega writes the title of a tooltip into an expression, which a line break would end."""
    return " ".join(text.split())


def _groups(figure: Figure) -> dict[str, list[Series]]:
    """Series of every group, in order; a series without a group is its own."""
    groups: dict[str, list[Series]] = {}
    for panel in figure.panels:
        for series in panel.series:
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


def _rows(panel: Panel, series: Series, y_domain: tuple[float, float]) -> Iterator[dict[str, Any]]:
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
            row |= {"low": float(max(low, y_domain[0])), "high": float(min(high, y_domain[1]))}
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


def _axis(axis: Axis, domain: tuple[float, float]) -> dict[str, Any]:
    """Scale and axis options of one channel."""
    import altair as alt

    scale: dict[str, Any] = {"domain": list(domain), "nice": False, "zero": False}
    ticks = None if axis.ticks is None else [float(tick) for tick in axis.ticks]
    if axis.scale != "linear":
        base = 2 if axis.scale == "log2" else 10
        scale |= {"type": "log", "base": base}
        del scale["zero"]
        ticks = log_ticks(*domain, base) if ticks is None else ticks
    if ticks is None:
        return {"scale": alt.Scale(**scale), "axis": alt.Axis(tickCount=6)}
    labels = [tick_label(tick, axis.scale) for tick in ticks]
    # Vega holds the very numbers of the tick list, so that looking one up by equality is safe.
    expression = f"{json.dumps(labels, ensure_ascii=False)}[indexof({json.dumps(ticks)}, datum.value)]"
    return {"scale": alt.Scale(**scale), "axis": alt.Axis(values=ticks, labelExpr=expression)}


def _finite(value: float | None) -> bool:
    return value is not None and math.isfinite(value)


def _config(alt: Any, groups: Iterable[str]) -> dict[str, Any]:
    """Look of every chart: bare axes, a faint grid, ink that follows the page."""
    return {
        "font": FONT,
        "aria": False,
        "view": alt.ViewConfig(stroke=None),
        "axis": alt.AxisConfig(
            domainColor=INK,
            domainOpacity=0.7,
            grid=True,
            gridColor=INK,
            gridOpacity=0.1,
            labelColor=INK,
            labelFontSize=10,
            labelOpacity=0.85,
            labelOverlap="greedy",
            labelSeparation=4,
            tickColor=INK,
            tickOpacity=0.5,
            tickSize=4,
            titleColor=INK,
            titleFontSize=10.5,
            titleFontWeight="normal",
            titlePadding=8,
        ),
        "legend": alt.LegendConfig(
            columns=max(1, ROW_WIDTH // (40 + 6 * max(map(len, groups)))),
            labelColor=INK,
            labelFontSize=10,
            labelLimit=0,
            labelOffset=7,
            columnPadding=18,
            titleColor=INK,
            titleFontSize=10,
            titleFontWeight=600,
        ),
        "title": alt.TitleConfig(anchor="start", color=INK, fontSize=11, fontWeight=600, offset=8),
    }
