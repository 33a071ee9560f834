"""The text of a table -> its cells and their numbers, whatever separates them and whatever the decimal mark is."""

from __future__ import annotations

import codecs
import csv
import io
import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from effbatch.core.errors import InputError, beside

MAX_BYTES = 100_000_000
SUMS = ("all", "total", "totals", "sum", "sums", "grand total")  # what rows and columns of sums are called
SEPARATORS = "\t;,"  # the first that gives rows of one length; a decimal comma can stand in none but the last

_BETWEEN_THOUSANDS = {".": r",\s'’", ",": r".\s'’"}  # by decimal mark
_NUMBER = {
    mark: re.compile(rf"[-+−]?(\d+|[1-9]\d{{0,2}}([{between}]\d{{3}})+)?([{mark}]\d*)?([eE][-+]?\d+)?\s*%?")
    for mark, between in _BETWEEN_THOUSANDS.items()
}


def read_text(path: str | Path, what: str) -> str:
    """The text of a file in UTF-8, in UTF-16 with its mark, or else as Windows writes it; what it is stands in errors.

    InputError where it cannot be read or is too large, ValueError where it is no text.
    """
    path = Path(path)
    try:
        if path.stat().st_size > MAX_BYTES:
            raise InputError(
                f"{what} needs at most {MAX_BYTES:,} bytes, got {path.stat().st_size:,} in {path}: shorten it"
            )
        raw = path.read_bytes()
    except OSError as error:
        raise InputError(f"{what} {path} cannot be read: {error.strerror or error}{beside(path)}") from error
    marked = raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    for encoding in ["utf-16"] if marked else ["utf-8-sig", "cp1252"]:
        try:
            text = raw.decode(encoding)
        except UnicodeDecodeError:
            continue
        if "\0" not in text:
            return text
    raise ValueError("it is not text: save it as CSV in UTF-8")


@dataclass(frozen=True)
class Cells:
    """Rows of one length of stripped cells, and what separated them."""

    rows: list[list[str]]
    separator: str

    def numbers(self, cells: Iterable[str], *, counts: bool = True) -> list[float]:
        """The numbers in some of the cells, all with one decimal mark; ValueError names what is none.

        A percent sign is left out. Where point and comma can both be the decimal mark of counts, it is the point
        between commas, else the mark that leaves whole numbers, else the one that makes the other stand between
        thousands, if some numbers have no mark. What then still has two readings is an error.
        """
        cells = list(cells)
        if self.separator == "," and (plain := _plain(cells)) is not None:
            return plain
        readings = {mark: [_value(c, mark) for c in cells] for mark in _NUMBER if all(_matches(c, mark) for c in cells)}
        if not readings:
            wrong = next((c for c in cells if not is_number(c)), None)
            if wrong is None:
                raise ValueError("some numbers have a decimal point and others a decimal comma")
            raise ValueError(f"{wrong!r} is not a number" if wrong else "a cell is empty: write 0")
        first, *others = readings.values()
        if not others or others == [first] or (counts and self.separator == ","):
            return first
        whole = counts and [values for values in readings.values() if all(v.is_integer() for v in values)]
        if whole and len(whole) == 1:
            return whole[0]
        if whole and any(cell.isdigit() for cell in cells):
            return max(whole, key=sum)
        cell = next(c for c in cells if _value(c, ".") != _value(c, ","))
        one, other = (f"{_value(cell, mark):g}" for mark in _NUMBER)
        raise ValueError(f"{cell!r} may be {one} or {other}: write numbers without marks between thousands")


def cells_of(text: str) -> Cells:
    """The cells of a text without empty rows and columns; ValueError where its rows differ in length.

    Tabs, semicolons, commas or else spaces separate them, quotes hold them together. Comments may stand above, as
    `numpy.savetxt` writes them. A first row that is one cell shorter than all others, as R writes it, lacks its corner.
    """
    lines = text.splitlines()
    while lines and (not lines[0].strip() or lines[0].startswith("# ")):
        del lines[0]
    tried = {separator: _split("\n".join(lines), separator) for separator in SEPARATORS}
    tried[" "] = [line.split() for line in lines]
    tables = [Cells(rows, mark) for mark, raw in tried.items() if (rows := _rectangle(raw))]
    wide = [table for table in tables if len(table.rows[0]) > 1]
    if not wide and len(tables) < len(tried):  # rows of one length only because nothing separates their cells
        widths = sorted({len(row) for row in tried[","] if any(row)})
        raise ValueError(f"its rows have {' and '.join(map(str, widths))} cells" if widths else "it is empty")
    return (wide or tables)[0]


def is_number(cell: str) -> bool:
    """Whether a cell can be read as a number."""
    return any(_matches(cell, mark) for mark in _NUMBER)


def _split(text: str, separator: str) -> list[list[str]]:
    try:
        return [*csv.reader(io.StringIO(text), delimiter=separator, skipinitialspace=True)]
    except csv.Error:
        return []


def _rectangle(rows: list[list[str]]) -> list[list[str]] | None:
    rows = [[cell.strip() for cell in row] for row in rows]
    rows = [row for row in rows if any(row)]
    if len(rows) > 1 and {len(row) - len(rows[0]) for row in rows[1:]} == {1}:
        rows[0].insert(0, "")
    if not rows or len({len(row) for row in rows}) > 1:
        return None
    filled = [i for i, column in enumerate(zip(*rows, strict=True)) if any(column)]
    return [[row[i] for i in filled] for row in rows]


def _plain(cells: list[str]) -> list[float] | None:
    """Numbers that Python reads, many times faster than patterns do; None where some are not finite numbers."""
    try:
        values = [*map(float, cells)]
    except ValueError:
        return None
    return values if all(map(math.isfinite, values)) else None


def _matches(cell: str, mark: str) -> bool:
    return bool(_NUMBER[mark].fullmatch(cell)) and any(c.isdecimal() for c in cell.casefold().split("e")[0])


def _value(cell: str, mark: str) -> float:
    digits = re.sub(f"[{_BETWEEN_THOUSANDS[mark]}%]", "", cell.replace("−", "-"))
    return float(digits.replace(mark, "."))
