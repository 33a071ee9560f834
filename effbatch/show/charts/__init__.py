"""A figure as plain data -> one Vega-Lite spec, interactive on screen -> the same as SVG for paper, PNG, or PDF.

Measured values are filled points with interval bars on a thin line, predictions solid lines, rivals thin dashed
lines.
"""

from effbatch.show.charts.drawing import Drawing, draw, png, reading_key
from effbatch.show.charts.printed import WIDTHS, pdf, written
from effbatch.show.charts.printed import svg as printed_svg
from effbatch.show.charts.specification import vega_lite_version

__all__ = ["WIDTHS", "Drawing", "draw", "pdf", "png", "printed_svg", "reading_key", "vega_lite_version", "written"]
