"""A file with a table, .csv, .tsv or .parquet -> a pandas DataFrame, whatever separates, encodes and points in it."""

from __future__ import annotations

import codecs
from pathlib import Path
from typing import Any

from effbatch.core.delimited import Cells, is_number
from effbatch.core.errors import InputError, beside

SEPARATORS = ",;\t|"
SPACES = r"\s+"
MAX_BYTES = 4 * 2**30


def read_table(path: Path) -> Any:
    """The table as pandas reads it. InputError where it cannot, or where its numbers can be read in two ways."""
    import pandas as pd

    try:
        if path.stat().st_size > MAX_BYTES:
            raise InputError(
                f"a table has at most {MAX_BYTES:,} bytes, got {path.stat().st_size:,} in {path}: split it"
            )
        if path.suffix.lower() == ".parquet":
            return pd.read_parquet(path)
        with path.open("rb") as file:
            marked = file.read(2) in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
        try:
            return _read(path, "utf-16" if marked else "utf-8-sig")
        except UnicodeDecodeError:
            return _read(path, "cp1252")  # as Windows writes it
    except OSError as error:
        raise InputError(f"the table {path} cannot be read: {error.strerror or error}{beside(path)}") from error
    except ImportError as error:
        raise InputError(f"{path} needs pyarrow to be read, got none: pip install pyarrow") from error
    except (ValueError, UnicodeDecodeError) as error:  # ParserError and EmptyDataError are ValueErrors
        raise InputError(
            f"{path} is not a table that pandas reads ({str(error).partition(chr(10))[0]}): save it as CSV in UTF-8"
        ) from error


def _read(path: Path, encoding: str) -> Any:
    import pandas as pd

    with path.open(encoding=encoding, errors="replace") as file:
        skipped, heading = next(((i, line) for i, line in enumerate(file) if not _is_remark(line)), (0, ""))
    found = max(SEPARATORS, key=heading.count)
    separator = "\t" if path.suffix.lower() == ".tsv" else found if found in heading else SPACES
    how = {"sep": separator, "encoding": encoding, "skiprows": skipped, "skipinitialspace": separator != SPACES}
    frame = pd.read_csv(path, decimal="," if separator == ";" else ".", **how)
    if not any(_numeric(frame[column]) for column in frame if frame[column].dtype.kind == "O"):
        return frame
    # percent signs, or another decimal mark, which all numbers have to share
    text = pd.read_csv(path, dtype=str, **how)
    written = [column for column in text if _numeric(text[column])]
    cells = text[written].stack()
    numbers = pd.Series(Cells([], separator).numbers(cells.str.strip(), counts=False), index=cells.index)
    for column, values in numbers.unstack().items():
        frame[column] = values
    return frame


def _is_remark(line: str) -> bool:
    """Whether a line above the heading is none: empty, or a comment without cells."""
    return not line.strip() or (line.startswith("#") and not any(mark in line for mark in SEPARATORS))


def _numeric(column: Any) -> bool:
    """Whether every cell that is not empty can be read as a number."""
    held = column.dropna()
    return bool(len(held)) and all(isinstance(cell, str) and is_number(cell.strip()) for cell in held)
