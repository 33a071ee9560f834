"""A table with a column of labels, .csv, .tsv or .parquet -> a `DataSet`: every other column is a feature.

A name may say which column holds the labels: flowers.csv:species. A column `split` (train, test) divides the rows. What
numbers the rows is left out.
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from effbatch.core.delimited import is_number
from effbatch.core.errors import InputError, hint
from effbatch.data.dataset import DataSet
from effbatch.data.reading import PLAIN, Reading
from effbatch.data.sources import TESTING, TRAINING, arrays
from effbatch.data.sources.tablefile import read_table

SUFFIXES = (".csv", ".tsv", ".parquet")
LABELS = ("label", "labels", "target", "class", "y")  # columns that are taken for labels where nothing else is said
SAY = '--label COLUMN, in Python as_dataset(data, label="COLUMN")'
SPLIT = "split"
UNNAMED = "Unnamed: "  # what pandas calls a column without a heading
NUMBERING = ("id", "index")  # columns that tell rows apart, where all their numbers differ


def takes(name: str) -> bool:
    """Whether a name is that of a table."""
    return _parts(name)[0].lower().endswith(SUFFIXES)


def load(name: str, reading: Reading = PLAIN) -> DataSet:
    """The table in a file, read by pandas. InputError where it cannot be, or where no column is clearly the labels."""
    path, column = _parts(name)
    if column:
        reading = replace(reading, label=column)
    return from_frame(Path(path).name, read_table(Path(path)), reading=reading, source=name)


def from_frame(name: str, frame: Any, test: Any = None, *, reading: Reading = PLAIN, source: str = "") -> DataSet:
    """A pandas DataFrame with a column of labels, and perhaps another to test on; other columns are features.

    The labels are in the column `reading.label`; without it in the one called label, labels, target, class or y. A
    column split, with train and test, divides the rows. InputError where that is not clear, and where a feature is no
    number or is missing.
    """
    reading.only(name, "label", "tokens")
    halves = [_named(half) for half in (frame, test) if half is not None]
    label = label_column(name, list(halves[0].columns), reading.label)
    numbering = [column for column in halves[0] if column != label and _numbers_rows(column, halves[0][column])]
    remarks = [f"{_few(numbering)} left out, which numbers the rows"] if numbering else []
    halves = [half.drop(columns=numbering, errors="ignore") for half in halves]
    split = next((c for c in halves[0] if c.casefold() == SPLIT and c != label), None)
    if test is None and split is not None:
        halves = _divided(name, halves[0], split)
    if len(halves[0].columns) < 2:
        raise InputError(f"{name} needs columns of features beside {label!r}, got none: add some")
    if len(halves) == 2 and [*halves[1].columns] != [*halves[0].columns]:
        halves[1] = _like(name, halves[1], [*halves[0].columns])
    # columns have names: whole numbers in them are features unless somebody says otherwise
    reading = replace(reading, label=label, tokens=bool(reading.tokens))
    data = arrays.dataset(name, *(_parted(name, half, label) for half in halves), reading=reading, source=source)
    return replace(data, read_as=", ".join([data.read_as, *remarks]))


def _like(name: str, frame: Any, columns: list[str]) -> Any:
    """The columns of the other half in its order; InputError where they are not the same."""
    if sorted(frame.columns) != sorted(columns):
        other = _few(sorted({*columns} ^ {*frame.columns}))
        raise InputError(f"both halves of {name} need the same columns, got {other} in one alone: add or leave out")
    return frame[columns]


def _named(frame: Any) -> Any:
    """A table whose columns have texts for names, without those that hold and are called nothing."""
    frame = frame.set_axis([str(column).strip() for column in frame.columns], axis=1)
    return frame.loc[:, [not (c.startswith(UNNAMED) and frame[c].isna().all()) for c in frame.columns]]


def _numbers_rows(column: str, values: Any) -> bool:
    """Whether it is an index, written out: whole numbers, all different, under no heading or one that says so."""
    named = column.startswith(UNNAMED) or column.casefold() in NUMBERING
    return named and values.dtype.kind in "iu" and bool(values.is_unique)


def _divided(name: str, frame: Any, split: str) -> list[Any]:
    """The rows to train on, and those to test on: of test, validation, ... the first that is there."""
    parts = frame[split].astype(str).str.strip().str.casefold()
    testing = next((part for part in TESTING if (parts == part).any()), None)
    if testing is None or not parts.isin(TRAINING).any() or not parts.isin((*TRAINING, *TESTING)).all():
        found = ", ".join(map(str, frame[split].unique()[:4]))
        raise InputError(f"the column {split} of {name} needs train and test, got {found}: rename it, or its values")
    frame = frame.drop(columns=split)
    return [frame[parts.isin(TRAINING).to_numpy()], frame[(parts == testing).to_numpy()]]


def _parted(name: str, frame: Any, label: str) -> tuple[Any, Any]:
    """The features (n, d) and the labels of a table."""
    features = frame.drop(columns=label)
    words = [column for column, kind in features.dtypes.items() if kind.kind not in "biuf"]
    if words and len(frame):
        held = features.iloc[:, [*features.columns].index(words[0])]
        strange = next((cell for cell in held if isinstance(cell, str) and not is_number(cell)), held.iloc[0])
        raise InputError(
            f"every feature of {name} needs to be a number, got words in {_few(words)}, like {str(strange)!r}: encode "
            "or leave them out"
        )
    missing = [column for column, empty in frame.isna().any().items() if empty]
    if missing:
        raise InputError(
            f"{name} needs a value in every cell, got empty ones in {_few(missing)} (NA, None and nan are read as "
            "empty): fill in or leave out"
        )
    return features.to_numpy(np.float64), frame[label].to_numpy()


def _parts(name: str) -> tuple[str, str]:
    """File and column: a colon behind the suffix begins the column."""
    lowered = name.lower()
    for suffix in SUFFIXES:
        head, found, _ = lowered.partition(f"{suffix}:")
        if found:
            end = len(head) + len(suffix)
            return name[:end], name[end + 1 :]
    return name, ""


def label_column(name: str, columns: list[str], given: str | None) -> str:
    """The column of labels, the one `given` or the one whose name says so; InputError where neither is there."""
    if given is not None:
        if columns.count(given) > 1:
            raise InputError(f"{name} needs one column {given!r}, got {columns.count(given)}: rename the others")
        if given not in columns:
            raise InputError(f"{name} has no column {given!r}; {hint(given, columns)}", column=given)
        return given
    found = [column for column in columns if column.lower() in LABELS]
    if len(found) == 1:
        return found[0]
    if any(re.fullmatch(r"-?\d+\.\d+(e[-+]?\d+)?(\.\d+)?", column) for column in columns):
        raise InputError(f"{name} needs a first row with the names of its columns, got numbers: add one")
    what = f"{_few(found)} may all be" if found else f"of {_few(columns)} none is called label, target, class or y as"
    behind = f", or {name}:COLUMN" if takes(name) else ""
    raise InputError(f"{what} the labels of {name}: say which with {SAY}{behind}", columns=columns)


def _few(names: list[str]) -> str:
    return ", ".join(map(repr, names[:5])) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
