"""A network in any dress -> a module that maps images to logits (n, K), and what that took, in words.

Dresses: a tuple that starts with the logits, an object or mapping with `logits`, one logit for two classes, whole
numbers (tokens) in, layers without sizes, probabilities out. A plain network goes through as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.nn.parameter import UninitializedBuffer, UninitializedParameter

from effbatch.core.errors import InputError
from effbatch.networks.untouched import evaluation_mode, untouched

Images = Tensor | NDArray[Any] | Mapping[str, Tensor]
FEW = 8  # images that tell which dress a network wears
CLOSE = 1e-3  # to 1, of the sum of probabilities
DRESSES = "as a tensor, first in a tuple, or as `logits` of an object or mapping"
SHAPES = ("View", "UnsafeView", "ReshapeAlias", "Squeeze", "Unsqueeze", "Select", "Slice", "Alias", "Clone", "Flatten")


class Classifier(nn.Module):
    """A user's network as images -> logits; weights, buffers and state dict are the network's own.

    takes     type of whole numbers that the images are given in; None: as they come
    single    its one number z per image stands for the logits (0, z) of two classes, for which the binary
              cross-entropy of z is the cross-entropy of both
    sigmoid   that number is a probability p, and z = ln p/(1 − p)
    softened  in evaluation mode it gives probabilities, and logits in training; their logarithm stands for the logits
    raw       logits of whatever shape, as they are
    fixed     arguments by name that are the same for all images
    """

    PREFIX = "undressed."  # of the names of its parameters

    def __init__(
        self,
        network: nn.Module,
        *,
        takes: torch.dtype | None = None,
        single: bool = False,
        sigmoid: bool = False,
        softened: bool = False,
        raw: bool = False,
    ) -> None:
        super().__init__()
        self.undressed, self.takes = network, takes
        self.single, self.sigmoid, self.softened, self.raw = single, sigmoid, softened, raw
        self.fixed: Mapping[str, Any] = {}
        self.training = network.training

    def forward(self, images: Tensor | Mapping[str, Any]) -> Tensor:
        if self.takes is not None and isinstance(images, Tensor):
            images = images.to(self.takes)
        z = logits_in(called(self.undressed, {**images, **self.fixed} if isinstance(images, Mapping) else images))
        if z is None:
            raise InputError(
                f"the network needs to return its logits {DRESSES}, got others in training than before: "
                "return them in both modes"
            )
        if self.raw:
            return z
        if self.softened and not self.undressed.training:
            z = z.clamp_min(torch.finfo(z.dtype).tiny).log()
        z = z.flatten(1) if z.ndim > 1 else z[:, None]
        if not self.single:
            return z
        return torch.cat([torch.zeros_like(z), z.logit(torch.finfo(z.dtype).eps) if self.sigmoid else z], 1)

    def state_dict(self, *args: Any, **options: Any) -> Any:
        return self.undressed.state_dict(*args, **options)

    def load_state_dict(self, *args: Any, **options: Any) -> Any:
        return self.undressed.load_state_dict(*args, **options)


def as_classifier(network: nn.Module, num_classes: int | None, images: Images) -> nn.Module:
    """The network itself where it maps such images to logits (n, num_classes), else a `Classifier` of it.

    num_classes  None: logits of any shape, and always a `Classifier`

    A few of the images are run through it, in both modes; its buffers, modes and random states stay. Layers without
    sizes get them, and weights from PyTorch's generator, as by any first call. What cannot be understood comes back as
    it is: `per_image.logits_of` says what is wrong with it.

    >>> network = as_classifier(nn.Sequential(nn.Flatten(), nn.Linear(4, 1)), 2, torch.zeros(3, 4))
    >>> network(torch.zeros(3, 4)).shape
    torch.Size([3, 2])
    """
    if isinstance(network, Classifier):
        return network
    network = unwrapped(network)
    x, evaluated = _accepted(network, images)
    z = logits_in(evaluated)
    if x is None or z is None or not z.ndim or len(z) == 0:
        return network
    n = len(z)
    whole = x.dtype if isinstance(x, Tensor) and not x.is_floating_point() else None
    if num_classes is None:
        return Classifier(network, takes=whole, raw=True)
    single = z.numel() == n and num_classes == 2
    if z.numel() != n * num_classes and not single:
        return network
    try:
        trained = _run(network, x, training=True)
    except Exception:  # some layers refuse to train on so few images: they are taken to give out alike
        trained = evaluated
    softened = not single and kind_of(z) == "probabilities" and kind_of(logits_in(trained)) is None
    plain = all(isinstance(one, Tensor) and one.shape == (n, num_classes) for one in (evaluated, trained))
    if plain and whole is None and not softened and isinstance(x, Tensor):
        return network
    sigmoid = single and _ends_in_sigmoid(network, x)
    return Classifier(network, takes=whole, single=single, sigmoid=sigmoid, softened=softened)


def unwrapped(network: nn.Module) -> nn.Module:
    """The network inside of what runs it on several devices, or compiled; InputError for what is no network."""
    if not isinstance(network, nn.Module):
        raise InputError(f"a network needs to be an nn.Module, got {type(network).__name__}: build it first")
    if isinstance(network, nn.DataParallel | DistributedDataParallel):
        return unwrapped(network.get_submodule("module"))
    inner = getattr(network, "_orig_mod", None)  # of torch.compile
    return unwrapped(inner) if isinstance(inner, nn.Module) else network


def remarks(network: nn.Module, images: Images) -> tuple[str, ...]:
    """What is odd about the outputs of a network for these images, one sentence each; mostly none."""
    inner = network.undressed if isinstance(network, Classifier) else network
    x, evaluated = _accepted(inner, images)
    if isinstance(network, Classifier) and network.sigmoid:
        return ("the network ends in a sigmoid: its number was taken for the probability of class 1",)
    if isinstance(network, Classifier) and network.softened:
        return ("in evaluation mode the network gives probabilities: their logarithm was taken for the logits",)
    kind = None if x is None else kind_of(logits_in(evaluated))
    if kind == "probabilities":
        return (
            "the network ends in a softmax, but cross-entropy takes logits: training applies softmax twice, and the "
            "gradients become small; leave the last Softmax out of training",
        )
    z = logits_in(evaluated)
    if kind is None and z is not None and bool(((z >= 0) & (z <= 1)).all()) and _ends_in_sigmoid(inner, x):
        return (
            "the network ends in a sigmoid for each class, but cross-entropy takes logits: training applies softmax to "
            "numbers between 0 and 1; leave the last Sigmoid out of training",
        )
    if kind == "log-probabilities":
        return ("the network ends in a log-softmax, which changes nothing: cross-entropy takes it for logits",)
    return ()


def logits_in(output: Any) -> Tensor | None:
    """The tensor of logits in what a network returns: itself, its `logits`, or the first of several; else None."""
    if isinstance(output, Tensor):
        return output
    named = output.get("logits") if isinstance(output, Mapping) else getattr(output, "logits", None)
    if isinstance(named, Tensor):
        return named
    return logits_in(output[0]) if isinstance(output, tuple | list) and output else None


def called(network: nn.Module, images: Any) -> Any:
    """What the network returns for images, or for a mapping of its arguments by name."""
    by_name = isinstance(images, Mapping) and not isinstance(network, Classifier)
    return network(**images) if by_name else network(images)


def each(images: Any, change: Callable[[Tensor], Tensor]) -> Any:
    """A change of images, or of every argument in a mapping of them."""
    return {k: change(x) for k, x in images.items()} if isinstance(images, Mapping) else change(images)


def kind_of(z: Tensor | None) -> str | None:
    """ "probabilities" or "log-probabilities" where every row is one of these; None for logits."""
    if z is None or z.ndim < 2 or z.shape[1] < 2 or not z.isfinite().all():
        return None
    rows = z.detach().double().flatten(1)
    if (rows >= 0).all() and (rows.sum(1) - 1).abs().max() < CLOSE:
        return "probabilities"
    return "log-probabilities" if rows.logsumexp(1).abs().max() < CLOSE else None


def _accepted(network: nn.Module, images: Images) -> tuple[Tensor | Mapping[str, Any] | None, Any]:
    """A few of the images in the first type that the network takes, and what it returns for them in evaluation mode."""
    for x in _typed(network, images):
        try:
            held = [*network.parameters(), *network.buffers()]
            if any(isinstance(one, UninitializedParameter | UninitializedBuffer) for one in held):
                with evaluation_mode(network), torch.no_grad():
                    called(network, x)
            return x, _run(network, x, training=False)
        except torch.OutOfMemoryError:
            raise
        except Exception:  # the user's code may raise anything at what it was not written for
            continue
    return None, None


def _typed(network: nn.Module, images: Images) -> list[Tensor | Mapping[str, Any]]:
    """A few images in the types that they may be meant in: whole numbers may be tokens, or pixels."""
    if isinstance(images, Mapping):
        n = next((len(value) for value in images.values() if isinstance(value, Tensor) and value.ndim), 0)
        return [{k: v[:FEW] if isinstance(v, Tensor) and v.ndim and len(v) == n else v for k, v in images.items()}]
    weight = next(iter(network.parameters()), torch.zeros(()))
    x = torch.as_tensor(images[:FEW], device=weight.device)
    pixels = x.to(weight.dtype)
    if x.is_floating_point():
        return [pixels, x.long()] if (x == x.round()).all() else [pixels]
    return [x, x.long(), pixels]


def _run(network: nn.Module, x: Any, *, training: bool) -> Any:
    with untouched(network, training=training), torch.no_grad():
        return called(network, x)


def _ends_in_sigmoid(network: nn.Module, x: Any) -> bool:
    """Whether a sigmoid made the output, told by the graph that autograd records; changes of shape do not count."""
    with untouched(network, training=False), torch.enable_grad():
        z = logits_in(called(network, x))
        node = None if z is None else z.grad_fn
    while node is not None and node.name().startswith(SHAPES):
        node = node.next_functions[0][0]
    return node is not None and node.name().startswith("Sigmoid")
