"""The slopes of losses, member by member, against PyTorch's gradients of the losses as their papers write them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from slow_twin import loss_of

from effbatch import noise
from effbatch.engine.loss import CrossEntropies, ForwardCorrected, GeneralisedCrossEntropies
from effbatch.plan.spec import Train

S, A, L, K, B = 2, 3, 4, 5, 6
ALPHAS = np.array([0.0, 1.0, 7.5])
CPU = torch.device("cpu")
STRUCTURED = np.random.default_rng(1).dirichlet(np.ones(K), K)


@pytest.mark.parametrize("matrix", [np.full((K, K), 1 / K), STRUCTURED], ids=["uniform", "structured"])
@pytest.mark.parametrize("name", ["cross_entropy", "forward", "gce"])
@pytest.mark.parametrize("size", [1.0, 30.0], ids=["doubt", "certain"])
def test_slope_and_loss_are_those_of_the_paper(name, matrix, size):
    draw = torch.Generator().manual_seed(0)
    logits = size * torch.randn(S, A * L, K, B, generator=draw)
    drawn = torch.randint(K, (1, S, A, B), generator=draw)
    transition = torch.as_tensor(noise.expected_targets(ALPHAS, matrix), dtype=torch.float32)
    loss = {
        "cross_entropy": lambda: CrossEntropies((S, A, L), B, None, CPU),
        "gce": lambda: GeneralisedCrossEntropies((S, A, L), B, None, CPU),
        "forward": lambda: ForwardCorrected((S, A, L), B, transition, CPU),
    }[name]()
    slope = loss.slope(logits.clone(), loss.labels(drawn)[0])
    mean = loss.mean_of(1)
    for s, m in np.ndindex(S, A * L):
        one = logits[s, m].T.double().requires_grad_()
        target = torch.eye(K, dtype=torch.float64)[drawn[0, s, m // L]]
        exact = loss_of(Train(loss=name), one, target, transition[m // L].double())
        (gradient,) = torch.autograd.grad(exact * B, one)
        torch.testing.assert_close(slope[s, m].T.double(), gradient, rtol=1e-4, atol=1e-5)
        assert float(mean[s, m]) == pytest.approx(exact.item(), rel=1e-4, abs=1e-6)
