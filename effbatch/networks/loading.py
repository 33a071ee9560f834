"""What a user names -> an untrained network; only `package.module:function` and `file.py:function` run code."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Sequence
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import nn

from effbatch.core.errors import InputError, first_line, hint
from effbatch.networks.classifier import as_classifier
from effbatch.networks.per_image import trainable_weights
from effbatch.networks.zoo import NETWORKS, build, drawn


def load_network(
    name: str, image_shape: Sequence[int], num_classes: int, *, seed: int, last_layer: float = 1.0
) -> nn.Module:
    """A built-in network, or what `package.module:function` returns; weights are drawn by `seed`.

    Those of the last layer that has any are multiplied by `last_layer`.

    The second form imports the module, also from the working directory, and calls the function without arguments:
    it runs that code. `path/to/file.py:function` does the same with that file. The network maps images to logits
    (n, num_classes), whatever it returns itself: see `as_classifier`. InputError where the name is not known, the code
    fails, or no nn.Module comes back.
    """
    if ":" not in name:
        if name not in NETWORKS and ("." in name or "/" in name):
            module, _, function = name.rpartition(".")
            spelling = f"{name}:make_net" if name.endswith(".py") else f"{module}:{function}"
            raise InputError(
                f"a network of your own needs package.module:function or file.py:function, got {name!r}: write "
                f"{spelling}, with the name of the function that returns the network",
                name=name,
            )
        return _with_last_layer(build(name, image_shape, num_classes, seed=seed), last_layer)

    def made() -> Any:
        network = loaded_function(name, "a network")()
        if isinstance(network, nn.Module):
            return as_classifier(network, num_classes, torch.zeros(2, *image_shape))
        return network

    try:
        network = drawn(made, seed=seed)
    except InputError:
        raise
    except (Exception, SystemExit) as error:  # the user's code may raise anything; --debug shows where
        raise InputError(
            f"network {name!r} needs to be package.module:function, a function without arguments that returns an "
            f"nn.Module; calling it raised {first_line(error)}: call it yourself, and mend what fails",
            name=name,
        ) from error
    if not isinstance(network, nn.Module):
        raise InputError(
            f"{name} needs to return an nn.Module, got {type(network).__name__}: return the network", name=name
        )
    trainable_weights(network)  # raises where there is nothing to train
    return _with_last_layer(network, last_layer)


def _with_last_layer(network: nn.Module, factor: float) -> nn.Module:
    if factor == 1:
        return network
    *_, last = (layer for layer in network.modules() if any(True for _ in layer.parameters(recurse=False)))
    with torch.no_grad():
        for weight in last.parameters(recurse=False):
            weight.mul_(factor)
    return network


def loaded_function(name: str, what: str) -> Callable[..., Any]:
    """The function that `package.module:function`, also in the working directory, or `file.py:function` names.

    InputError, which begins with `what` it was to make, where that cannot be done.
    """
    module_name, _, function_name = name.rpartition(":")
    try:
        module = _module(module_name)
        public = {one: value for one, value in vars(module).items() if callable(value) and not one.startswith("_")}
        own = [one for one, value in public.items() if getattr(value, "__module__", None) == module.__name__]
        known = own or [*public]
        if not hasattr(module, function_name) and known:
            raise InputError(
                f"{what} needs a function of {module_name}, got {function_name!r}: {hint(function_name, known)}",
                name=name,
            )
        function = getattr(module, function_name)
    except InputError:
        raise
    except (Exception, SystemExit) as error:  # the user's code may raise anything; --debug shows where
        raise InputError(
            f"{what} {name!r} needs to be package.module:function; importing it raised {first_line(error)}: "
            "check the name, or mend the file",
            name=name,
        ) from error
    if not callable(function):
        raise InputError(f"{what} {name!r} needs to be a function, got {type(function).__name__}: name one", name=name)
    return function


def _module(name: str) -> ModuleType:
    """The module of this name, as `python -m` finds it, or of the file of this name, as `python file.py` does."""
    path = Path(name)
    of_file = path.suffix == ".py"
    if (where := str((path.parent if of_file else Path()).resolve())) not in sys.path:
        sys.path.insert(0, where)  # a console script starts without it
    if not of_file:
        return importlib.import_module(name)
    known = sys.modules.get(path.stem)
    if known is not None and path.resolve() == Path(known.__file__ or "").resolve():
        return known
    spec = spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[path.stem] = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
