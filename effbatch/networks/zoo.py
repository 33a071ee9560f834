"""Built-in networks: image shape and class count -> a plain `nn.Sequential` with PyTorch's default initialisation.

Adding one is one small function with `@network`; `effbatch/engine/stacking.py` lists the layers that train
as an ensemble.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod

import torch
from torch import Tensor, nn

from effbatch.core.errors import InputError, hint

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


class Residual(nn.Module):
    """x -> body(x) + shortcut(x) (He et al., 2016)."""

    def __init__(self, body: nn.Module, shortcut: nn.Module) -> None:
        super().__init__()
        self.body, self.shortcut = body, shortcut

    def forward(self, x: Tensor) -> Tensor:
        return self.body(x) + self.shortcut(x)


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
def mlp4(image_shape: Sequence[int], num_classes: int) -> nn.Sequential:
    """Four hidden layers of 64 ReLU units."""
    return _mlp(image_shape, num_classes, (64, 64, 64, 64))


def _convnet(image_shape: Sequence[int], num_classes: int, stages: Sequence[Sequence[int]]) -> nn.Sequential:
    """3×3 convolutions with ReLU of the given channels, a 2×2 max pooling after each stage, one linear layer.

    Pooling stops where an image has a side of one pixel.
    """
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


@network
def conv2(image_shape: Sequence[int], num_classes: int) -> nn.Sequential:
    """Two 3×3 convolutions (16 and 32 channels), each with ReLU and 2×2 max pooling, then one linear layer."""
    return _convnet(image_shape, num_classes, ((16,), (32,)))


@network
def conv4(image_shape: Sequence[int], num_classes: int) -> nn.Sequential:
    """Four 3×3 convolutions with ReLU (16, 16, 32, 32 channels), 2×2 max pooling after each pair, one linear layer."""
    return _convnet(image_shape, num_classes, ((16, 16), (32, 32)))


@network
def conv6(image_shape: Sequence[int], num_classes: int) -> nn.Sequential:
    """As conv4 with a third pair of 64 channels; images of 8×8 pixels end as one pixel."""
    return _convnet(image_shape, num_classes, ((16, 16), (32, 32), (64, 64)))


@network
def resnet18(image_shape: Sequence[int], num_classes: int) -> nn.Sequential:
    """The 18-layer residual network (He et al., 2016) at a quarter of its width: 16, 32, 64, 128 channels.

    As usual for small images it starts with a 3×3 convolution without pooling. GroupNorm (Wu & He, 2018; groups of 8
    channels) stands where the original has BatchNorm, which would couple the images of a batch.
    """
    widths = (16, 32, 64, 128)
    layers: list[nn.Module] = [_conv3(image_shape[0], widths[0]), _norm(widths[0]), nn.ReLU()]
    channels = widths[0]
    for stage, wider in enumerate(widths):
        for block in range(2):
            layers += [_basic_block(channels, wider, stride=2 if stage and not block else 1), nn.ReLU()]
            channels = wider
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, num_classes))


def _basic_block(channels: int, wider: int, *, stride: int) -> Residual:
    """Two 3×3 convolutions; the shortcut is a 1×1 convolution where the shape changes (option B of the paper)."""
    body = nn.Sequential(_conv3(channels, wider, stride), _norm(wider), nn.ReLU(), _conv3(wider, wider), _norm(wider))
    if stride == 1 and channels == wider:
        return Residual(body, nn.Identity())
    return Residual(body, nn.Sequential(nn.Conv2d(channels, wider, 1, stride, bias=False), _norm(wider)))


def _conv3(channels: int, wider: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(channels, wider, 3, stride, padding=1, bias=False)


def _norm(channels: int) -> nn.GroupNorm:
    return nn.GroupNorm(channels // 8, channels)
