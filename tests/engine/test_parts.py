"""Units cut into parts: every cell exactly once, no part too large, and the parts' arrays back in their places."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import torch
from torch import nn

from effbatch.core.errors import InputError
from effbatch.engine.parts import (
    LEAST,
    images_that_fit,
    joined,
    members_per_part,
    members_that_fit,
    outputs_per_image,
    parts,
)
from effbatch.plan.spec import Data, Train
from effbatch.plan.units import Unit

CPU = torch.device("cpu")
UNIT = Unit(
    {},
    Data(),
    Train(),
    batch_size=8,
    steps=4,
    checkpoints=(4,),
    alphas=(0.0, 1.0, 2.5),
    learning_rates=(0.1, 0.2, 0.3, 0.4),
    seeds=(0, 3),
)


def cells(unit: Unit) -> list[tuple]:
    return list(product(unit.alphas, unit.learning_rates, unit.seeds))


@pytest.mark.parametrize("members", [1, 2, 3, 5, 11, 12, 23, 24, 100])
def test_every_cell_is_in_one_part(members):
    cut = parts(UNIT, members)
    assert sorted(cell for part in cut for cell in cells(part)) == sorted(cells(UNIT))
    assert all(part.cells <= members for part in cut)


def test_members_of_a_seed_stay_together_as_long_as_they_fit():
    assert [part.seeds for part in parts(UNIT, 12)] == [(0,), (3,)]
    assert [part.alphas for part in parts(UNIT, 8)] == [(0.0, 1.0), (2.5,)] * 2


@pytest.mark.parametrize(
    ("cells", "fitting", "workers", "expected"),
    [(400, 62, 2, 50), (400, 62, 1, 58), (50, 62, 2, 25), (6, 62, 2, LEAST), (6, 2, 2, 2), (1, 62, 2, LEAST)],
)
def test_workers_have_as_much_to_do(cells, fitting, workers, expected):
    assert members_per_part(cells, fitting, workers) == expected


@pytest.mark.parametrize("members", [1, 5, 24])
def test_joined_arrays_are_those_of_the_unit(members):
    def arrays(unit: Unit) -> dict[str, np.ndarray]:
        a, r, s = (np.array(v, float) for v in (unit.alphas, unit.learning_rates, unit.seeds))
        sum_ = a[:, None, None] + r[:, None] + s
        return {"value": sum_, "history": np.stack([sum_, 2 * sum_], axis=-1)}

    found = joined(UNIT, [(part, arrays(part)) for part in reversed(parts(UNIT, members))])
    for name, values in arrays(UNIT).items():
        np.testing.assert_array_equal(found[name], values)


def test_outputs_of_all_layers_are_counted():
    net = nn.Sequential(nn.Flatten(), nn.Linear(64, 5), nn.ReLU(), nn.Sequential(nn.Linear(5, 3)))
    assert outputs_per_image(net, torch.zeros(1, 1, 8, 8), 3) == 64 + 5 + 5 + 3
    with pytest.raises(InputError, match="take examples of shape"):
        outputs_per_image(net, torch.zeros(1, 1, 7, 8), 3)


def test_wide_networks_are_trained_fewer_at_once():
    narrow, wide = (nn.Linear(64, units) for units in (10, 2000))
    assert members_that_fit(narrow, 10, 8, CPU) > 10 * members_that_fit(wide, 2000, 8, CPU)
    assert members_that_fit(nn.Linear(5000, 5000), 5000, 8, CPU) == 4


def test_networks_that_fill_the_memory_train_fewer_side_by_side(monkeypatch):
    large = nn.Linear(5000, 5000)  # 25 million weights: 0.8 GB for two threads, with gradients and optimiser
    monkeypatch.setattr("effbatch.engine.parts.torch.get_num_threads", lambda: 2)
    for free, members in ((1e12, 4), (2e9, 1), (2.6e9, 2), (1e6, 1)):
        monkeypatch.setattr("effbatch.engine.parts.free_memory", lambda free=free: free)
        assert members_that_fit(large, 5000, 8, CPU) == members
    monkeypatch.setattr("effbatch.engine.parts.free_memory", lambda: 1e12)
    assert members_that_fit(large, 5000, 8, CPU, in_turns=True) > 100, "caches do not count, memory does"
    assert images_that_fit(1000, 10, CPU) == 200
    assert images_that_fit(10**9, 10, CPU) == 1
