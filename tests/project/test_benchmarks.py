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


def test_the_kernel_that_adam_sees_is_that_of_the_scaled_coordinates(script):
    import torch
    from torch import nn

    net = nn.Sequential(nn.Linear(3, 2), nn.Tanh(), nn.Linear(2, 2))
    scale = {name: torch.rand_like(w) for name, w in net.named_parameters()}
    scaled, x = script("theory_adam").Scaled(net, scale), torch.randn(4, 3)
    assert torch.equal(scaled(x), net(x))

    def jacobian(network):
        return [
            torch.cat([g.flatten() for g in torch.autograd.grad(network(one[None])[0, 0], list(network.parameters()))])
            for one in x
        ]

    J, ours = torch.stack(jacobian(net)), torch.stack(jacobian(scaled))
    D = torch.cat([d.flatten() for d in scale.values()])
    torch.testing.assert_close(ours @ ours.T, J @ torch.diag(D) @ J.T)


def test_a_test_is_supported_only_where_its_whole_interval_is_near(script):
    judged, spread = script("theory")._test, np.linspace(-0.05, 0.05, 201)
    for measured, verdict in ((0.1, "supported"), (0.2, "undecided"), (0.5, "refuted")):
        found = judged("power", 0.0, np.concatenate([[measured], measured + spread]))
        assert (found["verdict"], found["low"] < measured < found["high"]) == (verdict, True)


def test_exponents_of_a_power_law_come_back(script):
    alpha, B = (grid.ravel() for grid in np.meshgrid([0.0, 1, 3, 7], [8.0, 32, 128]))
    found = script("theory").fitted(alpha, B, 0.1 * B**0.6 * (1 + alpha) ** -0.4)
    assert [found["batch_size"][0], found["alpha"][0]] == pytest.approx([0.6, -0.4])
