"""Headings and rows -> a table where it fits the terminal, else one wrapped line per row; no cell is ever cut."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from effbatch.core.formats import wrapped

if TYPE_CHECKING:
    from rich.console import Console

_UNLIMITED = 10_000  # columns


def print_table(console: Console, title: str, headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a blank line, the title and the rows; text to the left, numbers to the right."""
    from rich.table import Table
    from rich.text import Text

    console.print()
    console.print(Text(title, style="bold"))
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, show_header=any(headings), header_style="dim")
    for heading, cells in zip(headings, zip(*rows, strict=True), strict=True):
        table.add_column(heading, justify="right" if all(map(_is_number, cells)) else "left", no_wrap=True)
    for row in rows:
        table.add_row(*row)
    if console.measure(table, options=console.options.update(max_width=_UNLIMITED)).maximum <= console.width:
        console.print(table)
        return
    for row in rows:
        line = ", ".join(f"{heading} {cell}".strip() for heading, cell in zip(headings, row, strict=True))
        console.print(Text(wrapped(line, console.width, hanging="    ")), soft_wrap=True)


def number(value: float | None, form: str = "") -> str:
    """By its format spec; without one three digits, whole from 1,000 on with separators. None, "cannot tell": `?`."""
    if value is None:
        return "?"
    return format(value, form or (",.0f" if 1000 <= abs(value) < 1e9 else ".3g"))


def with_interval(value: float | None, low: float | None, high: float | None, form: str = "") -> str:
    """`12.3 (10.1 to 15)`; `? (at least 10.1)` where the data cannot tell the number and one limit is open."""
    match (low, high):
        case (None, None):
            limits = "no limit"
        case (_, None):
            limits = f"at least {number(low, form)}"
        case (None, _):
            limits = f"at most {number(high, form)}"
        case _:
            limits = f"{number(low, form)} to {number(high, form)}"
    return f"{number(value, form)} ({limits})"


def _is_number(cell: str) -> bool:
    try:
        float(cell.removesuffix("%").replace(",", ""))
    except ValueError:
        return False
    return True
