"""How charts look: colours, shapes and dashes that tell groups apart, sizes, bare axes, ink that follows the page.

A group has a colour (Okabe & Ito 2008, told apart by colour-blind readers) and a shape or dash pattern, so that grey
print still tells the groups apart. Text, axes and grid are drawn in `currentColor`: ink on paper, light on a dark
screen.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

FONTS = {  # file -> CSS family, weight
    "Inter-Regular.otf": ("Inter", 400),
    "Inter-SemiBold.otf": ("Inter", 600),
    "NotoSansMath-Regular.ttf": ("Noto Sans Math", 400),
}
FONT = "Inter, Noto Sans Math, sans-serif"
INK = "currentColor"
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", INK)
SHAPES = ("circle", "square", "triangle-up", "diamond", "triangle-down", "cross")
DASHES: tuple[Sequence[float], ...] = ([5, 4], [2, 2.5], [9, 3], [8, 3, 2, 3], [1, 4])  # px drawn, px left free, ...
SYMBOL_SIZE = 56  # of the legend, px²
# Size of one panel in px by the number of panels in a row: a row fills the text width of A4.
ROW_WIDTH = 650
PANEL_WIDTH = {1: 500, 2: 252, 3: 145}
PANEL_HEIGHT = {1: 190, 2: 200, 3: 170}
MAP_HEIGHT = {1: 150, 2: 160, 3: 90}
ROW_HEIGHT = 23  # of a category
LABEL_FONT = 11  # px
TICKS = 6  # about, of a linear axis


@dataclass(frozen=True)
class Row:
    """How panels fill a row: its width in px, the most of them side by side, and the width of one where it is set."""

    width: float = ROW_WIDTH
    most: int = max(PANEL_WIDTH)
    panel: int | None = None

    @property
    def ticks(self) -> int:
        """About how many an axis without given ones has."""
        return TICKS if self.panel is None else max(3, min(TICKS, self.panel // 45))


def config(groups: Iterable[str], row: Row, names: Iterable[str] = ()) -> dict[str, Any]:
    """Look of every chart: bare axes, a faint grid, ink that follows the page.

    names  what stands at the left of a panel in place of numbers; the legend begins where the panel does
    """
    free = int(row.width) - 6 * max(map(len, names), default=0)
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
            "labelFontSize": LABEL_FONT,
            "labelOpacity": 0.85,
            "labelOverlap": "greedy",
            "labelSeparation": 4,
            "tickColor": INK,
            "tickOpacity": 0.5,
            "tickSize": 4,
            "titleColor": INK,
            "titleFontSize": LABEL_FONT,
            "titleFontWeight": "normal",
            "titlePadding": 8,
        },
        "legend": {
            "columns": max(1, free // (40 + 6 * max(map(len, groups), default=0))),
            "labelColor": INK,
            "labelFontSize": LABEL_FONT,
            "labelLimit": 0,
            "labelOffset": 7,
            "columnPadding": 18,
            "titleColor": INK,
            "titleFontSize": LABEL_FONT,
            "titleFontWeight": 600,
        },
        "title": {"anchor": "start", "color": INK, "fontSize": LABEL_FONT, "fontWeight": 600, "offset": 8},
    }
