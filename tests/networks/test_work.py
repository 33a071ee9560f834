"""The counted time of a full run: that of its products and steps, whatever the machine does meanwhile."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn

from effbatch.data.dataset import DataSet
from effbatch.networks.work import A_SECOND, A_STEP, TRAINED, core_seconds


def data_of(*shape: int) -> DataSet:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(40, *shape)).astype(np.float32), rng.integers(0, 3, 40)
    return DataSet(name="made up", x_train=x, y_train=y, x_test=x, y_test=y, num_classes=3, source="")


def test_a_full_run_takes_its_steps_and_its_products():
    network = nn.Sequential(nn.Linear(20, 50), nn.ReLU(), nn.Linear(50, 3))
    products = 2 * (20 * 50 + 50 * 3)  # a multiplication and an addition each
    expected = 400 * (A_STEP + TRAINED * 16 * products / A_SECOND)
    assert core_seconds(network, data_of(20), [(400, 16)]) == pytest.approx(expected, rel=1e-9)


def test_convolutions_cost_what_they_multiply():
    network = nn.Sequential(nn.Conv2d(1, 8, 3, padding=1), nn.Flatten(), nn.Linear(8 * 36, 3))
    products = 2 * (36 * 8 * 9 + 8 * 36 * 3)
    expected = 10 * (A_STEP + TRAINED * 4 * products / A_SECOND)
    assert core_seconds(network, data_of(1, 6, 6), [(10, 4)]) == pytest.approx(expected, rel=1e-9)


def test_the_network_is_left_as_it_was():
    network = nn.Sequential(nn.Linear(20, 5), nn.BatchNorm1d(5), nn.Linear(5, 3)).train()
    before, drawn = {k: v.clone() for k, v in network.state_dict().items()}, torch.get_rng_state()
    core_seconds(network, data_of(20), [(1, 1)])
    assert all(torch.equal(v, before[k]) for k, v in network.state_dict().items())
    assert all(module.training for module in network.modules())
    assert torch.equal(torch.get_rng_state(), drawn)


def test_runs_of_several_batch_sizes_add_up():
    network, data = nn.Linear(20, 3), data_of(20)
    both = core_seconds(network, data, [(100, 8), (50, 16)])
    assert both == core_seconds(network, data, [(100, 8)]) + core_seconds(network, data, [(50, 16)])


def test_attention_is_counted_as_it_trains_and_not_by_the_fused_pass_of_evaluation():
    layer = nn.TransformerEncoderLayer(8, 2, dim_feedforward=64, batch_first=True)
    network = nn.Sequential(nn.Unflatten(1, (4, 5)), nn.Linear(5, 8), layer, nn.Flatten(), nn.Linear(32, 3))
    feedforward = 2 * 4 * (2 * 8 * 64)
    assert core_seconds(network, data_of(20), [(1, 1)]) > A_STEP + TRAINED * feedforward / A_SECOND


def test_a_network_that_raises_is_left_to_the_runs_to_tell():
    class Raises(nn.Linear):
        def forward(self, x):
            raise ValueError("not today")

    assert core_seconds(Raises(20, 3), data_of(20), [(1, 1)]) == math.inf
