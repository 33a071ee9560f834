"""Built-in networks: what they take, how large they are, and that training them side by side changes nothing."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from effbatch.engine.stacking import StackedNetwork
from effbatch.networks import zoo as networks

CPU = torch.device("cpu")
SHAPES = [(1, 8, 8), (1, 14, 14), (3, 32, 32), (1, 5, 3)]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("name", networks.NETWORKS)
def test_every_network_takes_every_image_and_stacks(name, shape):
    nets = [networks.build(name, shape, 7, seed=seed) for seed in (0, 1)]
    images = torch.randn(3, *shape, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        stacked = StackedNetwork(nets, 2, CPU)(images.unsqueeze(1))  # shared by all
        for seed, net in enumerate(nets):
            logits = net(images)
            assert logits.shape == (3, 7)
            for member in range(2):
                torch.testing.assert_close(stacked[seed, member].T, logits, rtol=1e-4, atol=1e-5)


def weighted_layers(name: str) -> int:
    """Convolutions and linear layers on the way from image to logits, shortcuts not counted."""
    layers = networks.build(name, (1, 28, 28), 10, seed=0).modules()
    return sum(isinstance(m, nn.Linear) or (isinstance(m, nn.Conv2d) and m.kernel_size == (3, 3)) for m in layers)


@pytest.mark.parametrize(
    ("name", "layers"),
    [("perceptron", 1), ("mlp1", 2), ("mlp4", 5), ("conv2", 3), ("conv4", 5), ("conv6", 7), ("resnet18", 18)],
)
def test_a_network_is_as_deep_as_its_name_says(name, layers):
    assert weighted_layers(name) == layers


def test_the_images_of_a_batch_stay_independent():
    net = networks.build("resnet18", (1, 8, 8), 10, seed=0)
    images = torch.randn(4, 1, 8, 8)
    torch.testing.assert_close(net(images)[:1], net(images[:1]), rtol=1e-4, atol=1e-5)
