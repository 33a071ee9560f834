"""Schedules against `torch.optim.lr_scheduler`, and what they span."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch_reference

from effbatch.core.errors import InputError
from effbatch.plan import spec as specs
from effbatch.plan.spec import Train
from effbatch.plan.units import units
from effbatch.theory.schedules import SCHEDULES, multipliers


def test_every_schedule_has_its_reference():
    assert set(torch_reference.SCHEDULES) == set(SCHEDULES)


@pytest.mark.parametrize("steps", [1, 2, 3, 4, 7, 10, 101, 640])
@pytest.mark.parametrize(
    ("schedule", "warmup"),
    [(name, warmup) for name in SCHEDULES for warmup in (0.0, 0.1, 0.3, 0.85) if name != "one_cycle" or not warmup],
)
def test_every_step_has_the_rate_of_torch(schedule, warmup, steps):
    train = Train(schedule=schedule, warmup=warmup)
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=0.25)
    reference = torch_reference.schedule_of(train, optimizer, steps)
    rates = []
    for t in range(steps):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        if t < steps - 1:
            reference.step()
    np.testing.assert_allclose(0.25 * multipliers(schedule, steps, warmup=warmup), rates, rtol=1e-9, atol=1e-12)


def test_warm_up_rises_to_the_whole_rate_in_its_share_of_the_steps():
    np.testing.assert_allclose(multipliers("constant", 8, warmup=0.5), [0.25, 0.5, 0.75, 1, 1, 1, 1, 1])
    np.testing.assert_allclose(multipliers("constant", 8, warmup=0.26), [1 / 3, 2 / 3, 1, 1, 1, 1, 1, 1])
    np.testing.assert_allclose(multipliers("constant", 30, warmup=0.1)[:4], [1 / 3, 2 / 3, 1, 1])  # 0.1 · 30 > 3


@pytest.mark.parametrize("schedule", ["constant", "cosine", "step"])
def test_a_schedule_spans_a_budget_in_examples_alike_at_every_batch_size(schedule, spec_text):
    text = spec_text.replace("{ steps = 20 }", f'{{ examples = 960 }}\nschedule = "{schedule}"')
    small, large = units(specs.parse(text.replace("[8]", "[8, 24]")), {"digits": 1000})
    assert (small.steps, large.steps) == (120, 40)
    factors = [multipliers(unit.train.schedule, unit.steps) for unit in (small, large)]
    np.testing.assert_allclose(factors[0][::3], factors[1], rtol=1e-12)


@pytest.mark.parametrize(
    ("schedule", "warmup", "sentence"),
    [
        ("cosin", 0.0, "schedule = 'cosin' is not known; did you mean 'cosine'"),
        ("cosine", 1.0, r"warmup must lie in \[0, 1\), a fraction of all steps, got 1.0"),
        ("cosine", -0.1, "got -0.1"),
        ("cosine", np.nan, "got nan"),
        ("one_cycle", 0.1, "one_cycle has its own warm-up, got warmup = 0.1 with it: leave it out"),
    ],
)
def test_a_mistake_is_named(schedule, warmup, sentence):
    with pytest.raises(InputError, match=sentence):
        multipliers(schedule, 10, warmup=warmup)
