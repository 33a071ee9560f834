"""Numbers on the command line, or a file of them -> how many examples of the data set have each given label."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from effbatch.core.delimited import Cells, cells_of, is_number, read_text
from effbatch.core.errors import InputError


def read_sizes(given: str | Path, names: Sequence[str]) -> NDArray[np.float64]:
    """One size for each of the classes `names`: "646,30,232", or a file with a row or a column of them.

    A file may also name the classes, in the row above or the column before, in any order (as
    `pandas.Series.value_counts` writes it). Raises InputError where it holds anything else.
    """
    text = str(given)
    try:
        direct = all(c.isdecimal() or c in ",; \t" for c in text)
        cells = cells_of(text if direct else read_text(given, "the sizes file"))
        rows = cells.rows if len(cells.rows) > 1 or len(cells.rows[0]) == 1 else [[c] for c in cells.rows[0]]
        if len(rows[0]) == 1:
            rows = rows if is_number(rows[0][0]) else rows[1:]  # a heading
            return np.array(_complete(cells.numbers(row[0] for row in rows), names))
        return np.array(_named(cells, rows, names))
    except ValueError as error:
        raise InputError(
            f"--sizes needs one number for each of the {len(names)} given labels, or a file of names and numbers, got "
            f"{given} ({error}): give them in the order of the counts"
        ) from error


def _named(cells: Cells, rows: list[list[str]], names: Sequence[str]) -> list[float]:
    if len(rows[0]) != 2:
        rows = [list(column) for column in zip(*rows, strict=True)]
    if len(rows[0]) != 2:
        raise ValueError("it has neither two rows nor two columns")
    if rows[0][0] not in names:
        rows = rows[1:]  # a heading
    found = dict(zip((row[0] for row in rows), cells.numbers(row[1] for row in rows), strict=True))
    if unknown := [name for name in found if name not in names]:
        raise ValueError(f"{unknown[0]!r} is no class of the counts")
    if len(found) < len(rows):
        raise ValueError("a class is named twice")
    if missing := [name for name in names if name not in found]:
        raise ValueError(f"the size of {missing[0]!r} is missing")
    return [found[name] for name in names]


def _complete(sizes: list[float], names: Sequence[str]) -> list[float]:
    if len(sizes) != len(names):
        raise ValueError(f"these are {len(sizes)}")
    return sizes
