"""A file with the columns image, given, checked, a check a row -> the checks, with the names of the classes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from effbatch.audit.repeated import Checks
from effbatch.core.delimited import cells_of, read_text
from effbatch.core.errors import InputError, hint
from effbatch.data.classes import check_spelling

COLUMNS = ("image", "given", "checked")
UNSURE = ("?", "??", "-", "nan", "NaN", "None", "unsure", "unknown", "unclear")  # what people note without an answer


@dataclass(frozen=True)
class ChecksFile:
    """Checks, and the names of their classes; None where they are whole numbers from 0."""

    checks: Checks
    names: tuple[str, ...] | None

    @property
    def read_as(self) -> str:
        """What was read, in one line."""
        images, names = len(set(self.checks.image)), self.names
        by = "by number" if names is None else f"({', '.join(names[:6])}{', ...' if len(names) > 6 else ''}) from names"
        return f"{self.checks.num_classes} classes {by}, {len(self.checks.image):,} checks of {images:,} images"


def read_checks(path: str | Path, *, num_classes: int | None = None) -> ChecksFile:
    """The checks in a file, its columns named image, given and checked; other columns are left alone.

    Classes are all that occur; where they are numbers from 0, `num_classes` may say that there are more.
    Raises InputError where a column is missing, a cell is empty, or there are more classes than said.
    """
    try:
        rows = cells_of(read_text(path, "the checks file")).rows
    except ValueError as error:
        raise InputError(f"the checks file {path} needs columns {', '.join(COLUMNS)}; it has none: {error}") from error
    heads = [cell.casefold() for cell in rows[0]]
    for name in COLUMNS:
        if heads.count(name) != 1:
            raise InputError(
                f"the checks file needs one column called {name}, got {', '.join(rows[0])} in {path}; "
                f"{hint(name, heads)}: rename it"
            )
    image, given, checked = ([row[heads.index(name)] for row in rows[1:]] for name in COLUMNS)
    for line, row in enumerate(zip(image, given, checked, strict=True), 2):
        if "" in row:
            raise InputError(
                f"each check needs image, given and checked, got an empty cell in row {line}: leave it out"
            )
    if not image:
        raise InputError(f"the checks file needs at least one check, got none in {path}")
    check_spelling("the checks", sorted({*given, *checked}))
    if unsure := sorted({*checked} & {*UNSURE} - {*given}):
        raise InputError(
            f"each check needs a class, got {unsure[0]!r}, which is no given label: leave checks without an answer out"
        )
    names = _class_names({*given, *checked}, num_classes)
    number = {name: i for i, name in enumerate(names)}
    labels, found = (np.array([number[c] for c in column]) for column in (given, checked))
    checks = Checks(image, labels, found, num_classes=len(names))
    return ChecksFile(checks, None if names == [str(i) for i in range(len(names))] else tuple(names))


def _class_names(found: set[str], num_classes: int | None) -> list[str]:
    """The classes in order; numbers stand for themselves, and `num_classes` of them may be more than occur."""
    numbers = all(name.isdecimal() and str(int(name)) == name for name in found)
    names = sorted(found, key=int) if numbers else sorted(found)
    if num_classes is None or num_classes == len(names):
        return names
    if numbers and int(names[-1]) < num_classes:
        return [str(i) for i in range(num_classes)]
    raise InputError(f"--classes {num_classes} and the checks need to agree, got {len(names)} classes in them")
