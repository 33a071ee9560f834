"""The cap of gains and last layer: against single steps of them, and against training real networks."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from effbatch.core.errors import InputError
from effbatch.theory.gains import gains_cap

K, WIDTH = 4, 6
RESIDUAL = np.eye(K)[0] - 1 / K  # all of a balanced batch taken for class 0


def growth(W, gain, bias, x, rate):
    """Of |W|² + |gain|² + |bias|² in one step of plain SGD, all examples being x behind the normalising layer."""
    W, gain, bias, x = (torch.tensor(v, dtype=torch.float64) for v in (W, gain, bias, x))
    for weight in (W, gain, bias):
        weight.requires_grad_()
    logits = W @ torch.relu(gain * x + bias)
    (logits * torch.as_tensor(RESIDUAL)).sum().backward()  # the gradient of a loss whose residual this is
    norms = [sum(float(w.detach().sub(step * w.grad).square().sum()) for w in (W, gain, bias)) for step in (0.0, rate)]
    return norms[1] - norms[0]


def aligned(rng):
    """Weights that a step shrinks most: every unit passes on what the residual takes back, both equally large."""
    bias = rng.uniform(0.5, 2, WIDTH)
    return np.outer(RESIDUAL, bias) / np.linalg.norm(RESIDUAL), np.zeros(WIDTH), bias, np.zeros(WIDTH)


@pytest.mark.parametrize("factor", [1.001, 3.0])
def test_beyond_the_cap_every_step_makes_norms_grow(factor):
    rng = np.random.default_rng(0)
    drawn = [(rng.standard_normal((K, WIDTH)), *rng.standard_normal((3, WIDTH))) for _ in range(200)]
    grown = np.array([growth(*weights, factor * gains_cap(K)) for weights in [*drawn, aligned(rng)]])
    dead = [bool((gain * x + bias <= 0).all()) for _, gain, bias, x in drawn] + [False]  # then nothing moves
    assert ((grown > 0) | dead).all()
    assert np.mean(dead) < 0.1


def test_below_it_steps_can_make_them_shrink():
    weights = aligned(np.random.default_rng(0))
    assert growth(*weights, 0.999 * gains_cap(K)) < 0 < growth(*weights, 1.001 * gains_cap(K))


@pytest.mark.parametrize(("affine", "learns"), [(True, False), (False, True)])
def test_far_beyond_it_networks_with_gains_are_lost_and_those_without_learn(affine, learns):
    torch.manual_seed(0)
    centres = 3 * torch.randn(K, 10)
    network = nn.Sequential(nn.Linear(10, 32), nn.BatchNorm1d(32, affine=affine), nn.ReLU(), nn.Linear(32, K))
    optimizer = torch.optim.SGD(network.parameters(), 16 * gains_cap(K))
    for _ in range(150):
        labels = torch.randint(K, (64,))
        optimizer.zero_grad()
        cross_entropy(network(centres[labels] + torch.randn(64, 10)), labels).backward()
        optimizer.step()
    labels = torch.arange(K).repeat(50)
    right = (network(centres[labels] + torch.randn(200, 10)).argmax(1) == labels).float().mean()
    assert (right > 0.9) == learns


def test_one_class_is_refused():
    with pytest.raises(InputError, match="two classes or more are needed, got 1"):
        gains_cap(1)


@pytest.mark.parametrize("momentum", [0.0, 0.5, 0.9])
def test_with_momentum_it_is_where_steps_that_turn_from_class_to_class_make_norms_grow(momentum):
    """The identity behind it, on classes drawn anew but never twice in a row; φ is one number, W has K."""
    rng, cap, n = np.random.default_rng(0), gains_cap(K, momentum), 200_000
    classes = np.cumsum(rng.integers(1, K, n)) % K
    gradients = np.eye(K)[classes] - 1 / K
    W, v, ahead, rate = np.zeros(K), np.zeros(K), np.zeros(K), 0.1
    grown, steep = 0.0, 0.0
    for g in gradients:
        moved = ahead - rate / (1 - momentum) * g
        grown += moved @ moved - ahead @ ahead + 2 * rate / (1 - momentum) * g @ W
        steep += g @ g
        v = momentum * v + g
        W, ahead = W - rate * v, moved
    np.testing.assert_allclose(ahead, W - rate * momentum / (1 - momentum) * v, atol=1e-9)
    assert rate * 2 / np.sqrt(1 - 1 / K) / cap == pytest.approx(grown / steep / (rate / (1 - momentum)), rel=0.02)


def test_momentum_out_of_range_is_refused():
    with pytest.raises(InputError, match=r"momentum needs a value in \[0, 1\), got 1"):
        gains_cap(10, 1)
