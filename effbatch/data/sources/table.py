"""A table with a column of labels, .csv, .tsv or .parquet -> a `DataSet`: every other column is a feature.

A name may say which column holds the labels: flowers.csv:species. A column `split` (train, test) divides the rows.
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from effbatch.core.errors import InputError, hint
from effbatch.data.dataset import DataSet
from effbatch.data.reading import PLAIN, Reading
from effbatch.data.sources import TESTING, TRAINING, arrays

SUFFIXES = (".csv", ".tsv", ".parquet")
LABELS = ("label", "labels", "target", "class", "y")  # columns that are taken for labels where nothing else is said
SPLIT = "split"
SEPARATORS = ",;\t|"
UNNAMED = "Unnamed: "  # what pandas calls a column without a heading
MAX_BYTES = 4 * 2**30


def takes(name: str) -> bool:
    """Whether a name is that of a table."""
    return _parts(name)[0].lower().endswith(SUFFIXES)


def load(name: str, reading: Reading = PLAIN) -> DataSet:
    """The table in a file, read by pandas. InputError where it cannot be, or where no column is clearly the labels."""
    path, column = _parts(name)
    if column:
        reading = replace(reading, label=column)
    return from_frame(Path(path).name, _read(Path(path)), reading=reading, source=name)


def from_frame(name: str, frame: Any, test: Any = None, *, reading: Reading = PLAIN, source: str = "") -> DataSet:
    """A pandas DataFrame with a column of labels, and perhaps another to test on; other columns are features.

    The labels are in the column `reading.label`; without it in the one called label, labels, target, class or y. A
    column split, with train and test, divides the rows. InputError where that is not clear, and where a feature is no
    number or is missing.
    """
    reading.only(name, "label", "tokens")
    if test is not None:
        return _of_halves(name, frame, test, reading, source)
    if SPLIT not in map(str, frame.columns) or reading.label == SPLIT:
        return arrays.dataset(name, _parted(name, frame, reading), reading=_settled(reading), source=source)
    parts = frame[SPLIT].astype(str).str.casefold()
    testing = parts.isin(TESTING).to_numpy()
    if testing.all() or not testing.any() or not parts[~testing].isin(TRAINING).all():
        found = ", ".join(map(str, frame[SPLIT].unique()[:4]))
        raise InputError(f"the column split of {name} needs train and test, got {found}: rename it, or its values")
    frame = frame.drop(columns=SPLIT)
    return _of_halves(name, frame[~testing], frame[testing], reading, source)


def _of_halves(name: str, train: Any, test: Any, reading: Reading, source: str) -> DataSet:
    halves = [_parted(name, half, reading) for half in (train, test)]
    return arrays.dataset(name, *halves, reading=_settled(reading), source=source)


def _settled(reading: Reading) -> Reading:
    """Columns have names: whole numbers in them are features unless somebody says otherwise."""
    return replace(reading, tokens=bool(reading.tokens))


def _parted(name: str, frame: Any, reading: Reading) -> tuple[Any, Any]:
    """The features (n, d) and the labels of a table."""
    frame = frame.rename(columns=str)
    label = label_column(name, list(frame.columns), reading.label)
    features = frame.drop(columns=label)
    first = features.columns[0] if len(features.columns) else ""
    if first.startswith(UNNAMED) and features[first].tolist() == list(
        range(len(frame))
    ):  # a DataFrame's index, written out
        features = features.drop(columns=first)
    if not len(features.columns):
        raise InputError(f"{name} needs columns of features beside {label!r}, got none: add some")
    words = [column for column in features if features[column].dtype.kind not in "biuf"]
    if words:
        raise InputError(
            f"every feature of {name} needs to be a number, got words in {_few(words)}: encode or leave them out"
        )
    missing = [column for column in (*features, label) if frame[column].isna().any()]
    if missing:
        raise InputError(f"{name} needs a value in every cell, got empty ones in {_few(missing)}: fill in or leave out")
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
        if given not in columns:
            raise InputError(f"{name} has no column {given!r}; {hint(given, columns)}", column=given)
        return given
    found = [column for column in columns if column.lower() in LABELS]
    if len(found) == 1:
        return found[0]
    if any(re.fullmatch(r"-?\d+\.\d+(e[-+]?\d+)?(\.\d+)?", column) for column in columns):
        raise InputError(f"{name} needs a first row with the names of its columns, got numbers: add one")
    what = f"{_few(found)} may all be" if found else f"of {_few(columns)} none is called label, target, class or y as"
    raise InputError(f"{what} the labels of {name}: say which with --label COLUMN, or {name}:COLUMN", columns=columns)


def _few(names: list[str]) -> str:
    return ", ".join(map(repr, names[:5])) + (f" and {len(names) - 5} more" if len(names) > 5 else "")


def _read(path: Path) -> Any:
    import pandas as pd

    try:
        if path.stat().st_size > MAX_BYTES:
            raise InputError(
                f"a table has at most {MAX_BYTES:,} bytes, got {path.stat().st_size:,} in {path}: split it"
            )
        if path.suffix.lower() == ".parquet":
            return pd.read_parquet(path)
        with path.open(encoding="utf-8-sig", errors="replace") as file:
            heading = file.readline()
        between = "\t" if path.suffix.lower() == ".tsv" else max(SEPARATORS, key=heading.count)
        decimal = "," if between == ";" else "."  # where the decimal point is a comma
        return pd.read_csv(path, sep=between, decimal=decimal, encoding="utf-8-sig")
    except OSError as error:
        raise InputError(f"the table {path} cannot be read: {error.strerror or error}") from error
    except ImportError as error:
        raise InputError(f"{path} needs pyarrow to be read, got none: pip install pyarrow") from error
    except (ValueError, UnicodeDecodeError) as error:  # ParserError and EmptyDataError are ValueErrors
        raise InputError(f"{path} is not a table that pandas reads: {str(error).partition(chr(10))[0]}") from error
