"""A figure as plain data -> one Vega-Lite specification with its data, for the screen and for paper."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields, is_dataclass, replace
from functools import cache
from typing import Any

from effbatch.core.errors import InputError
from effbatch.core.figures import Figure, Panel
from effbatch.core.formats import typeset
from effbatch.show.charts.axes import channels, domains
from effbatch.show.charts.curves import curve_layers, groups_of, name_layers
from effbatch.show.charts.ends import names_at_ends, room
from effbatch.show.charts.look import MAP_HEIGHT, PANEL_HEIGHT, PANEL_WIDTH, ROW_HEIGHT, ROW_WIDTH, Row, config
from effbatch.show.charts.maps import map_layers, tiles
from effbatch.show.charts.marks import rows

# A mouse drags the axes; with Ctrl (and so with two fingers on a touchpad) the wheel zooms. Touch and plain wheel are
# left to the page, which has to scroll.
DRAG = "[pointerdown[event.pointerType == 'mouse'], window:pointerup] > window:pointermove!"
WHEEL = "wheel![event.ctrlKey]"
PAGE = Row()


def specification(figure: Figure, row: Row = PAGE) -> dict[str, Any]:
    """The Vega-Lite specification of `figure`; the last layer of every panel is what only hovering needs."""
    if not figure.panels:
        raise InputError(f"figure {figure.name!r} needs at least one panel and has none: give its panels")
    figure = _typeset(figure)
    groups = groups_of(figure)
    in_row = min(len(figure.panels), row.most)
    narrow = row.width < ROW_WIDTH
    ends = names_at_ends(figure, groups, in_row, narrow=narrow)
    free = ROW_WIDTH - PANEL_WIDTH[1] - 55 if in_row == 1 else 0  # px beside the panel and its axis
    width = row.panel or PANEL_WIDTH[in_row] - max(0, room(ends) - free)
    datasets: dict[str, list[dict[str, Any]]] = {}
    panels = []
    for i, panel in enumerate(figure.panels):
        name = f"panel{i}"
        x_domain, y_domain = domains(panel)
        datasets[name] = [row for series in panel.series for row in rows(panel, series, x_domain, y_domain)]
        x, y = channels(panel, (x_domain, y_domain), name, row.ticks)
        if panel.heat is None:
            layers = curve_layers(panel, x, y, groups, legend=not ends)
        else:
            datasets[f"heat{i}"] = list(tiles(panel, panel.heat))
            layers = map_layers(panel, panel.heat, f"heat{i}", x, y, narrow=narrow)
        layers[0]["params"] = [_zoom(i)] + [_shown(groups)] * (i == 0 and bool(groups) and not ends)
        if ends:
            datasets[f"ends{i}"] = ends[i]
            layers[-1:-1] = name_layers(f"ends{i}", x, y, groups)
        panels.append(
            {
                "name": name,
                "width": width,
                "height": _height(panel, in_row),
                "data": {"name": name},
                "layer": layers,
                **({"title": panel.title} if panel.title else {}),
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
        "config": config(groups, row, [name for panel in figure.panels for name in panel.y.names or ()]),
        "datasets": datasets,
    }


def _typeset(part: Any) -> Any:
    """A figure, or a part of one, with the powers in all its texts raised."""
    if is_dataclass(part) and not isinstance(part, type):
        return replace(part, **{field.name: _typeset(getattr(part, field.name)) for field in fields(part)})
    if isinstance(part, list | tuple):
        return [_typeset(one) for one in part]
    return typeset(part) if isinstance(part, str) else part


def _height(panel: Panel, in_row: int) -> int:
    if panel.y.names is not None:
        return ROW_HEIGHT * len(panel.y.names)
    return (PANEL_HEIGHT if panel.heat is None else MAP_HEIGHT)[in_row]


@cache
def vega_lite_version() -> str:
    """The newest Vega-Lite that vl-convert draws ("6.1")."""
    import vl_convert

    return max(vl_convert.get_vegalite_versions(), key=lambda version: [int(part) for part in version.split(".")])


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
