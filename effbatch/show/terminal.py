"""A page -> lines for a terminal: every word and number whole, whatever the width."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import click

from effbatch.core.figures import Figure, Table
from effbatch.core.formats import formatted, is_quantity, wrapped
from effbatch.core.pages import Code, Heading, Note, Page, Part, Terms

WIDTH = 80  # columns
SCREEN = 24  # lines of 80 columns, for an answer that nobody asked all of
WIDEST = 100  # of a line of prose: longer ones are hard to read
BOLD, DIM, HEADING = {"bold": True}, {"dim": True}, {"bold": True, "fg": "cyan"}
_PLAIN: dict[str, Any] = {}


def as_text(page: Page, width: int = WIDTH) -> str:
    """The page as plain lines of at most `width` columns; a longer word, or a line of code, stands out."""
    return "\n".join(lines for lines, _ in _styled(page, width))


def on_a_screen(made: Callable[[int], Page], rows: int) -> Page:
    """The page of the most rows, from `rows` down to one, that fits 24 lines of 80 columns."""
    shortest = made(1)
    return next((p for p in map(made, range(rows, 1, -1)) if as_text(p).count("\n") < SCREEN), shortest)


def echo(page: Page) -> None:
    """Print the page as wide as the terminal, headings in colour and notes dim where it knows styles."""
    for lines, style in _styled(page, columns()):
        _print(lines, style)


def say(text: str, *, hanging: str = "", colour: str | None = None) -> None:
    """Print one sentence, its further lines after `hanging`, in a colour where the terminal knows any."""
    _print(_prose(text, columns(), hanging=hanging), {"fg": colour} if colour else _PLAIN)


def height(text: str, *, hanging: str = "") -> int:
    """How many lines of 80 columns a sentence takes, its further lines after `hanging`."""
    return _prose(text, WIDTH, hanging=hanging).count("\n") + 1


def _print(lines: str, style: dict[str, Any]) -> None:
    """Styled on a terminal (or with FORCE_COLOR), without colours where NO_COLOR is set."""
    forced = True if os.environ.get("FORCE_COLOR") else None
    style = {key: value for key, value in style.items() if key != "fg" or not os.environ.get("NO_COLOR")}
    click.echo(click.style(lines, **style) if style and lines else lines, color=forced)


def columns() -> int:
    """Of the terminal, 80 where there is none."""
    return shutil.get_terminal_size().columns


def _styled(page: Page, width: int) -> Iterator[tuple[str, dict[str, Any]]]:
    """Blocks of lines with their style; what stands below a heading is indented."""
    yield _prose(page.title, width), BOLD
    indent = ""
    for part in page.parts:
        if isinstance(part, Heading) or (isinstance(part, Table) and part.caption):
            yield "", _PLAIN
            yield _prose(part.text if isinstance(part, Heading) else part.caption, width), HEADING
            indent = "  "
        for lines in _lines(part, width, indent):
            yield lines, DIM if isinstance(part, Note) else _PLAIN


def _lines(part: Part, width: int, indent: str) -> list[str]:
    if isinstance(part, Heading):
        return []
    if isinstance(part, Table):
        return _table(part, width, indent)
    if isinstance(part, Code):
        return ["", *(f"    {line}".rstrip() for line in part.text.splitlines())]
    if isinstance(part, Terms):
        return [_prose(f"{word}: {said}", width, indent, indent + "  ") for word, said in part.of.items()]
    text = part if isinstance(part, str) else f"Figure: {part.caption}" if isinstance(part, Figure) else part.text
    return [_prose(text, width, indent, indent + "  " * text.startswith("- "))]


def _prose(text: str, width: int, indent: str = "", hanging: str = "") -> str:
    return wrapped(text, min(width, WIDEST), indent=indent, hanging=hanging)


def _table(table: Table, width: int, indent: str) -> list[str]:
    """Numbers flush right, text flush left; where that is too wide, one wrapped line per row."""
    if not table.rows:
        return []
    cells = formatted(table)
    right = [is_quantity(column) for column in cells]
    columns = [[head, *column] for head, column in zip(table.columns, cells, strict=True)]
    padded = [_padded(column, flush_right) for column, flush_right in zip(columns, right, strict=True)]
    lines = [(indent + "  ".join(row)).rstrip().replace("\u00a0", " ") for row in zip(*padded, strict=True)]
    if max(map(len, lines)) <= width:
        return lines if any(table.columns) else lines[1:]
    told = [_told(table.columns, row) for row in zip(*cells, strict=True)]
    return [wrapped(line, width, indent=indent, hanging=indent + "    ") for line in told]


def _padded(cells: Sequence[str], right: bool) -> list[str]:
    width = max(map(len, cells))
    return [cell.rjust(width) if right else cell.ljust(width) for cell in cells]


def _told(headings: Sequence[str], row: Sequence[str]) -> str:
    """A row in one line, every cell after its heading; the star of a marked row stands before both."""
    star = "* " * row[0].startswith("* ")
    row = [row[0].removeprefix("* "), *row[1:]]
    spaces = ["\u00a0" if is_quantity([cell]) else " " for cell in row]  # a number stays with its heading
    cells = [f"{head}{space}{cell}".strip() for head, space, cell in zip(headings, spaces, row, strict=True) if cell]
    return star + ", ".join(cells)
