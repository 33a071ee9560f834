"""A network -> how many dense layers it has, where it is a chain of them with ReLU that starts as PyTorch's do.

A layer of PyTorch starts with weights uniform within ±1/√fan_in, of root mean square 1/√3 of that.
"""

from __future__ import annotations

from math import sqrt
from typing import Any

import torch
from torch import Tensor, nn

from effbatch.networks.untouched import untouched

UNIFORM = 1 / sqrt(3)  # root mean square of what is uniform within ±1
NEAR = 0.05  # it may be off by, and by 4.5 standard errors of the mean of n squares more, 2/√n


@torch.no_grad()
def chain_depth(network: nn.Module, images: Any) -> int | None:
    """L, the layers with weights; None for a network that is anything else, or starts otherwise.

    Found by calling it in training mode, so that a ReLU inside of `forward` counts, and dropout, skips, normalisation
    and other activations are seen: the first layer takes the pixels of the `images` (n, ...), every other one max(0, y)
    of what the one before gave, y, and the last gives the logits. Weights, modes and random states stay.

    >>> chain_depth(nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3)), torch.randn(8, 4))
    2
    """
    images = torch.as_tensor(images)
    passed: list[tuple[Tensor, Tensor]] = []
    layers: list[nn.Linear] = []

    def watch(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        assert isinstance(layer, nn.Linear)
        layers.append(layer)
        given = inputs[0] if inputs else output[:0]  # named, `layer(input=x)`, it is not seen: no chain
        passed.append((given.clone(), output.clone()))  # what follows may change them in place

    handles = [one.register_forward_hook(watch) for one in network.modules() if type(one) is nn.Linear]
    try:
        with untouched(network, training=True):
            logits = network(images)
    finally:
        for handle in handles:
            handle.remove()
    ours = [weight for layer in layers for weight in layer.parameters()]
    if {*map(id, ours)} != {*map(id, network.parameters())} or len(ours) != len({*map(id, ours)}):
        return None  # others have weights too, or weights serve twice
    left = [images.flatten(1), *(output.relu() for _, output in passed[:-1])]
    chained = all(torch.equal(x, given) for x, (given, _) in zip(left, passed, strict=True))
    starts = all(weight.requires_grad for weight in ours) and all(map(_as_drawn, layers))
    return len(layers) if chained and starts and torch.equal(logits, passed[-1][1]) else None


def _as_drawn(layer: nn.Linear) -> bool:
    """Whether the weights may be those that PyTorch draws."""
    z = layer.weight * sqrt(layer.in_features)
    size = float(z.square().mean().sqrt())
    return float(z.abs().max()) <= 1 + 1e-6 and abs(size / UNIFORM - 1) <= NEAR + 2 / sqrt(z.numel())
