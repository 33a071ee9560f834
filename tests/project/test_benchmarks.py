"""The readable records of the benchmarks are made of the stored numbers, and these of the stored rows."""

from __future__ import annotations

import importlib
import json
import math
import sys
from pathlib import Path

import numpy as np
import pytest

from effbatch.data.dataset import DataSet

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


@pytest.mark.parametrize("name", ["image_sets", "prediction", "theory", "throughput"])
def test_the_page_is_made_of_the_stored_numbers(script, name):
    assert script(name).as_markdown(stored(name)) == (RESULTS / f"{name}.md").read_text(encoding="utf-8")


def test_the_tables_of_the_methods_are_made_of_the_stored_rows(script):
    record, prediction = stored("prediction"), script("prediction")
    rows = [{key: math.nan if value is None else value for key, value in row.items()} for row in record["rows"]]
    held_out = [row for row in rows if not row["tuned"]]
    assert 0 < len(held_out) < len(rows)
    assert prediction.summary(rows) == record["tables"]["All cases"]
    assert prediction.summary(held_out) == record["tables"]["Held-out cases"]


def test_everything_of_the_gpu_script_runs_small_on_a_cpu(script, tmp_path, monkeypatch):
    gpu, rng = script("gpu"), np.random.default_rng(0)
    x, y = rng.normal(size=(320, 1, 8, 8)).astype(np.float32), rng.integers(0, 10, 320)
    monkeypatch.setattr(gpu.mnist, "load", lambda: DataSet("mnist", x, y, x[:40], y[:40], 10, "made here"))
    monkeypatch.setattr(gpu, "pick_device", lambda: gpu.CPU)
    for name, value in (("SECONDS", 0.01), ("UNIT_STEPS", 4)):
        monkeypatch.setattr(script("throughput"), name, value)
    monkeypatch.setattr(gpu, "UNIT_STEPS", 4)
    assert gpu.main([str(tmp_path), str(tmp_path / "out"), "--small"]) == 0
    found = json.loads((tmp_path / "out" / "gpu.json").read_text(encoding="utf-8"))
    assert all(row["same"] for row in found["same numbers"])
    assert len(found["same numbers"]) == 10
    assert all(row["effbatch"] > 0 and row["effbatch without graphs"] > 0 for row in found["speed"])
    assert [row["of"] for row in found["figure 1"]][:2] == ["perceptron, α = 0", "perceptron, α = 5"]
    assert len(found["figure 1"]) == 10
    assert (tmp_path / "out" / "gpu.md").read_text(encoding="utf-8") == gpu.as_markdown(found)


def test_the_gpu_script_begins_nothing_when_its_time_is_up_and_sees_other_numbers(script, tmp_path):
    gpu = script("gpu")
    plan = gpu.Plan(None, tmp_path, gpu.CPU, found={"environment": {}})
    gpu.figure_1(plan)
    assert {row["skipped"] for row in plan.found["figure 1"]} == {"out of time"}
    here = {"train_loss": np.array([1.0, np.nan]), "test_loss": np.array([2.0, 2.0])}
    assert gpu.greatest_difference(here, {**here, "test_loss": np.array([2.0, 2.1])}) == pytest.approx(0.05)
    assert gpu.greatest_difference(here, {**here, "train_loss": np.array([1.0, 1.0])}) == math.inf
