"""A network and images -> checked logits, and the gradients of single images, at any weights."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from operator import itemgetter
from time import perf_counter
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn
from torch.func import functional_call, vjp, vmap
from torch.nn.parameter import UninitializedParameter

from effbatch.core.errors import InputError, first_line
from effbatch.networks.classifier import DRESSES, Classifier, as_classifier, each
from effbatch.networks.untouched import untouched

Images = Tensor | NDArray[np.floating]
TRIED = 4  # gradients of one example, to time one


def trainable_weights(network: nn.Module) -> dict[str, Tensor]:
    """Parameters that training would change, by name, detached; InputError where there is none."""
    if any(isinstance(w, UninitializedParameter) for w in network.parameters()):
        raise InputError("the network needs layers of known size, got lazy ones: call it once on an example before")
    weights = {name: w.detach() for name, w in network.named_parameters() if w.requires_grad}
    if not weights:
        raise InputError("the network needs at least one parameter with requires_grad=True, got none: unfreeze one")
    return weights


def as_images(network: nn.Module, images: Images) -> Tensor:
    """Images on the device of the network's weights, with their floating type, or whole numbers for who takes those."""
    weight = next(iter(trainable_weights(network).values()))
    takes = network.takes if isinstance(network, Classifier) else None
    return torch.as_tensor(images, dtype=takes or weight.dtype, device=weight.device)


def as_labels(labels: ArrayLike | Tensor, images: Images, num_classes: int) -> NDArray[np.int64]:
    """One label in 0 … K − 1 for each image, of an integer type; InputError otherwise."""
    y = np.asarray(labels.cpu() if isinstance(labels, Tensor) else labels)
    whole = y.dtype.kind in "iu"
    if not whole or y.shape != (len(images),) or len(y) == 0 or y.min() < 0 or y.max() >= num_classes:
        got = f"labels of shape {y.shape}" + (f" from {y.min()} to {y.max()}" if whole and y.size else "")
        got += "" if whole else f" and type {y.dtype}"
        raise InputError(
            f"one label from 0 to {num_classes - 1} is needed for each of {len(images)} examples, got {got}: "
            "check that examples and labels belong together"
        )
    return y.astype(np.int64)


@torch.no_grad()
def logits_of(network: nn.Module, images: Tensor, num_classes: int, chunk: int) -> Tensor:
    """Logits (n, K), in chunks of images; InputError where there are not K, or where one is not finite."""
    try:
        parts = [network(x) for x in images.split(chunk)]
    except torch.OutOfMemoryError:
        raise
    except Exception as error:  # the user's code may raise anything
        said = (str(error).splitlines() or [type(error).__name__])[0]
        raise InputError(
            f"the network needs to take examples of shape {tuple(images.shape[1:])}; it refused them "
            f"({said}): check that network and data belong together"
        ) from error
    for part in parts:
        if not isinstance(part, Tensor) or not part.ndim:
            what = "one number for all examples" if isinstance(part, Tensor) else type(part).__name__
            raise InputError(
                f"the network needs to return {num_classes} logits per example, {DRESSES}, got {what}: mend forward"
            )
    logits = torch.cat(parts)
    if logits.shape != (len(images), num_classes):
        raise InputError(
            f"the network needs to return {num_classes} logits per example, got shape {tuple(logits.shape)} for "
            f"{len(images)} examples: give num_classes as the width of its last layer"
        )
    bad = int((~logits.isfinite()).any(1).sum())
    if bad:
        raise InputError(
            f"finite logits are needed; {bad} of {len(images)} examples have NaN or infinite ones: "
            "check the examples and the weights for NaN",
            images=bad,
        )
    with torch.enable_grad():
        if any(w.requires_grad for w in network.parameters()) and not network(images[:2]).requires_grad:
            raise InputError(
                "the network needs to return logits that its weights can be trained by; these are detached: "
                "leave out detach() and no_grad"
            )
    return logits


def output(network: nn.Module, weights: Mapping[str, Tensor], images: Any) -> Any:
    """The network's output with other weights, by the names of its parameters; the network keeps its own.

    A layer that stands in the network twice is replaced in one place: `functional_call`, left to tie weights by itself,
    replaces it in both and puts back the wrong ones (seen in PyTorch 2.13).
    """
    given = {id(w): weights[name] for name, w in network.named_parameters() if name in weights}
    places = {
        f"{path}.{name}".removeprefix("."): given[id(w)]
        for path, module in network.named_modules()  # each once
        for name, w in module.named_parameters(recurse=False, remove_duplicate=False)
        if id(w) in given
    }
    return functional_call(network, places, (images,), tie_weights=False)


Slopes = Callable[..., Tensor]  # logits (K,) of one image and what is given of it -> cotangents (c, K)


def image_gradients(
    network: nn.Module, weights: Mapping[str, Tensor], images: Any, slopes: Slopes, *given: Tensor
) -> dict[str, Tensor]:
    """J_iᵀ v_ic of image i, J_i = ∂(logits of image i)/∂(weights), by parameter: shapes (n, c, size of parameter).

    v_i = slopes(z_i, ...), (c, K), from the logits z_i and the i-th of everything `given`. All c share one forward
    pass, and so one draw where the network draws random numbers, for each image its own; all n·c gradients are held at
    once. Where torch.func cannot take the images side by side (recurrent layers, branches on values), they go one by
    one. InputError where that fails too.
    """
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "There is a performance drop")  # of layers without a batching rule
            return _side_by_side(network, weights, images, slopes, *given)
    except torch.OutOfMemoryError:
        raise
    except Exception:  # the user's code may raise anything at what it was not written for
        pass
    try:
        return _one_by_one(network, weights, images, slopes, *given)
    except torch.OutOfMemoryError:
        raise
    except Exception as error:
        raise InputError(
            f"gradients of single examples are needed, and the network raised {first_line(error)}: check that it takes "
            "one example at a time, and returns logits that its weights can be trained by"
        ) from error


def seconds_alone(network: nn.Module, example: Images, num_classes: int) -> float:
    """Seconds of one gradient of a recurrent network, whose examples go one by one; 0 for others."""
    if not any(isinstance(one, nn.RNNBase | nn.RNNCellBase) for one in network.modules()):
        return 0.0
    network = as_classifier(network, num_classes, example)
    weights, x = trainable_weights(network), as_images(network, example)
    took = 0.0
    with untouched(network):
        for _ in range(2):  # the first call also starts PyTorch
            start = perf_counter()
            try:
                _one_by_one(network, weights, x, lambda z, _: torch.ones(TRIED, len(z)).to(z), torch.zeros(1))
            except Exception:  # the user's code may raise anything, and the measurement says what
                return 0.0
            took = (perf_counter() - start) / TRIED
    return took


def by_image(slopes: Slopes, logits: Tensor, *given: Tensor) -> Tensor:
    """Slopes of every image (n, c, K), side by side where the loss allows that."""
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "There is a performance drop")
            return vmap(slopes)(logits, *given)
    except Exception:  # a user's loss may look at values
        return torch.stack([slopes(*of_one) for of_one in zip(logits, *given, strict=True)])


def _side_by_side(
    network: nn.Module, weights: Mapping[str, Tensor], images: Any, slopes: Slopes, *given: Tensor
) -> dict[str, Tensor]:
    def of_one(image: Any, *its: Tensor) -> dict[str, Tensor]:
        one = each(image, lambda x: x[None])
        logits, pull_back, *_ = vjp(lambda w: output(network, w, one)[0], dict(weights))
        return vmap(lambda v: pull_back(v)[0])(slopes(logits.detach(), *its))

    gradients = vmap(of_one, randomness="different")(images, *given)
    return {name: g.reshape(*g.shape[:2], -1) for name, g in gradients.items()}


@torch.enable_grad()
def _one_by_one(
    network: nn.Module, weights: Mapping[str, Tensor], images: Any, slopes: Slopes, *given: Tensor
) -> dict[str, Tensor]:
    leaves = {name: w.detach().requires_grad_() for name, w in weights.items()}
    rows = []
    for i in range(len(given[0])):
        logits = output(network, leaves, each(images, itemgetter(slice(i, i + 1))))[0]
        rows.append(
            [
                torch.autograd.grad(logits, list(leaves.values()), v, retain_graph=True, materialize_grads=True)
                for v in slopes(logits.detach(), *(one[i] for one in given))
            ]
        )
    n, c = len(rows), len(rows[0])
    return {
        name: torch.stack([of_v[k].flatten() for row in rows for of_v in row]).view(n, c, -1)
        for k, name in enumerate(leaves)
    }
