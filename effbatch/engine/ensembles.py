"""One network per seed -> the fastest ensemble that computes what the network itself computes.

Known layers are stacked (`stacking`); any other network without buffers or random layers goes through `torch.func`; the
rest, such as BatchNorm and dropout, is trained member by member, and so is one member alone.
"""

from __future__ import annotations

import random
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from copy import deepcopy
from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import vmap

from effbatch.engine.dense import DenseNetwork
from effbatch.engine.stacking import SideBySide, StackedNetwork, member_of, stacked_parameters
from effbatch.networks.per_image import logits_of, output, trainable_weights
from effbatch.networks.untouched import draw_from, evaluation_mode, random_states
from effbatch.noise.labels import counter_hash

TOGETHER = {"float32": 300_000, "bfloat16": 3_000_000}  # at most, by precision: see docs/notes/engine-speed.md
RANDOM_LAYERS = 101  # first word of the hash: no stream of labels has it
TRIALS = 10  # of a network: one that draws numbers does so in every one, other threads of the process now and then


class Ensemble(Protocol):
    """S·M networks; `parameters` are their weights (S, M, ...), ready for autograd.

    channels_last   the order in memory of an image's numbers that makes them fast
    replayable      whether every step is the same operations on the device: it can be captured as a graph
    in_turn         whether the members compute one after another, so that the caches hold the activations of one alone
    """

    parameters: list[Tensor]
    channels_last: bool
    replayable: bool
    in_turn: bool

    def __call__(self, images: Tensor, *, training: bool = True) -> Tensor:
        """Images (B, G, C, H, W), each for an equal share of the members in their order -> logits (S, M, K, B)."""
        ...

    def gradients(self, logits: Tensor, slope: Tensor) -> Sequence[Tensor]:
        """What `slope`, that of the loss in the logits, becomes in the `parameters`."""
        ...

    def member(self, seed: int, member: int) -> nn.Module:
        """One network with the weights that it has now, a copy; both indices count from 0."""
        ...


def ensemble(
    networks: Sequence[nn.Module],
    members: int,
    device: torch.device,
    *,
    seeds: Sequence[int],
    images: Tensor,
    num_classes: int,
    outputs: int = 0,
    precision: str = "float32",
) -> Ensemble:
    """`members` copies of each network, one network per seed, to be trained side by side.

    A way to train them all at once is taken only if it gives the first network's own logits of `images` (n, C, H, W),
    a few will do. Nor is it taken on a CPU where the layers of one network give out so many numbers in a step,
    `outputs`, that members would push each other from the caches. InputError where the network does not take the
    images, or has no parameter to train.
    """
    first = deepcopy(networks[0]).to(device)
    trainable_weights(first)
    one_by_one = len(networks) * members == 1 or too_wide(outputs, device, precision)
    made: Ensemble | None = None
    side_by_side: tuple[Callable[..., Ensemble], ...] = (DenseNetwork, StackedNetwork, VectorisedNetwork)
    with random_states:  # a network that is tried may draw, while another part trains
        with evaluation_mode(first):
            logits, again = (logits_of(first, images, num_classes, len(images)) for _ in range(2))
        for way in side_by_side[precision != "float32" :]:  # a dense network has buffers, which are of float32
            if _gives(way, first, images, logits):  # so it draws no random numbers
                alone = one_by_one and way is not DenseNetwork
                made = SequentialMembers(networks, members, device) if alone else way(networks, members, device)
                break
    if made is None:
        made = SequentialMembers(networks, members, device, seeds, always=not torch.equal(logits, again))
    return made if precision == "float32" else InBfloat16(made)


def too_wide(outputs: int, device: torch.device, precision: str) -> bool:
    """Whether members whose layers give out so many numbers in a step would drive each other from a CPU's caches."""
    return device.type == "cpu" and outputs > TOGETHER[precision]


def _gives(way: Callable[..., Ensemble], network: nn.Module, images: Tensor, logits: Tensor) -> bool:
    """Whether an ensemble of this one network has its logits, and can be trained.

    Only a vectorised network runs the code of the network's own modules: the others draw no numbers and call no hooks.
    """
    if any(True for _ in network.buffers()) or not all(w.requires_grad for w in network.parameters()):
        return False
    runs_its_code = way is VectorisedNetwork
    if not runs_its_code and any(m._forward_hooks or m._forward_pre_hooks for m in network.modules()):
        return False
    try:
        with warnings.catch_warnings():
            # a layer without a batching rule runs member by member anyway
            warnings.filterwarnings("error", "There is a performance drop")
            made = way([deepcopy(network)], 1, images.device)
            if runs_its_code and _draws(lambda: made(images.unsqueeze(1))):  # PyTorch's random numbers raise there
                return False
            with torch.no_grad():
                same = made(images.unsqueeze(1), training=False)[0, 0].T
    except Exception:  # the user's code may raise anything where it meets what it was not written for
        return False
    return same.shape == logits.shape and torch.allclose(same, logits, rtol=1e-3, atol=1e-4 * float(logits.abs().max()))


def _draws(call: Callable[[], object]) -> bool:
    """Whether a call draws from the random numbers of Python or NumPy.

    Other threads may draw meanwhile, as those of Dask do: only a call that draws changes their states every time. The
    caller holds `random_states`.
    """
    for _ in range(TRIALS):
        before = _states_elsewhere()
        call()
        if _states_elsewhere() == before:
            return False
    return True


def _states_elsewhere() -> tuple[object, ...]:
    """The random states of Python and NumPy."""
    name, words, *position = np.random.get_state()  # noqa: NPY002 (a user's network may draw from it)
    return random.getstate(), name, np.asarray(words).tobytes(), position


class InBfloat16:
    """What the ensemble `within` computes, its products and convolutions in bfloat16, by PyTorch's mixed precision.

    Weights, their gradients, logits and loss stay in single precision, so that small steps are not lost (Micikevicius
    et al. 2018, arXiv 1710.03740); bfloat16 needs no scaling of the loss (Kalamkar et al. 2019, arXiv 1905.12322).
    """

    def __init__(self, within: Ensemble) -> None:
        self.within, self.parameters = within, within.parameters
        self.channels_last, self.replayable, self.in_turn = within.channels_last, within.replayable, within.in_turn
        self.gradients, self.member = within.gradients, within.member

    def __call__(self, images: Tensor, *, training: bool = True) -> Tensor:
        """As `Ensemble`."""
        with torch.autocast(images.device.type, dtype=torch.bfloat16):
            return self.within(images, training=training).float()


class VectorisedNetwork(SideBySide):
    """Any network without buffers and random layers, over all members at once by `torch.func` (vmap)."""

    def __init__(self, networks: Sequence[nn.Module], members: int, device: torch.device) -> None:
        self.network = deepcopy(networks[0]).to(device).train()
        self.names = [name for name, _ in self.network.named_parameters()]
        self.parameters = stacked_parameters(networks, members, device)

    def __call__(self, images: Tensor, *, training: bool = True) -> Tensor:
        """As `Ensemble`."""
        S, M = self.parameters[0].shape[:2]
        G = images.shape[1]
        weights = {
            name: w.flatten(0, 1).unflatten(0, (G, -1)) for name, w in zip(self.names, self.parameters, strict=True)
        }

        def logits(weights: dict[str, Tensor], images: Tensor) -> Tensor:
            return output(self.network, weights, images)

        of_members = vmap(vmap(logits, in_dims=(0, None)), in_dims=(0, 1))
        with nullcontext() if training else evaluation_mode(self.network):
            return of_members(weights, images).flatten(0, 1).transpose(1, 2).unflatten(0, (S, M))


class SequentialMembers:
    """Any network, one member after another: the modules themselves, their weights slices of `parameters`.

    Where `seeds` are given, random layers draw from the member's seed and the number of its step, so that all members
    of a seed draw alike; in evaluation too where they draw `always`. NumPy and Python draw from them likewise.
    """

    channels_last, replayable, in_turn = True, False, True

    def __init__(
        self,
        networks: Sequence[nn.Module],
        members: int,
        device: torch.device,
        seeds: Sequence[int] | None = None,
        *,
        always: bool = False,
    ) -> None:
        self.networks = [deepcopy(net).to(device).train() for net in networks for _ in range(members)]
        self.parameters = [w.requires_grad_(False) for w in stacked_parameters(networks, members, device)]
        self.weights = [[w for w in net.parameters() if w.requires_grad] for net in self.networks]
        for own, slices in zip(
            self.weights, zip(*(w.flatten(0, 1) for w in self.parameters), strict=True), strict=True
        ):
            for weight, slice_ in zip(own, slices, strict=True):
                weight.data = slice_
        self.seeds = None if seeds is None else [seed for seed in seeds for _ in range(members)]
        self.always, self.steps = always, 0

    def __call__(self, images: Tensor, *, training: bool = True) -> Tensor:
        """As `Ensemble`."""
        shared = len(self.networks) // images.shape[1]
        logits = []
        for i, network in enumerate(self.networks):
            drawing = self._drawing(i) if training or self.always else nullcontext()
            with drawing, nullcontext() if training else evaluation_mode(network):
                logits.append(network(images[:, i // shared]).T)
        self.steps += training
        return self._stacked(logits)

    def gradients(self, logits: Tensor, slope: Tensor) -> Sequence[Tensor]:
        """As `Ensemble`."""
        weights = [w for own in self.weights for w in own]
        found = torch.autograd.grad(logits, weights, slope, materialize_grads=True)
        return [self._stacked(found[i :: len(self.parameters)]) for i in range(len(self.parameters))]

    def _stacked(self, tensors: Sequence[Tensor]) -> Tensor:
        """One tensor per member as (S, M, ...); a single one needs no copy."""
        S, M = self.parameters[0].shape[:2]
        together = torch.stack(list(tensors)) if len(tensors) > 1 else tensors[0]
        return together.view(S, M, *tensors[0].shape)

    def _drawing(self, member: int) -> AbstractContextManager[None]:
        return nullcontext() if self.seeds is None else self._drawing_from(self.seeds[member])

    def member(self, seed: int, member: int) -> nn.Module:
        """As `Ensemble`."""
        network = self.networks[seed * self.parameters[0].shape[1] + member]
        return member_of(network, self.parameters, seed, member)

    @contextmanager
    def _drawing_from(self, seed: int) -> Iterator[None]:
        device = self.parameters[0].device
        with random_states, torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            draw_from(int(counter_hash(RANDOM_LAYERS, seed, self.steps)))
            yield
