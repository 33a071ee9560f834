"""A name -> the built-in network of that name, untrained; `NETWORKS` finds them in the files of `builtin`."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Sequence

import torch
from torch import nn

from effbatch.core.errors import InputError, hint
from effbatch.networks import builtin

Builder = Callable[[Sequence[int], int], nn.Module]


def _discover() -> dict[str, Builder]:
    modules = [importlib.import_module(f"{builtin.__name__}.{m.name}") for m in pkgutil.iter_modules(builtin.__path__)]
    return {network.__name__: network for module in modules for network in getattr(module, "NETWORKS", ())}


NETWORKS: dict[str, Builder] = _discover()


def build(name: str, image_shape: Sequence[int], num_classes: int, *, seed: int) -> nn.Module:
    """The network `name` as initialised by `seed`; InputError where there is none."""
    if name not in NETWORKS:
        raise InputError(f"network {name!r} is not known; {hint(name, NETWORKS)}", name=name)
    return drawn(lambda: NETWORKS[name](image_shape, num_classes), seed=seed)


def drawn(make: Callable[[], nn.Module], *, seed: int) -> nn.Module:
    """What `make` returns with its weights drawn by `seed`; PyTorch's own random state stays as it was.

    They are drawn on the CPU, so that every device gets the same ones.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return make()
