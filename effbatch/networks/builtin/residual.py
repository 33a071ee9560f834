"""Residual networks (He et al., 2016) for small images: `resnet18`, `resnet8bn`, `resnet8gn`."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import Tensor, nn

Norm = Callable[[int], nn.Module]  # channels -> a layer that normalises them


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
    return _resnet(image_shape[0], num_classes, (16, 32, 64, 128), lambda c: nn.GroupNorm(c // 8, c), blocks=2)


def resnet8bn(image_shape: Sequence[int], num_classes: int) -> nn.Sequential:
    """An 8-layer residual network with BatchNorm (Ioffe & Szegedy, 2015): 12, 24, 48 channels, one block each.

    Its first convolution has stride 2, so that it trains in seconds on a CPU.
    """
    return _resnet(image_shape[0], num_classes, (12, 24, 48), nn.BatchNorm2d, first_stride=2)


def resnet8gn(image_shape: Sequence[int], num_classes: int) -> nn.Sequential:
    """As resnet8bn with GroupNorm (Wu & He, 2018; four groups) in place of BatchNorm."""
    return _resnet(image_shape[0], num_classes, (12, 24, 48), lambda c: nn.GroupNorm(4, c), first_stride=2)


def _resnet(
    channels: int, num_classes: int, widths: Sequence[int], norm: Norm, *, blocks: int = 1, first_stride: int = 1
) -> nn.Sequential:
    """One 3×3 convolution, stages of `blocks` basic blocks of the given widths, the mean over the image, one layer.

    Every stage but the first halves the sides of the image.
    """
    layers: list[nn.Module] = [_conv3(channels, widths[0], first_stride), norm(widths[0]), nn.ReLU()]
    channels = widths[0]
    for stage, wider in enumerate(widths):
        for block in range(blocks):
            layers += [_basic_block(channels, wider, norm, stride=2 if stage and not block else 1), nn.ReLU()]
            channels = wider
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, num_classes))


def _basic_block(channels: int, wider: int, norm: Norm, *, stride: int) -> Residual:
    """Two 3×3 convolutions; the shortcut is a 1×1 convolution where the shape changes (option B of the paper)."""
    body = nn.Sequential(_conv3(channels, wider, stride), norm(wider), nn.ReLU(), _conv3(wider, wider), norm(wider))
    if stride == 1 and channels == wider:
        return Residual(body, nn.Identity())
    return Residual(body, nn.Sequential(nn.Conv2d(channels, wider, 1, stride, bias=False), norm(wider)))


def _conv3(channels: int, wider: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(channels, wider, 3, stride, padding=1, bias=False)


NETWORKS = (resnet18, resnet8bn, resnet8gn)
