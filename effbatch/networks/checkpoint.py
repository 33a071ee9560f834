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
    named = isinstance(weights, dict) and all(isinstance(name, str) for name in weights)
    if not named or not all(isinstance(w, torch.Tensor) for w in weights.values()):
        raise InputError(
            f"the checkpoint {path} needs to be a dictionary of tensors by parameter name, got "
            f"{type(weights).__name__} of other things: save one with torch.save(network.state_dict(), ...)"
        )
    if odd := [name for name, w in weights.items() if w.layout != torch.strided or w.is_meta or w.is_complex()]:
        raise InputError(f"the checkpoint {path} needs plain numbers, got others for {odd[0]!r}: save dense weights")
    try:
        network.load_state_dict(weights)
    except RuntimeError as error:
        told, _, differences = str(error).partition("\n")  # PyTorch names each difference in a line of its own
        first = (differences or told).strip().partition("\n")[0].removesuffix(".")
        raise InputError(
            f"the checkpoint {path} is of another network: {first}: give the network that it was saved from"
        ) from error
