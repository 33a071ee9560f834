"""What a user names -> an untrained network; only `package.module:function` runs code."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from torch import nn

from effbatch.core.errors import InputError, first_line
from effbatch.networks.per_image import trainable_weights
from effbatch.networks.zoo import build, drawn


def load_network(name: str, image_shape: Sequence[int], num_classes: int, *, seed: int) -> nn.Module:
    """A built-in network, or what `package.module:function` returns; weights are drawn by `seed`.

    The second form imports the module, also from the working directory, and calls the function without arguments:
    it runs that code. InputError where the name is not known, the code fails, or no nn.Module comes back.
    """
    if ":" not in name:
        return build(name, image_shape, num_classes, seed=seed)
    try:
        network = drawn(lambda: loaded_function(name, "a network")(), seed=seed)
    except InputError:
        raise
    except (Exception, SystemExit) as error:  # the user's code may raise anything; --debug shows where
        raise InputError(
            f"network {name!r} needs to be package.module:function, a function without arguments that returns an "
            f"nn.Module; calling it raised {first_line(error)}",
            name=name,
        ) from error
    if not isinstance(network, nn.Module):
        raise InputError(f"{name} needs to return an nn.Module, got {type(network).__name__}", name=name)
    trainable_weights(network)  # raises where there is nothing to train
    return network


def loaded_function(name: str, what: str) -> Callable[..., Any]:
    """The function that `package.module:function` names, its module imported, also from the working directory.

    InputError, which begins with `what` it was to make, where that cannot be done.
    """
    module_name, _, function_name = name.partition(":")
    if (here := str(Path.cwd())) not in sys.path:
        sys.path.insert(0, here)  # as `python -m` does; a console script starts without it
    try:
        function = getattr(importlib.import_module(module_name), function_name)
    except (Exception, SystemExit) as error:  # the user's code may raise anything; --debug shows where
        raise InputError(
            f"{what} {name!r} needs to be package.module:function; importing it raised {first_line(error)}", name=name
        ) from error
    if not callable(function):
        raise InputError(f"{what} {name!r} needs to be a function, got {type(function).__name__}", name=name)
    return function
