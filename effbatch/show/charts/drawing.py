"""A figure as plain data -> interactive on screen, the same as SVG for paper, or PNG; and how to read it, in words."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import cache
from textwrap import wrap
from typing import Any
from xml.sax.saxutils import escape

from effbatch.core.figures import Figure
from effbatch.core.formats import typeset
from effbatch.core.resources import bundled
from effbatch.show.charts.axes import finite
from effbatch.show.charts.curves import sideways
from effbatch.show.charts.look import INK
from effbatch.show.charts.specification import specification, vega_lite_version

PAPER, PRINTED_INK = "#ffffff", "#1a1f24"  # of a PNG, which knows no page
CAPTION_WIDTH = {1: 92, 2: 118, 3: 118}  # characters by the number of panels in a row
PIXELS_PER_PX = 3  # of a PNG: 288 dots per inch


@dataclass(frozen=True)
class Drawing:
    """One chart twice: a Vega-Lite spec for the screen and an SVG document for paper."""

    spec: dict[str, Any]
    svg: str


def draw(figure: Figure, *, alone: bool = False) -> Drawing:
    """Draw `figure`; on screen, hovering shows values and intervals, a click in the legend switches a group.

    alone  in dark ink on white with caption and key below, for what has no page around it
    Points without both coordinates are left out. InputError if a series has lists of different lengths or a value
    that its logarithmic axis cannot show.
    """
    spec = inked(specification(figure), figure, caption=True) if alone else specification(figure)
    return Drawing(spec, picture(spec, figure))


def picture(spec: dict[str, Any], figure: Figure) -> str:
    """The SVG document of a specification of `figure`."""
    import vl_convert

    _register_fonts()
    still = {**spec, "concat": [{**panel, "layer": panel["layer"][:-1]} for panel in spec["concat"]]}  # no hover points
    svg = vl_convert.vegalite_to_svg(still, vl_version=vega_lite_version(), allowed_base_urls=[])
    svg = re.sub(r' (?:role="graphics-|aria-roledescription=")[^"]*"', "", svg)  # the whole is one image with a title
    svg = _rename_ids(svg, "".join(c if c.isalnum() else "-" for c in figure.name))
    return svg.replace(">", f"><title>{escape(typeset(figure.caption))}</title>", 1)


def png(figure: Figure, *, alone: bool = False) -> bytes:
    """`figure` in dark ink on white, as a PNG of 288 dots per inch; `alone`: with caption and key below."""
    import vl_convert

    _register_fonts()
    return vl_convert.vegalite_to_png(
        inked(specification(figure), figure, caption=alone),
        vl_version=vega_lite_version(),
        scale=PIXELS_PER_PX,
        ppi=72.0,
        allowed_base_urls=[],
    )


def reading_key(figure: Figure) -> str:
    """One sentence that says how `figure` shows what was measured, predicted and held by rivals."""
    shown_in = [(panel, s) for panel in figure.panels for s in panel.series if any(map(finite, s.y))]
    every = [series for _, series in shown_in]
    roles = {series.role for series in every}
    bars, bars_of_dots = (
        " (bars: interval)" * any(series.low is not None for series in every if series.dots == dots)
        for dots in (False, True)
    )
    lines = any(sum(map(finite, series.y)) > 1 for series in every if series.role == "predicted")
    drawn = ["points"] * any(series.dots for series in every) + ["solid lines"] * lines
    if any(panel.heat is not None for panel in figure.panels):
        shown = {
            "measured": f"white points, measured{bars}",
            "predicted": "white line, predicted",
            "rival": "dashed, rivals",
        }
        return "Shades, measured; " + "; ".join(words for role, words in shown.items() if role in roles) + "."
    joined = any(s.role == "measured" and sum(map(finite, s.y)) > 1 and not sideways(panel) for panel, s in shown_in)
    patterns = len({series.group or series.name for series in every if series.role == "rival"})
    shown = {
        "measured": f"points{', joined by thin lines' * joined}, measured{bars}",
        "predicted": f"{' and '.join(drawn)}, predicted{bars_of_dots}",
        "rival": f"{'dashed' if patterns == 1 else 'dashed and dotted'} lines, for comparison",
    }
    text = "; ".join(words for role, words in shown.items() if role in roles)
    return f"{text[:1].upper()}{text[1:]}."


def inked(spec: dict[str, Any], figure: Figure, *, caption: bool = False) -> dict[str, Any]:
    """`spec` in dark ink on white, with its caption and key where they are wanted."""
    ink = json.loads(json.dumps(spec).replace(f'"{INK}"', f'"{PRINTED_INK}"'))
    if caption:
        lines = wrap(
            typeset(f"{figure.caption} {reading_key(figure)}".replace("`", "")), CAPTION_WIDTH[spec["columns"]]
        )
        words = {"anchor": "start", "fontSize": 10.5, "fontWeight": "normal", "lineHeight": 15, "offset": 12}
        ink["title"] = {"text": lines, "orient": "bottom", "color": PRINTED_INK, **words}
    return {**ink, "background": PAPER}


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
