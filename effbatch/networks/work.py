"""A network, data, steps and batch sizes -> about how long full runs take on one core, counted and not timed."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf

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


def core_seconds(network: nn.Module, data: DataSet, runs: Sequence[tuple[int, int]]) -> float:
    """About the seconds of full runs, (steps, batch size) each, on one core of a usual processor.

    Operations are those that PyTorch counts in a forward pass in training mode, so the same on every machine; what they
    take differs by a factor of three. This is for decisions that must come out alike, not for telling a user. Infinite
    for a network that raises: what is wrong is said where it trains.
    """
    some = data.x_train[:EXAMPLES]
    device = next(network.parameters(), torch.zeros(())).device
    try:
        network = as_classifier(network, data.num_classes, some)
        with untouched(network, training=True), torch.no_grad(), FlopCounterMode(display=False) as counted:
            called(network, torch.as_tensor(some, device=device))
    except Exception:  # the user's code may raise anything
        return inf
    a_copy = TRAINED * counted.get_total_flops() / EXAMPLES / A_SECOND
    return sum(steps * (A_STEP + batch_size * a_copy) for steps, batch_size in runs)
