"""A unit -> parts of so many members that the caches of a CPU, or the memory of a GPU, hold them.

Parts share no arithmetic, so they can be trained at once, one thread each, and one that did not fit can be halved.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import replace
from math import ceil, prod
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from effbatch.core.announced import SHARE, free_memory
from effbatch.networks.per_image import logits_of
from effbatch.networks.untouched import evaluation_mode
from effbatch.plan.units import Unit

CACHE_BYTES = 8_000_000  # working set of one CPU thread; found by trying, see docs/notes/engine-speed.md
LEAST = 4  # members that a CPU trains at once whatever their size: fewer leave its vector units idle in convolutions
PIECE = 8  # at most so many cells are one piece
GPU_SHARE = 0.5  # of the memory that is free
GPU_EVALUATION_BYTES = 1_000_000_000
BYTES = 4  # of a float32


def parts(unit: Unit, members: int) -> list[Unit]:
    """`unit` in parts of at most `members` cells, cut along seeds first, then α, then the learning rate."""
    if unit.cells <= members:
        return [unit]
    axis = next(axis for axis in ("seeds", "alphas", "learning_rates") if len(getattr(unit, axis)) > 1)
    values: tuple = getattr(unit, axis)
    width = max(1, members // (unit.cells // len(values)))
    pieces = np.array_split(np.arange(len(values)), ceil(len(values) / width))
    cut = []
    for piece in pieces:
        changes: dict[str, Any] = {axis: tuple(values[i] for i in piece)}
        cut += parts(replace(unit, **changes), members)
    return cut


def pieces(unit: Unit) -> list[Unit]:
    """`unit` in pieces of a few cells that are still cells of it: each can be trained, and kept, for itself."""
    return [replace(part, whole_axes=unit.whole.axes) for part in parts(unit, PIECE)]


def members_per_part(cells: int, fitting: int, workers: int, *, least: int = LEAST) -> int:
    """How many members a part gets where so many fit: all workers have as much to do, unless parts become too small."""
    rounds = ceil(cells / (fitting * workers))
    return max(min(fitting, least), ceil(cells / (rounds * workers)))


def joined(unit: Unit, trained: Sequence[tuple[Unit, dict[str, np.ndarray]]]) -> dict[str, np.ndarray]:
    """The arrays (alpha, learning_rate, seed, ...) of the parts, put together as those of `unit`, the cells it has."""
    whole: dict[str, np.ndarray] = {}
    for part, arrays in trained:
        indices = _shared(unit, part)
        place, source = np.ix_(*(own for own, _ in indices)), np.ix_(*(others for _, others in indices))
        for name, values in arrays.items():
            target = whole.setdefault(name, np.empty((*map(len, unit.axes), *values.shape[3:]), values.dtype))
            target[place] = values[source]
    return whole


def shared_cells(part: Unit, unit: Unit) -> int:
    """How many cells both have."""
    return prod(len(own) for own, _ in _shared(part, unit))


def _shared(unit: Unit, other: Unit) -> list[tuple[np.ndarray, np.ndarray]]:
    """Along every axis, where the values that both units have stand in the one and in the other."""
    return [
        np.intersect1d(*values, assume_unique=True, return_indices=True)[1:]
        for values in zip(unit.axes, other.axes, strict=True)
    ]


def members_that_fit(
    network: nn.Module, outputs: int, batch_size: int, device: torch.device, *, in_turns: bool = False
) -> int:
    """How many members to train at once: weights, activations and both gradients fit the caches or the GPU's memory.

    `outputs` is what `outputs_per_image` counts. Members that train one after the other need not fit the caches.
    """
    needed = 2 * BYTES * (sum(w.numel() for w in network.parameters()) + batch_size * outputs)
    if device.type == "cpu":
        by_memory = SHARE * free_memory() / torch.get_num_threads() // (2 * needed)  # with the state of the optimiser
        return max(1, int(by_memory if in_turns else min(max(LEAST, CACHE_BYTES // needed), by_memory)))
    free, _ = torch.cuda.mem_get_info(device)
    return max(1, int(GPU_SHARE * free) // needed)


def bytes_of_training(network: nn.Module) -> int:
    """What one network for each thread of a CPU takes: weights, gradients and the state of an optimiser."""
    return 4 * BYTES * sum(w.numel() for w in network.parameters()) * torch.get_num_threads()


def images_that_fit(outputs: int, members: int, device: torch.device) -> int:
    """How many images to evaluate at once, each with so many `outputs` in every member."""
    memory = CACHE_BYTES if device.type == "cpu" else GPU_EVALUATION_BYTES
    return max(1, memory // (BYTES * outputs * members))


def outputs_per_image(network: nn.Module, image: Tensor, num_classes: int) -> int:
    """Numbers that the layers of a network give out for one image (1, C, H, W), all layers together.

    InputError where the network does not take the image, or does not return a logit for each class.
    """
    network = deepcopy(network)
    outputs = 0

    def count(layer: nn.Module, inputs: object, output: object) -> None:
        nonlocal outputs
        if isinstance(output, Tensor) and not any(True for _ in layer.children()):
            outputs += output.numel()

    with evaluation_mode(network):
        logits_of(network, image, num_classes, chunk=1)
        for layer in network.modules():
            layer.register_forward_hook(count)
        with torch.no_grad():
            network(image)
    return max(outputs, num_classes)  # what layers give out in tuples is not counted
