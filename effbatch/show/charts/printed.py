"""A figure -> the same at the width of a column in a paper, as SVG or PDF with its fonts embedded.

Type keeps its size in print, 8.25 points: a narrow column has fewer panels in a row and fewer ticks. The paper sets the
caption.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Literal

from effbatch.core.errors import InputError, hint
from effbatch.core.figures import Figure
from effbatch.core.formats import figure_csv
from effbatch.core.resources import font_url
from effbatch.show.charts.drawing import draw, inked, picture, png
from effbatch.show.charts.look import FONTS, PANEL_WIDTH, Row
from effbatch.show.charts.specification import specification

Width = Literal["one-column", "two-columns"]
WIDTHS: dict[str, float] = {"one-column": 85, "two-columns": 175}  # mm
PX_PER_MM, POINTS_PER_PX = 96 / 25.4, 0.75
LEAST_PANEL = 45  # px
DRAWINGS = 4  # by which the width of the panels is found: names and legends take more room or less as it changes
SIZE = re.compile(r'width="([\d.]+)" height="([\d.]+)" viewBox="[^"]*"')


def svg(figure: Figure, width: str) -> str:
    """`figure` as wide as one column of a paper or two, 85 or 175 mm, with its fonts.

    InputError for another width, and for a figure whose words alone are wider.
    """
    fonts = "".join(
        f"@font-face {{ font-family: '{family}'; font-weight: {weight}; src: url({font_url(file)}) }}"
        for file, (family, weight) in FONTS.items()
    )
    drawn, across, high = _fitted(figure, width)
    sized = _sized(drawn, (across, high), (f"{across / PX_PER_MM:.2f}mm", f"{high / PX_PER_MM:.2f}mm"))
    return sized.replace("</title>", f"</title><style>{fonts}</style>", 1)


def pdf(figure: Figure, width: str | None = None, *, alone: bool = False) -> bytes:
    """`figure` as one page of its size, with its fonts; without a width as on screen, `alone` with caption."""
    import vl_convert

    if width is None:
        drawn = draw(figure, alone=True).svg if alone else picture(inked(specification(figure), figure), figure)
        across, high = _size(drawn)
    else:
        drawn, across, high = _fitted(figure, width)
    points = (f"{POINTS_PER_PX * across:.2f}", f"{POINTS_PER_PX * high:.2f}")
    return vl_convert.svg_to_pdf(_sized(drawn, (across, high), points))


def written(figure: Figure, suffix: str, width: str | None = None, *, alone: bool = False) -> bytes:
    """The content of a file of `figure`: .svg, .pdf or .png, or what it shows as .csv; a width is for the first two."""
    if suffix == ".csv":
        return figure_csv(figure).encode()
    if suffix == ".pdf":
        return pdf(figure, width, alone=alone)
    if suffix == ".png":
        return png(figure, alone=alone)
    return (draw(figure, alone=alone).svg if width is None else svg(figure, width)).encode()


def _fitted(figure: Figure, width: str) -> tuple[str, float, float]:
    """The SVG whose panels leave just the room that axes, names and legends need, its width and height in px."""
    if width not in WIDTHS:
        raise InputError(f"the width of a figure is {' or '.join(WIDTHS)}, got {width!r}; {hint(width, WIDTHS)}")
    target = WIDTHS[width] * PX_PER_MM
    most = 1 if width == "one-column" else max(PANEL_WIDTH)
    in_row = min(len(figure.panels), most)
    row = Row(target, most, int(target / max(in_row, 1)) - 60)
    for _ in range(DRAWINGS):
        drawn = picture(inked(specification(figure, row), figure), figure)
        across, high = _size(drawn)
        panel = max(LEAST_PANEL, (row.panel or 0) + int((target - across) // in_row))
        if panel == row.panel:
            break
        row = replace(row, panel=panel)
    if across > target:
        raise InputError(
            f"figure {figure.name!r} needs {across / PX_PER_MM:.0f} mm, got {width} of {WIDTHS[width]:g} mm: give a "
            "wider one, or leave the width out"
        )
    return drawn, target, high


def _size(drawn: str) -> tuple[float, float]:
    width, height = SIZE.search(drawn).groups()  # type: ignore[union-attr] # Vega writes both
    return float(width), float(height)


def _sized(drawn: str, box: tuple[float, float], size: tuple[str, str]) -> str:
    """The same drawing with another frame, in px, and of another size on paper."""
    frame = f'width="{size[0]}" height="{size[1]}" viewBox="0 0 {box[0]:.2f} {box[1]:.2f}"'
    return SIZE.sub(frame, drawn, count=1)
