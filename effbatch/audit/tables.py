"""A table of counts as spreadsheets and pandas write it -> K×K counts, the names of the classes, and what was read.

Rows are checked classes, columns given labels; either, both or neither has names, in words or numbers. Rows and columns
are aligned by name, and sums of the others are left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from effbatch.audit.shares import counts_from_shares
from effbatch.core.delimited import SUMS, Cells, cells_of, is_number, read_text
from effbatch.core.errors import InputError
from effbatch.core.formats import shortened
from effbatch.data.classes import check_spelling
from effbatch.noise.matrixfile import read_matrix

MAX_CLASSES = 200  # resampling takes seconds there, and nobody checks 40,000 kinds of mistake by hand
_COLUMNS_FIRST = ("given", "given label", "given labels", "noisy", "noisy label", "noisy labels")
LOOKS = (
    "give one row per checked class and one column per given label, with how many of the checked examples are both, as "
    "in the rows ,cat,dog and cat,40,5 and dog,4,31"
)
_SHOWN = 6  # names in the line that says what was read


@dataclass(frozen=True)
class CountsTable:
    """K×K counts, rows checked class and columns given label, with the names of the classes where the file has them."""

    counts: NDArray[np.int64]
    names: tuple[str, ...] | None
    remarks: tuple[str, ...] = ()

    @property
    def read_as(self) -> str:
        """What was read, in one line."""
        K, names = len(self.counts), self.names
        shown = map(shortened, (names or ())[:_SHOWN])
        by = "by position" if names is None else f"({', '.join([*shown, *['...'] * (K > _SHOWN)])}) from names"
        return "; ".join([f"{K} classes {by}, {self.counts.sum():,} checked", *self.remarks])


@dataclass(frozen=True)
class _Named:
    """A rectangle of numbers, the names of its rows and columns where it has them, and what was done to it."""

    values: NDArray[np.float64]
    rows: Sequence[str] | None = None
    columns: Sequence[str] | None = None
    remarks: list[str] = field(default_factory=list)


def read_counts(
    path: str | Path, *, checked: Sequence[int] | None = None, whole_are_counts: bool = False
) -> CountsTable:
    """The counts in a file: text as in `core.delimited`, or .npy.

    checked           how many were checked, for a table of shares or percentages: in all where the whole table sums to
                      1 or 100, of each class where its rows or columns do
    whole_are_counts  whole numbers are known to be no percentages, also where all rows or columns sum to 100
    Raises InputError where the table has no reading, or two.
    """
    try:
        if Path(path).suffix == ".npy":
            table = _Named(read_matrix(path))
        else:
            table = _named(cells_of(read_text(path, "the counts file")))
    except ValueError as error:
        raise InputError(
            f"the counts file needs a table of numbers, with or without names of rows and columns, got {path}: "
            f"{str(error).rstrip('.')}; {LOOKS}"
        ) from error
    table = _aligned(_without_sums(table))
    counts, remark = counts_from_shares(table.values, checked, whole_are_counts=whole_are_counts)
    names = None if table.rows is None else tuple(table.rows)
    if names is not None and names == tuple(map(str, range(len(names)))):
        names = None
    return CountsTable(counts, names, (*table.remarks, *([remark] if remark else [])))


def read_named_matrix(path: str | Path) -> tuple[NDArray[np.float64], tuple[str, ...] | None]:
    """The matrix in a file and the names of its classes, where it has them; then rows in the order of the columns.

    InputError where it cannot be read as that.
    """
    try:
        return read_matrix(path), None
    except InputError:
        if Path(path).suffix == ".npy":
            raise
    try:
        named = _named(cells_of(read_text(path, "the matrix file")))
    except ValueError as error:
        raise InputError(
            f"the matrix file {path} must hold numbers only, in rows of one length, as CSV, with or without names of "
            f"the classes, or .npy without pickles; it does not ({str(error).rstrip('.')})"
        ) from error
    table = _aligned(named)
    return table.values, None if table.rows is None else tuple(table.rows)


def _named(cells: Cells) -> _Named:
    """Names and numbers: names are what no number is, what stands beside an empty corner, or what makes it square."""
    rows = cells.rows
    if len(rows) > MAX_CLASSES + 2:  # names and sums
        raise InputError(f"confusion counts need at most {MAX_CLASSES} classes, got {len(rows):,} rows; {LOOKS}")
    corner = rows[0][0].casefold()
    found: list[_Named] = []
    ambiguous: ValueError | None = None
    for header, index in ((1, 1), (1, 0), (0, 1), (0, 0)):
        body = [row[index:] for row in rows[header:]]
        if not body or not body[0] or not all(is_number(c) for row in body for c in row):
            continue
        if header and index and all(map(is_number, [*rows[0], *(row[0] for row in rows)])):
            continue  # numbers alone: no names on both sides
        try:
            values = np.array(cells.numbers(c for row in body for c in row)).reshape(len(body), -1)
        except ValueError as error:  # a larger body may have one reading
            ambiguous = error
            continue
        row_names = [_name(row[0]) for row in rows[header:]] if index else None
        found.append(_Named(values, row_names, [_name(cell) for cell in rows[0][index:]] if header else None))
    if not found:
        if ambiguous is not None:
            raise ambiguous
        cells.numbers(c for row in rows[1:] for c in row[1:])  # says which cell is none
        raise ValueError("names stand elsewhere than in the first row and column")
    if corner in _COLUMNS_FIRST and found[0].rows is not None:
        raise InputError(
            f"counts need rows = checked class and columns = given label; the rows are called {rows[0][0]!r}: exchange "
            "rows and columns"
        )
    # Both or none are named before one, unless only one makes it square.
    found.sort(key=lambda table: (table.rows is None) != (table.columns is None))
    return next((t for t in found if _is_square(_without_sums(t))), found[0])


def _name(cell: str) -> str:
    """A name; of a whole number the same however it is written."""
    return str(int(float(cell))) if cell.replace(".", "", 1).isdecimal() and float(cell).is_integer() else cell


def _is_square(table: _Named) -> bool:
    return table.values.shape[0] == table.values.shape[1]


def _without_sums(table: _Named) -> _Named:
    """Without a last row and a last column that hold the sums of the others; one alone only where it makes a square."""
    x = table.values
    tolerance = 0 if (x == np.floor(x)).all() else 0.01 * float(np.abs(x).max())
    row, column = (
        len(y) > 2 and y.any() and bool(np.allclose(y[:-1].sum(0), y[-1], rtol=0, atol=tolerance)) for y in (x, x.T)
    )
    R, C = x.shape
    row, column = row and (column or R == C + 1), column and (row or C == R + 1)
    if not (row or column):
        return table
    what = "a row and a column" if row and column else "a row" if row else "a column"
    return _Named(
        x[: R - row, : C - column],
        None if table.rows is None else table.rows[: R - row],
        None if table.columns is None else table.columns[: C - column],
        [*table.remarks, f"{what} of sums left out"],
    )


def _aligned(table: _Named) -> _Named:
    """Rows and columns of the same names in the order of the columns; a class that one side lacks has counts of 0."""
    for side, names in (("row", table.rows), ("column", table.columns)):
        for name in names or ():
            if name.casefold() in (*SUMS, ""):
                raise InputError(
                    f"the {side} {name!r} needs to hold the sums of the others, got other numbers: mend it, or leave "
                    "it out"
                    if name
                    else f"each class needs a name, got a {side} without one: name it"
                )
        if names is not None and len(set(names)) < len(names):
            twice = next(name for name in names if list(names).count(name) > 1)
            raise InputError(f"each {side} needs another name, got {twice!r} twice: add its counts up, or rename one")
    if table.rows is None or table.columns is None:
        if not _is_square(table):
            raise InputError(
                f"confusion counts need one row and one column per class, got {table.values.shape[0]} rows and "
                f"{table.values.shape[1]} columns; {LOOKS}"
            )
        names = table.columns if table.rows is None else table.rows
        return replace(table, rows=names, columns=names)
    rows, columns = list(table.rows), list(table.columns)
    only_rows, only_columns = [n for n in rows if n not in columns], [n for n in columns if n not in rows]
    if only_rows and only_columns:
        raise InputError(
            f"rows and columns need the same names; only the rows have {', '.join(only_rows)}, only the columns "
            f"{', '.join(only_columns)}: give each class one name"
        )
    remarks = list(table.remarks)
    if only_rows or only_columns:
        side = "column" if only_rows else "row"
        remarks.append(f"no {side} for {', '.join(only_rows or only_columns)}: taken as 0")
    elif rows != columns:
        remarks.append("rows aligned with the columns by name")
    names = columns + only_rows
    check_spelling("the names of rows and columns", names)
    values = np.zeros((len(names), len(names)))
    values[np.ix_([names.index(n) for n in rows], range(len(columns)))] = table.values
    return _Named(values, names, names, remarks)
