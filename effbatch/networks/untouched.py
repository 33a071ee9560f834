"""A network, or the process -> the same to try out for a while: what calls change comes back, bit for bit."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from threading import RLock

import numpy as np
import torch
from torch import nn

random_states = RLock()  # those of Python, NumPy and PyTorch are one each for all threads: who draws holds it


@contextmanager
def untouched(network: nn.Module, *, training: bool | None = None) -> Iterator[None]:
    """Modes, buffers, plain attributes and all random states come back; weights are the caller's to leave alone.

    training  the mode for that while; None: every module keeps its own

    Calls meanwhile see copies of the buffers, so that a graph that was recorded before can still run backward.
    """
    modules = [module for module in network.modules() if not isinstance(module, torch.jit.ScriptModule)]
    kept = [dict(vars(module)) for module in modules]
    copies = {id(b): b.detach().clone() for b in network.buffers()}
    try:
        for module in modules:
            for place in ("_buffers", "_parameters", "_modules"):  # a call may change what they hold
                vars(module)[place] = dict(vars(module)[place])
            module._buffers.update({k: copies[id(b)] for k, b in module._buffers.items() if b is not None})
        if training is not None:
            network.train(training)
        with process_untouched():
            yield
    finally:
        for module, attributes in zip(modules, kept, strict=True):
            vars(module).clear()
            vars(module).update(attributes)


@contextmanager
def evaluation_mode(network: nn.Module) -> Iterator[None]:
    """Evaluation mode for a while; every module gets back the mode that it had, and all else stays as it becomes."""
    modes = [(module, module.training) for module in network.modules()]
    network.eval()
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode


@contextmanager
def process_untouched() -> Iterator[None]:
    """What a network's code may change of the process comes back: all random states, and PyTorch's default type."""
    on_gpus = torch.cuda.is_initialized()
    with random_states:
        python, numbers = random.getstate(), np.random.get_state()  # noqa: NPY002 (a user's network may draw from it)
        cpu, gpus = torch.get_rng_state(), torch.cuda.get_rng_state_all() if on_gpus else []
    default = torch.get_default_dtype()
    try:
        yield
    finally:
        with random_states:
            random.setstate(python)
            np.random.set_state(numbers)  # noqa: NPY002
            torch.set_rng_state(cpu)
            torch.cuda.set_rng_state_all(gpus)
        torch.set_default_dtype(default)


def draw_from(seed: int) -> None:
    """Let PyTorch, NumPy and Python draw from `seed`, within `process_untouched`.

    Who holds `random_states` until the numbers are drawn gets those of the seed whatever other threads draw here.
    """
    with random_states:
        torch.manual_seed(seed)
        np.random.seed(seed % 2**32)  # noqa: NPY002 (a user's network may draw from it)
        random.seed(seed)
