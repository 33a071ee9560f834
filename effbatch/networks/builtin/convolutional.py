"""3×3 convolutions with ReLU and max pooling: `conv2`, `conv4`, `conv6`."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from effbatch.core.errors import InputError


def _convnet(image_shape: Sequence[int], num_classes: int, stages: Sequence[Sequence[int]]) -> nn.Sequential:
    """3×3 convolutions with ReLU of the given channels, a 2×2 max pooling after each stage, one linear layer.

    Pooling stops where an image has a side of one pixel.
    """
    if len(image_shape) != 3:
        raise InputError(f"a convolution needs images (C, H, W), got features {tuple(image_shape)}: take mlp1, say")
    channels, height, width = image_shape
    layers: list[nn.Module] = []
    for stage in stages:
        for wider in stage:
            layers += [nn.Conv2d(channels, wider, 3, padding=1), nn.ReLU()]
            channels = wider
        if min(height, width) > 1:
            layers.append(nn.MaxPool2d(2))
            height, width = height // 2, width // 2
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(channels * height * width, num_classes))


def conv2(image_shape: Sequence[int], num_classes: int) -> nn.Sequential:
    """Two 3×3 convolutions (16 and 32 channels), each with ReLU and 2×2 max pooling, then one linear layer."""
    return _convnet(image_shape, num_classes, ((16,), (32,)))


def conv4(image_shape: Sequence[int], num_classes: int) -> nn.Sequential:
    """Four 3×3 convolutions with ReLU (16, 16, 32, 32 channels), 2×2 max pooling after each pair, one linear layer."""
    return _convnet(image_shape, num_classes, ((16, 16), (32, 32)))


def conv6(image_shape: Sequence[int], num_classes: int) -> nn.Sequential:
    """As conv4 with a third pair of 64 channels; images of 8×8 pixels end as one pixel."""
    return _convnet(image_shape, num_classes, ((16, 16), (32, 32), (64, 64)))


NETWORKS = (conv2, conv4, conv6)
