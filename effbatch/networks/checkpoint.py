"""A file of weights -> these weights in a network; tensors are read, and code is never run."""

from __future__ import annotations

import warnings
from pathlib import Path
from pickle import UnpicklingError

import torch
from torch import nn

from effbatch.core.errors import InputError, beside


def load_checkpoint(network: nn.Module, path: str | Path) -> None:
    """Put the weights of `torch.save(network.state_dict(), path)` into the network; reads tensors, never runs code.

    InputError where the file is not such a dictionary, or not of this network.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a pickle protocol: such a file is refused below
            weights = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise InputError(f"the checkpoint {path} cannot be read: {error.strerror or error}{beside(path)}") from error
    except (UnpicklingError, RuntimeError, ValueError, EOFError, KeyError) as error:
        raise InputError(
            f"the checkpoint {path} is not a file of weights alone: save one with torch.save(network.state_dict(), ...)"
        ) from error
    if not isinstance(weights, dict) or not all(isinstance(w, torch.Tensor) for w in weights.values()):
        raise InputError(
            f"the checkpoint {path} needs to be a dictionary of tensors by parameter name, got "
            f"{type(weights).__name__} of other things: save one with torch.save(network.state_dict(), ...)"
        )
    own = network.state_dict()
    unlike = [f"{name!r} is missing" for name in own.keys() - weights.keys()]
    unlike += [f"{name!r} is not in the network" for name in weights.keys() - own.keys()]
    for name in own.keys() & weights.keys():
        mine, w = own[name], weights[name]
        if w.shape != mine.shape:
            unlike.append(f"{name!r} has shape {tuple(w.shape)} instead of {tuple(mine.shape)}")
        if w.layout != mine.layout or w.is_meta or w.is_complex():
            unlike.append(f"{name!r} is {w.layout} {w.dtype} on {w.device}, no plain numbers")
    if unlike:
        raise InputError(
            f"the checkpoint {path} is of another network: {min(unlike, key=str)}"
            + (f", and {len(unlike) - 1} more differences" if len(unlike) > 1 else "")
            + ": give the network that it was saved from",
            differences=sorted(unlike),
        )
    network.load_state_dict(weights)
