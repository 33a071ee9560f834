"""Fully connected networks with ReLU: `perceptron`, `mlp1`, `mlp2`, `mlp4`, `mlp2ln`."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from torch import nn


def _mlp(image_shape: Sequence[int], num_classes: int, hidden: Sequence[int], *, norm: bool = False) -> nn.Sequential:
    layers: list[nn.Module] = [nn.Flatten()]
    width = prod(image_shape)
    for units in hidden:
        layers += [nn.Linear(width, units), *[nn.LayerNorm(units)] * norm, nn.ReLU()]
        width = units
    return nn.Sequential(*layers, nn.Linear(width, num_classes))


def perceptron(image_shape: Sequence[int], num_classes: int) -> nn.Sequential:
    """Softmax regression: no hidden layer."""
    return _mlp(image_shape, num_classes, ())


def mlp1(image_shape: Sequence[int], num_classes: int) -> nn.Sequential:
    """One hidden layer of 64 ReLU units."""
    return _mlp(image_shape, num_classes, (64,))


def mlp2(image_shape: Sequence[int], num_classes: int) -> nn.Sequential:
    """Two hidden layers of 64 ReLU units."""
    return _mlp(image_shape, num_classes, (64, 64))


def mlp4(image_shape: Sequence[int], num_classes: int) -> nn.Sequential:
    """Four hidden layers of 64 ReLU units."""
    return _mlp(image_shape, num_classes, (64, 64, 64, 64))


def mlp2ln(image_shape: Sequence[int], num_classes: int) -> nn.Sequential:
    """As mlp2 with LayerNorm (Ba et al., 2016) before each ReLU."""
    return _mlp(image_shape, num_classes, (64, 64), norm=True)


NETWORKS = (perceptron, mlp1, mlp2, mlp4, mlp2ln)
