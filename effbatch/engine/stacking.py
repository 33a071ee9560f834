"""One network per seed -> all members of a unit as one network with stacked parameters.

Every parameter gains two leading axes, seeds S and members M (the cells of one seed: they share initialisation and
images). Activations are (B, N, C, H, W), later (B, N, D), of all N = S·M members: side by side they are a batch of
images with N·C channels, so that pooling and activation functions are PyTorch's own and a convolution is a grouped one.
Images that several members share come as fewer groups, G < N; the first layer with weights then is one wide matrix
product, or one wide convolution, per group.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from effbatch.networks.builtin.residual import Residual

LayerFunction = Callable[[nn.Module, Iterator[Tensor], Tensor], Tensor]  # layer, weights yet to be used, input


class SideBySide:
    """One network for all members, with stacked parameters that autograd knows: what ensembles of this kind share."""

    channels_last, replayable, in_turn = True, True, False
    network: nn.Module
    parameters: list[Tensor]

    def gradients(self, logits: Tensor, slope: Tensor) -> Sequence[Tensor]:
        """As `Ensemble`."""
        return torch.autograd.grad(logits, self.parameters, slope, materialize_grads=True)

    def member(self, seed: int, member: int) -> nn.Module:
        """As `Ensemble`."""
        return member_of(self.network, self.parameters, seed, member)


class StackedNetwork(SideBySide):
    """S·M networks trained side by side, layer by layer; KeyError where a layer is not in `LAYERS`."""

    def __init__(self, networks: Sequence[nn.Module], members: int, device: torch.device) -> None:
        self.network = networks[0]
        self.parameters = stacked_parameters(networks, members, device)

    def __call__(self, images: Tensor, *, training: bool = True) -> Tensor:
        """Images (B, G, C, H, W), each for an equal share of the members in their order -> logits (S, M, K, B)."""
        S, M = self.parameters[0].shape[:2]
        h = _apply(self.network, iter(self.parameters), images)
        return h.permute(1, 2, 0).unflatten(0, (S, M))


def stacked_parameters(networks: Sequence[nn.Module], members: int, device: torch.device) -> list[Tensor]:
    """The trainable parameters of one network per seed, each repeated for its members: tensors (S, M, ...).

    Kernels of convolutions (S, M, O, C, h, w) lie in memory with the channels C last.
    """
    stacked = []
    for tensors in zip(*(net.parameters() for net in networks), strict=True):
        if not tensors[0].requires_grad:
            continue
        of_seeds = torch.stack([t.detach() for t in tensors]).to(device)
        last = 2 if of_seeds.ndim == 5 else -1
        repeated = of_seeds.movedim(last, -1).unsqueeze(1).repeat(1, members, *[1] * (of_seeds.ndim - 1))
        stacked.append(repeated.movedim(-1, last + 1 if last > 0 else -1).requires_grad_())
    return stacked


def member_of(network: nn.Module, parameters: Sequence[Tensor], seed: int, member: int) -> nn.Module:
    """A copy of `network` with the trainable weights that one member has in the stacked tensors (S, M, ...)."""
    copy = deepcopy(network).to(parameters[0].device)
    own = (w for w in copy.parameters() if w.requires_grad)
    with torch.no_grad():
        for w, stacked in zip(own, parameters, strict=True):
            w.copy_(stacked[seed, member])
    return copy


def _apply(layer: nn.Module, weights: Iterator[Tensor], h: Tensor) -> Tensor:
    return LAYERS[type(layer)](layer, weights, h)


def _sequential(layer: nn.Module, weights: Iterator[Tensor], h: Tensor) -> Tensor:
    for inner in layer.children():
        h = _apply(inner, weights, h)
    return h


def _residual(layer: nn.Module, weights: Iterator[Tensor], h: Tensor) -> Tensor:
    assert isinstance(layer, Residual)
    return _apply(layer.body, weights, h) + _apply(layer.shortcut, weights, h)


def _linear(layer: nn.Module, weights: Iterator[Tensor], h: Tensor) -> Tensor:
    """W·h + b: h (B, G, D) -> (B, N, O). The batch comes last in memory, as the matrix product leaves it."""
    assert isinstance(layer, nn.Linear)
    W, b = next(weights), None if layer.bias is None else next(weights)
    return _product(W, b, h.permute(1, 2, 0)).view(-1, layer.out_features, len(h)).permute(2, 0, 1)


def _product(W: Tensor, b: Tensor | None, columns: Tensor) -> Tensor:
    """W (S, M, O, D) · columns (G, D, B) + b (S, M, O) -> (G, S·M·O/G, B): one product per group."""
    G, D, _ = columns.shape
    rows = W.view(G, -1, D)
    return torch.bmm(rows, columns) if b is None else torch.baddbmm(b.view(G, -1, 1), rows, columns)


def _conv2d(layer: nn.Module, weights: Iterator[Tensor], h: Tensor) -> Tensor:
    """W * h + b: h (B, G, C, H, W) -> (B, N, O, H', W'), one convolution of N·O channels in G groups."""
    assert isinstance(layer, nn.Conv2d)
    W = next(weights).flatten(0, 1)
    b = None if layer.bias is None else next(weights).flatten()
    N, G = len(W), h.shape[1]
    x, kernel = (t.contiguous(memory_format=torch.channels_last) for t in (_side_by_side(h), W.flatten(0, 1)))
    out = F.conv2d(x, kernel, b, layer.stride, layer.padding, layer.dilation, G * layer.groups)
    return out.unflatten(1, (N, -1))


def _side_by_side(h: Tensor) -> Tensor:
    """(B, N, C, H, W) -> (B, N·C, H, W); one member alone keeps its strides, by which PyTorch knows channels-last."""
    return h[:, 0] if h.shape[1] == 1 else h.flatten(1, 2)


def _group_norm(layer: nn.Module, weights: Iterator[Tensor], h: Tensor) -> Tensor:
    assert isinstance(layer, nn.GroupNorm)
    w, b = (next(weights).flatten(), next(weights).flatten()) if layer.affine else (None, None)
    G = h.shape[1]
    return F.group_norm(_side_by_side(h), G * layer.num_groups, w, b, layer.eps).unflatten(1, (G, -1))


def _layer_norm(layer: nn.Module, weights: Iterator[Tensor], h: Tensor) -> Tensor:
    assert isinstance(layer, nn.LayerNorm)
    h = F.layer_norm(h, layer.normalized_shape, eps=layer.eps)
    if layer.weight is not None:
        w = next(weights).flatten(0, 1)
        h = h.repeat_interleave(len(w) // h.shape[1], 1) * w  # images that members share come once
    return h if layer.bias is None else h + next(weights).flatten(0, 1)


def _pool(layer: nn.Module, weights: Iterator[Tensor], h: Tensor) -> Tensor:
    return layer(_side_by_side(h)).unflatten(1, h.shape[1:3])


def _flatten(layer: nn.Module, weights: Iterator[Tensor], h: Tensor) -> Tensor:
    return h.flatten(2)


def _elementwise(layer: nn.Module, weights: Iterator[Tensor], h: Tensor) -> Tensor:
    return layer(h)


LAYERS: dict[type[nn.Module], LayerFunction] = {
    nn.Sequential: _sequential,
    Residual: _residual,
    nn.Linear: _linear,
    nn.Conv2d: _conv2d,
    nn.GroupNorm: _group_norm,
    nn.LayerNorm: _layer_norm,
    nn.MaxPool2d: _pool,
    nn.AvgPool2d: _pool,
    nn.AdaptiveAvgPool2d: _pool,
    nn.Flatten: _flatten,
    nn.ReLU: _elementwise,
    nn.Tanh: _elementwise,
    nn.GELU: _elementwise,
    nn.Identity: _elementwise,
}
