"""A network in its present mode -> whether it draws random numbers, and whether images of a batch change each other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from effbatch.networks.classifier import called, each, logits_in
from effbatch.networks.untouched import draw_from, untouched

ROWS = 32  # images of a batch that is tried
TRIES = 4  # batches that draw random numbers


@dataclass(frozen=True)
class Behaviour:
    """What a few calls of a network show.

    draws    calls with the same images differ: dropout, stochastic depth
    coupled  an image's logits depend on the other images of its batch (BatchNorm), or on draws that it shares with them
    """

    draws: bool
    coupled: bool


@torch.no_grad()
def behaviour(network: nn.Module, images: Any) -> Behaviour:
    """Found by calling, not by the names of layers: dropout written by hand counts, and dropout of rate 0 does not.

    Images are a tensor or a mapping of tensors (n, ...). Weights, buffers, modes and random states stay.

    >>> behaviour(nn.Sequential(nn.Linear(2, 2), nn.Dropout()), torch.ones(4, 2))
    Behaviour(draws=True, coupled=False)
    """
    n = len(next(iter(images.values())) if isinstance(images, Mapping) else images)
    index = torch.arange(ROWS) % n
    mixed = each(images, lambda x: x[index.to(x.device)])
    alike = each(images, lambda x: x[torch.zeros(ROWS, dtype=torch.long, device=x.device)])

    def logits(x: Any, seed: int) -> Tensor:
        with untouched(network):
            draw_from(seed)
            z = logits_in(called(network, x))
            assert z is not None
            return z.reshape(ROWS, -1).double()

    first = [logits(alike, seed) for seed in range(TRIES)]
    draws = not all(_same(z, first[0]) for z in first)
    shared = draws and all(_same(z, z[:1].expand_as(z)) for z in first)
    others = n > 1 and not _same(logits(mixed, 0)[:1], first[0][:1])
    return Behaviour(draws, shared or others)


def _same(a: Tensor, b: Tensor) -> bool:
    largest = float(b.nan_to_num(0, 0, 0).abs().max())
    return torch.allclose(a, b, rtol=1e-3, atol=1e-4 * largest, equal_nan=True)
