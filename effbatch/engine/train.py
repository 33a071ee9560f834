"""A unit -> the accuracies and losses of all its networks, trained in parts that fit the caches or the GPU's memory."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy
from threading import Event, Lock

import numpy as np
import torch
from torch import nn

from effbatch.core.errors import InputError
from effbatch.data.dataset import DataSet
from effbatch.engine.cost import cost_of
from effbatch.engine.dense import is_dense
from effbatch.engine.device import exact_float32, out_of_memory, threads_within
from effbatch.engine.ensembles import too_wide
from effbatch.engine.members import Members, Trained
from effbatch.engine.parts import (
    LEAST,
    joined,
    members_per_part,
    members_that_fit,
    outputs_per_image,
    parts,
    shared_cells,
)
from effbatch.networks.classifier import as_classifier
from effbatch.networks.loading import load_network
from effbatch.networks.untouched import process_untouched
from effbatch.plan.units import Unit

WIDE = 300_000  # numbers that the layers of a unit give out in a step, from which on several threads share one

TrainedParts = list[tuple[Unit, Trained]]


def train_unit(
    unit: Unit,
    dataset: DataSet,
    *,
    device: torch.device,
    networks: Mapping[int, nn.Module] | None = None,
    matrices: np.ndarray | None = None,
    on_progress: Callable[[float], None] = lambda share: None,
) -> Trained:
    """Train every cell of `unit`; `on_progress` is told the share of its `Cost` done since it was last told.

    networks  by seed, in place of those that the unit names; they are copied
    matrices  N of every α, (A, K, K), rows = true class, in place of what the unit says of noisy labels

    The unit is trained in parts that fit the caches or the GPU's memory, on a CPU as many at once as PyTorch has
    threads; of the parts of a larger whole, only those that cells of this unit are in. A part that does not fit the
    memory is split and retried, and what this undoes is told as a negative share. Random states and PyTorch's default
    type stay as they were. InputError where not even one member fits, or the network does not fit the data set.
    """
    with process_untouched():
        torch.set_default_dtype(torch.float32)
        return _trained(unit, dataset, device, networks, matrices, on_progress)


def take_turns(unit: Unit, dataset: DataSet, device: torch.device) -> bool:
    """Whether the members of a unit will train one after another: each then has its numbers whatever else trains."""
    with process_untouched():
        one = _network(unit, dataset, unit.seeds[0])
        return _take_turns(one, _outputs(one, dataset), unit, device)


def _trained(
    unit: Unit,
    dataset: DataSet,
    device: torch.device,
    networks: Mapping[int, nn.Module] | None,
    matrices: np.ndarray | None,
    on_progress: Callable[[float], None],
) -> Trained:
    one = _network(unit, dataset, unit.seeds[0], networks)
    outputs = _outputs(one, dataset)
    in_turns = _take_turns(one, outputs, unit, device)
    whole = unit if in_turns else unit.whole  # numbers of members in turns do not depend on what else trains
    others = {seed: _network(unit, dataset, seed, networks) for seed in whole.seeds if seed != unit.seeds[0]}
    fitting = members_that_fit(one, outputs, unit.batch_size, device, in_turns=in_turns)
    threads = torch.get_num_threads() if device.type == "cpu" else 1
    todo = parts(whole, members_per_part(whole.cells, fitting, threads, least=1 if in_turns else LEAST))
    workers = min(threads, len(todo))
    small = outputs * unit.batch_size * whole.cells < WIDE  # threads would wait for each other longer than they work
    training = _Training(unit, dataset, device, {unit.seeds[0]: one, **others}, outputs, matrices, on_progress)
    with exact_float32(), threads_within(1 if small else threads // workers if device.type == "cpu" else None):
        done = training.all_of(todo, workers)
    return joined(unit, [trained for of_part in done for trained in of_part])


def _network(unit: Unit, dataset: DataSet, seed: int, given: Mapping[int, nn.Module] | None = None) -> nn.Module:
    """The network of a seed, a copy where it is given, as it trains."""
    K = dataset.num_classes
    if given is None:
        how = {"last_layer": unit.train.last_layer}
        network = load_network(unit.train.network, dataset.image_shape, K, seed=seed, **how)
    else:
        network = deepcopy(given[seed])
    return as_classifier(network.float(), K, dataset.x_test)


def _outputs(network: nn.Module, dataset: DataSet) -> int:
    return outputs_per_image(network, torch.as_tensor(dataset.x_test[:1]), dataset.num_classes)


def _take_turns(network: nn.Module, outputs: int, unit: Unit, device: torch.device) -> bool:
    """Whether members train one after another because side by side they would leave the caches of a CPU."""
    return not is_dense(network) and too_wide(outputs * unit.batch_size, device, unit.train.precision)


class _Training:
    """The parts of one unit in training, perhaps in several threads."""

    def __init__(
        self,
        unit: Unit,
        dataset: DataSet,
        device: torch.device,
        networks: Mapping[int, nn.Module],
        outputs: int,
        matrices: np.ndarray | None,
        on_progress: Callable[[float], None],
    ) -> None:
        self.unit, self.dataset, self.device = unit, dataset, device
        self.networks, self.outputs, self.matrices, self.on_progress = networks, outputs, matrices, on_progress
        self.in_all = unit.cells * cost_of(unit, dataset).cell
        self.stopping, self.telling = Event(), Lock()

    def all_of(self, todo: Sequence[Unit], workers: int) -> list[TrainedParts]:
        """All parts trained, by so many threads at once; one alone needs no thread of its own."""
        if workers == 1:
            return [self.part(part) for part in todo]
        with ThreadPoolExecutor(workers) as pool:
            try:
                return list(pool.map(self.part, todo))
            except BaseException:
                self.stopping.set()
                raise

    def part(self, part: Unit) -> TrainedParts:
        """One part trained, split where it does not fit the memory; nothing where no cell of it is asked for."""
        if not (asked := shared_cells(part, self.unit)):
            return []
        told = 0.0

        def tell(copies: float) -> None:
            nonlocal told
            told += (share := copies * asked / self.in_all)
            with self.telling:
                self.on_progress(share)

        try:
            members = Members(
                part,
                self.dataset,
                self.device,
                [self.networks[s] for s in part.seeds],
                outputs=self.outputs,
                matrices=self._matrices_of(part),
            )
            return [(part, members.trained(tell, self.stopping))]
        except (RuntimeError, MemoryError) as error:
            if not out_of_memory(error):
                raise
            if part.cells == 1:
                raise InputError(
                    f"one network {part.train.network} with batch size {part.batch_size} needs more memory than "
                    f"{self.device} has free; lower the batch size, or train on the CPU with --device cpu"
                ) from error
        with self.telling:
            self.on_progress(-told)
        return [trained for half in parts(part, part.cells // 2) for trained in self.part(half)]

    def _matrices_of(self, part: Unit) -> np.ndarray | None:
        """Those of the alphas of a part."""
        if self.matrices is None:
            return None
        return self.matrices[[self.unit.whole.alphas.index(alpha) for alpha in part.alphas]]
