"""The dense part of the kernel against the kernel from gradients of single images."""

import numpy as np
import pytest
import torch
from torch import nn

from effbatch.measure import kernel
from effbatch.measure.dense_kernel import dense_kernel

CLASSES = 3


@pytest.fixture(autouse=True)
def few_images_at_once(monkeypatch):
    monkeypatch.setattr(kernel, "CHUNK", 7)


def by_gradients(monkeypatch, network, train, test):
    """Both blocks of the kernel with the dense layers taken like all others."""
    monkeypatch.setattr(kernel, "dense_kernel", lambda net, x, n, *_: (torch.zeros(len(x), n), set()))
    return kernel._kernel(network.eval(), train, test, CLASSES)


class Twice(nn.Module):
    """One layer passed twice, one whose weights are used once more behind its back, one on a sequence, one plain."""

    def __init__(self):
        super().__init__()
        self.again, self.tied, self.sequence, self.plain = (nn.Linear(6, 6) for _ in range(4))
        self.head = nn.Linear(6, CLASSES)

    def forward(self, x):
        h = self.again(self.again(x).tanh()).tanh()
        h = nn.functional.linear(self.tied(h).tanh(), self.tied.weight).tanh()
        h = self.sequence(torch.stack([h, 2 * h], 1)).tanh().mean(1)
        return self.head(self.plain(h).tanh())


def frozen_weight():
    net = nn.Sequential(nn.Linear(6, 5), nn.ReLU(inplace=True), nn.Linear(5, CLASSES, bias=False))
    net[0].weight.requires_grad_(False)
    return net


NETWORKS = {
    "dense": (
        lambda: nn.Sequential(
            nn.Linear(6, 8), nn.ReLU(inplace=True), nn.Linear(8, 5), nn.GELU(), nn.Linear(5, CLASSES)
        ),
        {"0.weight", "0.bias", "2.weight", "2.bias", "4.weight", "4.bias"},
    ),
    "one layer": (lambda: nn.Linear(6, CLASSES), {"weight", "bias"}),
    "convolution": (
        lambda: nn.Sequential(
            nn.Unflatten(1, (1, 6)), nn.Conv1d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(16, CLASSES)
        ),
        {"4.weight", "4.bias"},
    ),
    "frozen weight": (frozen_weight, {"0.bias", "2.weight"}),
    "used twice": (Twice, {"plain.weight", "plain.bias", "head.weight", "head.bias"}),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_kernel_is_that_of_gradients_of_single_images(monkeypatch, name):
    torch.manual_seed(1)
    build, covered = NETWORKS[name]
    network, x = build(), torch.randn(20, 6)
    assert dense_kernel(network, x, 12, CLASSES, 7)[1] == covered
    found = kernel._kernel(network.eval(), x[:12], x[12:], CLASSES)
    for block, expected in zip(found, by_gradients(monkeypatch, network, x[:12], x[12:]), strict=True):
        np.testing.assert_allclose(block, expected, rtol=1e-4, atol=1e-5)


def test_the_network_is_left_without_hooks_and_gradients():
    network = nn.Linear(6, CLASSES)
    dense_kernel(network, torch.randn(4, 6), 2, CLASSES, 10)
    assert not network._forward_hooks
    assert network.weight.grad is None
