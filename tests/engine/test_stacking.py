"""Stacked networks against their members one by one: outputs and gradients."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from effbatch.engine.stacking import StackedNetwork

CPU = torch.device("cpu")


def network(seed: int) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(2, 4, 3, stride=2, padding=2, dilation=2),
        nn.GroupNorm(2, 4),
        nn.Tanh(),
        nn.Conv2d(4, 6, (1, 3), groups=2, bias=False),
        nn.AvgPool2d(2, stride=1),
        nn.MaxPool2d(2, padding=1),
        nn.Flatten(),
        nn.Linear(6 * 2 * 1, 5, bias=False),
        nn.LayerNorm(5),
        nn.GELU(),
        nn.LayerNorm(5, elementwise_affine=False),
        nn.Linear(5, 3),
    )


@pytest.fixture
def stacked() -> tuple[list[nn.Sequential], StackedNetwork]:
    nets = [network(seed) for seed in range(2)]
    return nets, StackedNetwork(nets, 3, CPU)


@pytest.mark.parametrize("groups", [1, 2, 6], ids=["shared by all", "by seed", "own images"])
def test_outputs_and_gradients_are_those_of_the_members(stacked, groups):
    nets, together = stacked
    images = torch.randn(4, groups, 2, 7, 7)
    slope = torch.randn(2, 3, 3, 4)
    logits = together(images)
    gradients = torch.autograd.grad(logits, together.parameters, slope)
    for seed, net in enumerate(nets):
        for member in range(3):
            own = net(images[:, (3 * seed + member) * groups // 6])
            torch.testing.assert_close(logits[seed, member].T, own)
            expected = torch.autograd.grad(own, list(net.parameters()), slope[seed, member].T)
            for g, e in zip(gradients, expected, strict=True):
                torch.testing.assert_close(g[seed, member], e, rtol=1e-4, atol=1e-5)


def test_a_normalisation_of_the_images_themselves_is_shared_but_its_weights_are_not():
    nets = [nn.Sequential(nn.Flatten(), nn.LayerNorm(6), nn.Linear(6, 3)) for _ in range(2)]
    together = StackedNetwork(nets, 2, CPU)
    images = torch.randn(4, 1, 1, 2, 3)
    with torch.no_grad():
        together.parameters[0].mul_(torch.arange(1.0, 5).view(2, 2, 1))
        logits = together(images)
        for seed, net in enumerate(nets):
            for member in range(2):
                net[1].weight.fill_(1 + 2 * seed + member)
                torch.testing.assert_close(logits[seed, member].T, net(images[:, 0]))


def test_a_layer_that_cannot_be_stacked_is_named():
    net = nn.Sequential(nn.Flatten(), nn.BatchNorm1d(64), nn.Linear(64, 3))
    with pytest.raises(KeyError, match="BatchNorm1d"):
        StackedNetwork([net], 2, CPU)(torch.ones(4, 1, 1, 8, 8))


def test_members_never_touch_each_other(stacked):
    _, together = stacked
    with torch.no_grad():
        together.parameters[0][0, 1] = torch.nan
        logits = together(torch.randn(4, 1, 2, 7, 7))
    assert logits[0, 1].isnan().all()
    assert logits[0, 0].isfinite().all()
    assert logits[1].isfinite().all()


def test_kernels_lie_channels_last(stacked):
    _, together = stacked
    kernels = together.parameters[0].flatten(0, 2)
    assert kernels.is_contiguous(memory_format=torch.channels_last)
    assert F.conv2d(torch.randn(1, 2, 7, 7), kernels).is_contiguous(memory_format=torch.channels_last)
