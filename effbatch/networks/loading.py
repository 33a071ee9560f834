"""What a user names -> network and checkpoint; only a network `package.module:function` runs code."""

from __future__ import annotations

import importlib
import sys
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from pickle import UnpicklingError

import torch
from torch import nn

from effbatch.core.errors import InputError, first_line
from effbatch.networks import zoo as networks
from effbatch.networks.per_image import trainable_weights


def load_network(name: str, image_shape: Sequence[int], num_classes: int, *, seed: int) -> nn.Module:
    """A built-in network, or what `package.module:function` returns; weights are drawn by `seed`.

    The second form imports the module, also from the working directory, and calls the function without arguments:
    it runs that code. InputError where the name is not known, the code fails, or no nn.Module comes back.
    """
    if ":" not in name:
        return networks.build(name, image_shape, num_classes, seed=seed)
    module_name, _, function_name = name.partition(":")
    if (here := str(Path.cwd())) not in sys.path:
        sys.path.insert(0, here)  # as `python -m` does; a console script starts without it
    try:
        network = drawn(lambda: getattr(importlib.import_module(module_name), function_name)(), seed=seed)
    except (Exception, SystemExit) as error:  # the user's code may raise anything; --debug shows where
        raise InputError(
            f"network {name!r} needs to be package.module:function, a function without arguments that returns an "
            f"nn.Module; calling it raised {first_line(error)}",
            name=name,
        ) from error
    if not isinstance(network, nn.Module):
        raise InputError(f"{name} needs to return an nn.Module; {type(network).__name__} came", name=name)
    trainable_weights(network)  # raises where there is nothing to train
    return network


def drawn(make: Callable[[], nn.Module], *, seed: int) -> nn.Module:
    """What `make` returns with its weights drawn by `seed`; PyTorch's own random state stays as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return make()


def load_checkpoint(network: nn.Module, path: str | Path) -> None:
    """Put the weights of `torch.save(network.state_dict(), path)` into the network; reads tensors, never runs code.

    InputError where the file is not such a dictionary, or not of this network.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a pickle protocol: such a file is refused below
            weights = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise InputError(f"the checkpoint {path} cannot be read: {error.strerror or error}") from error
    except (UnpicklingError, RuntimeError, ValueError, EOFError, KeyError) as error:
        raise InputError(
            f"the checkpoint {path} is not a file of weights alone: save one with torch.save(network.state_dict(), ...)"
        ) from error
    if not isinstance(weights, dict) or not all(isinstance(w, torch.Tensor) for w in weights.values()):
        raise InputError(
            f"the checkpoint {path} needs to be a dictionary of tensors by parameter name; {type(weights).__name__} of "
            "other things came: save one with torch.save(network.state_dict(), ...)"
        )
    own = network.state_dict()
    unlike = [f"{name!r} is missing" for name in own.keys() - weights.keys()]
    unlike += [f"{name!r} is not in the network" for name in weights.keys() - own.keys()]
    unlike += [
        f"{name!r} has shape {tuple(weights[name].shape)} instead of {tuple(own[name].shape)}"
        for name in own.keys() & weights.keys()
        if weights[name].shape != own[name].shape
    ]
    unlike += [
        f"{name!r} is {weights[name].layout} {weights[name].dtype} on {weights[name].device}, no plain numbers"
        for name in own.keys() & weights.keys()
        if weights[name].layout != own[name].layout or weights[name].is_meta or weights[name].is_complex()
    ]
    if unlike:
        raise InputError(
            f"the checkpoint {path} is of another network: {min(unlike, key=str)}"
            + (f", and {len(unlike) - 1} more differences" if len(unlike) > 1 else ""),
            differences=sorted(unlike),
        )
    network.load_state_dict(weights)
