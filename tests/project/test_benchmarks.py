"""The readable records of the benchmarks are made of the stored numbers, and these of the stored rows."""

from __future__ import annotations

import importlib
import json
import math
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
RESULTS = BENCHMARKS / "results"


@pytest.fixture
def script(monkeypatch):
    """A function from the name of a script of benchmarks/ to its module."""
    monkeypatch.syspath_prepend(BENCHMARKS)
    yield importlib.import_module
    for path in BENCHMARKS.glob("*.py"):
        sys.modules.pop(path.stem, None)


def stored(name: str) -> dict:
    return json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", ["image_sets", "prediction", "throughput"])
def test_the_page_is_made_of_the_stored_numbers(script, name):
    assert script(name).as_markdown(stored(name)) == (RESULTS / f"{name}.md").read_text(encoding="utf-8")


def test_the_tables_of_the_methods_are_made_of_the_stored_rows(script):
    record, prediction = stored("prediction"), script("prediction")
    rows = [{key: math.nan if value is None else value for key, value in row.items()} for row in record["rows"]]
    held_out = [row for row in rows if not row["tuned"]]
    assert 0 < len(held_out) < len(rows)
    assert prediction.summary(rows) == record["tables"]["All cases"]
    assert prediction.summary(held_out) == record["tables"]["Held-out cases"]
