"""Stacked optimisers against `torch.optim`, step by step."""

from __future__ import annotations

import pytest
import torch

from effbatch.training.optimizers import OPTIMIZERS
from effbatch.training.spec import Train

REFERENCE = {
    "sgd": lambda w, rate, momentum: torch.optim.SGD([w], lr=rate, momentum=momentum),
    "adam": lambda w, rate, momentum: torch.optim.Adam([w], lr=rate),
}


def test_every_optimizer_has_its_reference():
    assert set(REFERENCE) == set(OPTIMIZERS)


@pytest.mark.parametrize(("name", "momentum"), [("sgd", 0.0), ("sgd", 0.9), ("adam", 0.0)])
def test_every_member_steps_like_torch_optim(name, momentum):
    """A hundred steps on a quadratic with noisy gradients; 2 seeds × 3 members, each with its own rate."""
    torch.manual_seed(0)
    start = torch.randn(2, 3, 4, 5, dtype=torch.float64)
    rates = torch.tensor([[1e-3, 1e-2, 0.1], [0.02, 0.05, 0.3]], dtype=torch.float64)
    noise = torch.randn(100, *start.shape, dtype=torch.float64)
    stacked = start.clone()
    optimizer = OPTIMIZERS[name]([stacked], Train(optimizer=name, momentum=momentum))
    for step in range(100):
        optimizer.step([stacked * 0.5 + noise[step]], rates)
    for s in range(2):
        for m in range(3):
            w = start[s, m].clone().requires_grad_()
            reference = REFERENCE[name](w, float(rates[s, m]), momentum)
            for step in range(100):
                w.grad = w.detach() * 0.5 + noise[step, s, m]
                reference.step()
            torch.testing.assert_close(stacked[s, m], w.detach(), rtol=1e-10, atol=1e-12)
