"""Residual networks (He et al., 2016) for small images: `resnet18`."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn


class Residual(nn.Module):
    """x -> body(x) + shortcut(x) (He et al., 2016)."""

    def __init__(self, body: nn.Module, shortcut: nn.Module) -> None:
        super().__init__()
        self.body, self.shortcut = body, shortcut

    def forward(self, x: Tensor) -> Tensor:
        return self.body(x) + self.shortcut(x)


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


NETWORKS = (resnet18,)
