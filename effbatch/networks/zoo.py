"""A name -> the built-in network of that name, untrained; `NETWORKS` finds them in the files of `builtin`."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Sequence

from torch import nn

from effbatch.core.errors import InputError, hint
from effbatch.networks import builtin
from effbatch.networks.untouched import draw_from, process_untouched, random_states

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
    """What `make` returns with its weights drawn by `seed`; random states and PyTorch's default type stay as they were.

    They are drawn on the CPU, so that every device gets the same ones.
    """
    with random_states, process_untouched():
        draw_from(seed)
        return make()
