"""A network -> the same to try out for a while: what calling it changes is as it was afterwards, bit for bit."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import nn


@contextmanager
def untouched(network: nn.Module, *, training: bool | None = None) -> Iterator[None]:
    """Modes, buffers, plain attributes and all random states come back; weights are the caller's to leave alone.

    training  the mode for that while; None: every module keeps its own

    Calls meanwhile see copies of the buffers, so that a graph that was recorded before can still run backward.
    """
    modules = [module for module in network.modules() if not isinstance(module, torch.jit.ScriptModule)]
    kept = [dict(vars(module)) for module in modules]
    copies = {id(b): b.detach().clone() for b in network.buffers()}
    devices = {w.device for w in network.parameters() if w.device.type == "cuda"}
    python, numbers = random.getstate(), np.random.get_state()  # noqa: NPY002 (a user's network may draw from it)
    try:
        for module in modules:
            for place in ("_buffers", "_parameters", "_modules"):  # a call may change what they hold
                vars(module)[place] = dict(vars(module)[place])
            module._buffers.update({k: copies[id(b)] for k, b in module._buffers.items() if b is not None})
        if training is not None:
            network.train(training)
        with torch.random.fork_rng(devices=devices):
            yield
    finally:
        for module, attributes in zip(modules, kept, strict=True):
            vars(module).clear()
            vars(module).update(attributes)
        random.setstate(python)
        np.random.set_state(numbers)  # noqa: NPY002
