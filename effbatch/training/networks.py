"""Built-in networks: image shape and class count -> a plain `nn.Sequential` with PyTorch's default initialisation.

Adding one is one small function with `@network`; `effbatch/training/stacking.py` lists the layers that train
as an ensemble.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod

import torch
from torch import nn

from effbatch.errors import InputError, hint

Builder = Callable[[Sequence[int], int], nn.Sequential]
NETWORKS: dict[str, Builder] = {}


def network(builder: Builder) -> Builder:
    """Register a builder (image_shape (C, H, W), num_classes) -> nn.Sequential under its function name."""
    NETWORKS[builder.__name__] = builder
    return builder


def build(name: str, image_shape: Sequence[int], num_classes: int, *, seed: int) -> nn.Sequential:
    """The network `name` as initialised by `seed`, drawn on the CPU so that every device gets the same weights."""
    if name not in NETWORKS:
        raise InputError(f"network {name!r} is not known; {hint(name, NETWORKS)}", name=name)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return NETWORKS[name](image_shape, num_classes)


def _mlp(image_shape: Sequence[int], num_classes: int, hidden: Sequence[int]) -> nn.Sequential:
    layers: list[nn.Module] = [nn.Flatten()]
    width = prod(image_shape)
    for units in hidden:
        layers += [nn.Linear(width, units), nn.ReLU()]
        width = units
    return nn.Sequential(*layers, nn.Linear(width, num_classes))


@network
def perceptron(image_shape: Sequence[int], num_classes: int) -> nn.Sequential:
    """Softmax regression: no hidden layer."""
    return _mlp(image_shape, num_classes, ())


@network
def mlp1(image_shape: Sequence[int], num_classes: int) -> nn.Sequential:
    """One hidden layer of 64 ReLU units."""
    return _mlp(image_shape, num_classes, (64,))


@network
def mlp2(image_shape: Sequence[int], num_classes: int) -> nn.Sequential:
    """Two hidden layers of 64 ReLU units."""
    return _mlp(image_shape, num_classes, (64, 64))


@network
def conv2(image_shape: Sequence[int], num_classes: int) -> nn.Sequential:
    """Two 3×3 convolutions (16 and 32 channels), each with ReLU and 2×2 max pooling, then one linear layer."""
    channels, height, width = image_shape
    return nn.Sequential(
        nn.Conv2d(channels, 16, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(32 * (height // 4) * (width // 4), num_classes),
    )
