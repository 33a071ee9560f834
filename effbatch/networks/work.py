"""A network, a data set and a recipe's steps -> about how long a full run takes on one core, counted and not timed."""

from __future__ import annotations

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from effbatch.data.dataset import DataSet
from effbatch.networks.classifier import as_classifier, called
from effbatch.networks.untouched import untouched

A_STEP = 1e-3  # seconds beside the products of a small network: calls, the optimiser, drawing a batch
A_SECOND = 5e10  # operations of products on one core
TRAINED = 3  # times the products of a forward pass, with those backward
EXAMPLES = 2  # that the operations are counted on


def core_seconds(network: nn.Module, data: DataSet, *, steps: int, batch_size: int) -> float:
    """About the seconds of a full run of `network` on one core of a usual processor, the same on every machine.

    Operations are those that PyTorch counts in a forward pass. What they take differs by a factor of three between
    machines and networks; so this is for decisions that must come out alike, not for telling a user.
    """
    some = data.x_train[:EXAMPLES]
    network = as_classifier(network, data.num_classes, some)
    device = next(network.parameters(), torch.zeros(())).device
    with untouched(network, training=False), torch.no_grad(), FlopCounterMode(display=False) as counted:
        called(network, torch.as_tensor(some, device=device))
    products = TRAINED * batch_size * counted.get_total_flops() / EXAMPLES
    return steps * (A_STEP + products / A_SECOND)
