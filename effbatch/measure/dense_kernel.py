"""A network and images -> the part of its kernel that belongs to dense layers, without any gradient of a single image.

The gradient of logit c at image x in the weights of a dense layer is the outer product d_c(x) a(x)ᵀ of what comes
back to its output and what went into it, so that

    <∂f_c(x)/∂W, ∂f_c(x')/∂W> = a(x)·a(x') d_c(x)·d_c(x'),      for the bias d_c(x)·d_c(x')

which costs inputs + outputs numbers per pair of images where the gradients themselves cost inputs times outputs
(structured derivatives: Novak et al. 2022, arXiv 2206.08720).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn


@torch.enable_grad()
def dense_kernel(network: nn.Module, images: Tensor, n: int, num_classes: int, chunk: int) -> tuple[Tensor, set[str]]:
    """theta (len(images), n) of the dense layers, between all images and the first n, and the parameters it covers.

    Covered are weight and bias of every nn.Linear that training would change, whose parameters nothing else uses, and
    that an image passes once, as a vector. Memory: the inputs and num_classes times the outputs of these layers.
    """
    weight = next(network.parameters())
    theta = torch.zeros(len(images), n, dtype=weight.dtype, device=weight.device)
    layers = _dense_layers(network, images[:2])
    if not layers:
        return theta, set()
    inputs: dict[str, list[Tensor]] = defaultdict(list)
    returned: dict[str, list[Tensor]] = defaultdict(list)
    for x in images.split(chunk):
        with _watched(layers) as passed:
            logits = network(x)
        outputs = [passed[name][0][1] for name in layers]
        back = [
            torch.autograd.grad(logits[:, c].sum(), outputs, retain_graph=True, materialize_grads=True)
            for c in range(num_classes)
        ]
        for name, by_class in zip(layers, zip(*back, strict=True), strict=True):
            inputs[name].append(passed[name][0][0].detach())
            returned[name].append(torch.cat(by_class, 1))  # (images, classes · outputs): products sum over the classes
    covered = set()
    for name, layer in layers.items():
        a, d = torch.cat(inputs[name]), torch.cat(returned[name])
        pairs = torch.zeros_like(theta)
        if layer.weight.requires_grad:
            pairs += a @ a[:n].T
            covered.add(f"{name}.weight")
        if layer.bias is not None and layer.bias.requires_grad:
            pairs += 1
            covered.add(f"{name}.bias")
        theta += pairs * (d @ d[:n].T) / num_classes
    return theta, {parameter.removeprefix(".") for parameter in covered}


def _dense_layers(network: nn.Module, images: Tensor) -> dict[str, nn.Linear]:
    """The layers that `dense_kernel` covers, by name: those whose gradient on a few images is d aᵀ summed over them."""
    uses = Counter(id(w) for _, w in network.named_parameters(remove_duplicate=False))
    layers = {
        name: module
        for name, module in network.named_modules()
        if type(module) is nn.Linear
        and any(w.requires_grad for w in module.parameters())
        and all(uses[id(w)] == 1 for w in module.parameters())
    }
    with _watched(layers) as passed:
        energy = network(images).square().sum()
    return {
        name: layer
        for name, layer in layers.items()
        if len(passed[name]) == 1 and passed[name][0][0].ndim == 2 and _is_outer(energy, layer, *passed[name][0])
    }


def _is_outer(energy: Tensor, layer: nn.Linear, a: Tensor, output: Tensor) -> bool:
    """Whether `energy` depends on the weights through this output alone: not so where the network uses them twice."""
    trained = [w for w in (layer.weight, layer.bias) if w is not None and w.requires_grad]
    d, *gradients = torch.autograd.grad(energy, [output, *trained], retain_graph=True, materialize_grads=True)
    outer = {id(layer.weight): d.T @ a, id(layer.bias): d.sum(0)}
    return all(torch.allclose(g, outer[id(w)], rtol=1e-3, atol=1e-6) for w, g in zip(trained, gradients, strict=True))


@contextmanager
def _watched(layers: Mapping[str, nn.Module]) -> Iterator[dict[str, list[tuple[Tensor, Tensor]]]]:
    """What goes into and comes out of each layer while the network runs."""
    passed: dict[str, list[tuple[Tensor, Tensor]]] = {name: [] for name in layers}

    def watch(name: str, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        passed[name].append((inputs[0], output))
        return output.clone()  # what follows may change its input in place

    handles = [
        layer.register_forward_hook(lambda _, inputs, output, name=name: watch(name, inputs, output))
        for name, layer in layers.items()
    ]
    try:
        yield passed
    finally:
        for handle in handles:
            handle.remove()
