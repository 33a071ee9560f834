"""Networks that no law or theory was worked out on, for the digits unless they say otherwise."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor, nn

PIXELS, CLASSES = 64, 10
WHITE, BLACK, LEVELS = -0.80937, 1.84956, 17  # of the standardised digits, and their grey levels


def bn_mlp() -> nn.Sequential:
    """Two hidden layers of 64 ReLU units, BatchNorm (Ioffe & Szegedy, 2015) before each ReLU."""
    first = [nn.Flatten(), nn.Linear(PIXELS, 64), nn.BatchNorm1d(64), nn.ReLU()]
    return nn.Sequential(*first, nn.Linear(64, 64), nn.BatchNorm1d(64), nn.ReLU(), nn.Linear(64, CLASSES))


def gelu_conv() -> nn.Sequential:
    """Two 3×3 convolutions of 8 and 16 channels with GELU, 2×2 mean pooling after the first, one linear layer."""
    first = [nn.Conv2d(1, 8, 3, padding=1), nn.GELU(), nn.AvgPool2d(2)]
    second = [nn.Conv2d(8, 16, 3, padding=1), nn.GELU(), nn.Flatten()]
    return nn.Sequential(*first, *second, nn.Linear(16 * PIXELS // 4, CLASSES))


class Bag(nn.Module):
    """Every pixel is a token, its place and grey level; their embeddings are summed, then ReLU and a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(PIXELS * LEVELS, 32)
        self.head = nn.Linear(32, CLASSES)

    def forward(self, images: Tensor) -> Tensor:
        level = ((images.flatten(1) - WHITE) / (BLACK - WHITE) * (LEVELS - 1)).round().clamp(0, LEVELS - 1).long()
        tokens = level + LEVELS * torch.arange(PIXELS, device=images.device)
        return self.head(self.embedding(tokens).sum(1).div(PIXELS**0.5).relu())


def perceptron_zero() -> nn.Sequential:
    """Softmax regression on the digits from zero: features that never move, and nothing to forget."""
    network = nn.Sequential(nn.Flatten(), nn.Linear(PIXELS, CLASSES))
    for weight in network.parameters():
        nn.init.zeros_(weight)
    return network


def he2() -> nn.Sequential:
    """Two hidden layers of 64 ReLU units from the initialisation of He et al. (2015): a larger kernel to start from."""
    return _from_he(_stack((64, 64), nn.ReLU))


def he6() -> nn.Sequential:
    """Six hidden layers of 64 ReLU units from the initialisation of He et al. (2015)."""
    return _from_he(_stack((64,) * 6, nn.ReLU))


def relu3() -> nn.Sequential:
    """Three hidden layers of 128 ReLU units."""
    return _stack((128,) * 3, nn.ReLU)


def relu96_48() -> nn.Sequential:
    """Two hidden layers of 96 and 48 ReLU units."""
    return _stack((96, 48), nn.ReLU)


def relu128_64_32() -> nn.Sequential:
    """Three hidden layers of 128, 64 and 32 ReLU units, for images of 14×14 pixels."""
    return _stack((128, 64, 32), nn.ReLU, pixels=14 * 14)


def tanh2() -> nn.Sequential:
    """Two hidden layers of 64 tanh units: no layer scales beyond 1."""
    return _stack((64, 64), nn.Tanh)


def gelu2() -> nn.Sequential:
    """Two hidden layers of 64 GELU units: half as steep where inputs are small."""
    return _stack((64, 64), nn.GELU)


def bn128() -> nn.Sequential:
    """One hidden layer of 128 ReLU units, BatchNorm before the ReLU."""
    return _stack((128,), nn.ReLU, norm=nn.BatchNorm1d)


def bn128_bare() -> nn.Sequential:
    """The same without gains and biases of BatchNorm."""
    return _stack((128,), nn.ReLU, norm=partial(nn.BatchNorm1d, affine=False))


def ln32_3() -> nn.Sequential:
    """Three hidden layers of 32 ReLU units, LayerNorm (Ba et al., 2016) before each ReLU."""
    return _stack((32,) * 3, nn.ReLU, norm=nn.LayerNorm)


def ln16() -> nn.Sequential:
    """One hidden layer of 16 ReLU units with LayerNorm."""
    return _stack((16,), nn.ReLU, norm=nn.LayerNorm)


def ln512() -> nn.Sequential:
    """One hidden layer of 512 ReLU units with LayerNorm."""
    return _stack((512,), nn.ReLU, norm=nn.LayerNorm)


def bn48_48() -> nn.Sequential:
    """Two hidden layers of 48 ReLU units with BatchNorm, for images of 14×14 pixels."""
    return _stack((48, 48), nn.ReLU, pixels=14 * 14, norm=nn.BatchNorm1d)


def bn_conv() -> nn.Sequential:
    """Two 3×3 convolutions, 8 and 16 channels, BatchNorm and ReLU, 2×2 mean pooling after each, one linear layer."""
    first = [nn.Conv2d(1, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.AvgPool2d(2)]
    second = [nn.Conv2d(8, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.AvgPool2d(2), nn.Flatten()]
    return nn.Sequential(*first, *second, nn.Linear(PIXELS, CLASSES))


def _stack(
    hidden: Sequence[int],
    activation: Callable[[], nn.Module],
    *,
    pixels: int = PIXELS,
    norm: Callable[[int], nn.Module] | None = None,
) -> nn.Sequential:
    layers: list[nn.Module] = [nn.Flatten()]
    for before, units in zip((pixels, *hidden[:-1]), hidden, strict=True):
        layers += [nn.Linear(before, units), *([norm(units)] if norm else []), activation()]
    return nn.Sequential(*layers, nn.Linear(hidden[-1], CLASSES))


def _from_he(network: nn.Sequential) -> nn.Sequential:
    for layer in network:
        if isinstance(layer, nn.Linear):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            nn.init.zeros_(layer.bias)
    return network
