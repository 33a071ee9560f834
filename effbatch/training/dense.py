"""One network per seed, of linear layers alone -> all members of a unit, trained by backpropagation written out.

The first layers of all members lie side by side as one matrix with a row per pixel: one wide product with the images
that the members of a seed share gives all their outputs, and one product adds the step to all their weights. So no
gradient is written to memory; activations lie in buffers that are made once. See `docs/notes/engine-speed.md`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from effbatch.errors import InputError
from effbatch.training.stacking import member_of, stacked_parameters

Matrices = list[tuple[Tensor, Tensor]]  # weights and bias of every layer, as the products need them
Forward = Callable[[Tensor], Tensor]  # in place
Back = Callable[[Tensor, Tensor, Tensor], None]  # slope in the output, output, where to write the slope in the input


def _relu_back(slope: Tensor, output: Tensor, to: Tensor) -> None:
    torch.ops.aten.threshold_backward.grad_input(slope, output, 0, grad_input=to)


def _tanh_back(slope: Tensor, output: Tensor, to: Tensor) -> None:
    torch.ops.aten.tanh_backward.grad_input(slope, output, grad_input=to)


ACTIVATIONS: dict[type[nn.Module], tuple[Forward, Back]] = {
    nn.ReLU: (torch.relu_, _relu_back),
    nn.Tanh: (torch.tanh_, _tanh_back),
}


class DenseNetwork:
    """S·M = N networks Flatten, Linear, then activation, Linear any number of times.

    `parameters` hold the weights of all, (S, M, ...). InputError where the layers are others, or one has no bias.
    """

    def __init__(self, networks: Sequence[nn.Module], members: int, device: torch.device) -> None:
        self.network = networks[0]
        self.activations = _activations(self.network)
        self.parameters = [w.requires_grad_(False) for w in stacked_parameters(networks, members, device)]
        first = self.parameters[0]
        self.parameters[0] = first.permute(0, 3, 1, 2).contiguous().permute(0, 2, 3, 1)  # in memory (S, D, M, O)
        self.matrices = _matrices(self.parameters)
        self.buffers: dict[tuple[int, bool], _Buffers] = {}  # by number of images, and whether in training
        self.last: _Buffers | None = None  # those of the last step of training
        self.formed: list[Tensor] | None = None  # gradients

    def __call__(self, images: Tensor, *, training: bool = True) -> Tensor:
        """As `Ensemble`, for G = 1 or S; logits are overwritten by those of the next as many images."""
        size = len(images), training
        if size not in self.buffers:
            self.buffers[size] = _Buffers(self.parameters, len(images), slopes=training)
        own = self.buffers[size]
        if training:
            self.last = own
        own.images = images.flatten(2).transpose(0, 1).expand(len(self.parameters[0]), -1, -1)  # (S, B, D)
        (W, b), *others = self.matrices
        torch.baddbmm(b, own.images, W, out=own.wide)
        own.first.copy_(own.members_of_wide)
        for (W, b), (activate, _), h, z in zip(others, self.activations, own.hidden, own.following, strict=True):
            activate(h)
            if z is own.logits:
                torch.baddbmm(b, W, h.transpose(1, 2), out=z)
            else:
                torch.baddbmm(b.transpose(1, 2), h, W.transpose(1, 2), out=z)
        return own.logits.unflatten(0, self.parameters[0].shape[:2])

    def gradients(self, logits: Tensor, slope: Tensor) -> Sequence[Tensor]:
        """As `Ensemble`, after a step of training; the next call overwrites them."""
        if self.formed is None:
            self.formed = [torch.empty_like(w) for w in self.parameters]
        for g in self.formed:
            g.zero_()
        self._add_gradients(slope, _matrices(self.formed))
        return self.formed

    def descend(self, slope: Tensor, learning_rate: Tensor) -> None:
        """One step of plain SGD, w ← w − η g, in place; `slope` is that of the loss in the last logits, η is (S, M).

        Gradients are linear in the slope, so that is multiplied by −η, where there are fewest numbers.
        """
        self._add_gradients(slope * -learning_rate.view(*learning_rate.shape, 1, 1), self.matrices)

    def _add_gradients(self, slope: Tensor, to: Matrices) -> None:
        """Add the gradients to matrices like the weights', or to the weights: none changes before it has served."""
        own = self.last
        assert own is not None
        delta = slope.flatten(0, 1)  # (N, O, B)
        layers = list(zip(self.matrices[1:], to[1:], self.activations, own.hidden, own.slopes, strict=True))
        for (W, _), (to_W, to_b), (_, differentiate), h, back in reversed(layers):
            torch.bmm(delta.transpose(1, 2), W, out=back)  # (N, B, D)
            to_W.baddbmm_(delta, h)
            to_b.add_(delta.sum(2, keepdim=True))
            differentiate(back, h, back)
            delta = back.transpose(1, 2)
        own.members_of_wide.copy_(
            delta.transpose(1, 2).view_as(own.members_of_wide) if layers else slope.transpose(2, 3)
        )
        to_W, to_b = to[0]
        to_W.baddbmm_(own.images.transpose(1, 2), own.wide)
        to_b.add_(own.wide.sum(1, keepdim=True))

    def member(self, seed: int, member: int) -> nn.Module:
        """As `Ensemble`."""
        return member_of(self.network, self.parameters, seed, member)


class _Buffers:
    """Activations of one forward pass on B images and, backward, their slopes.

    wide             outputs of the first layer, then the slope in them, (S, B, M·O)
    members_of_wide  the same as (S, M, B, O)
    hidden, slopes   (N, B, D) of every hidden layer: the numbers of a member side by side
    logits           (N, K, B): the images side by side, which is faster for the loss
    first, following what the first layer gives out as (S, M, B, O), and what each other one does
    """

    def __init__(self, parameters: Sequence[Tensor], batch_size: int, *, slopes: bool) -> None:
        biases = parameters[1::2]
        (S, M), widths = biases[0].shape[:2], [b.shape[2] for b in biases]
        empty = biases[0].new_empty
        self.images = empty(0)
        self.wide = empty(S, batch_size, M * widths[0])
        self.members_of_wide = self.wide.unflatten(2, (M, -1)).transpose(1, 2)
        self.hidden = [empty(S * M, batch_size, width) for width in widths[:-1]]
        self.slopes = [torch.empty_like(h) for h in self.hidden] if slopes else []
        self.logits = empty(S * M, widths[-1], batch_size)
        first, *self.following = *self.hidden, self.logits
        self.first = (first if self.hidden else first.transpose(1, 2)).unflatten(0, (S, M))


def _matrices(tensors: Sequence[Tensor]) -> Matrices:
    """Views of tensors like the parameters: first (S, D, M·O) and (S, 1, M·O), then (N, O, D) and (N, O, 1)."""
    first, bias, *others = tensors
    matrices = [(first.permute(0, 3, 1, 2).flatten(2), bias.flatten(1).unsqueeze(1))]
    for W, b in zip(others[::2], others[1::2], strict=True):
        matrices.append((W.flatten(0, 1), b.flatten(0, 1).unsqueeze(2)))
    return matrices


def _activations(network: nn.Module) -> list[tuple[Forward, Back]]:
    """What stands between the linear layers; InputError where the layers are not those of `DenseNetwork`."""
    layers = list(network.children()) if type(network) is nn.Sequential else [network]
    linear, between = layers[1::2], layers[2::2]
    if (
        type(layers[0]) is not nn.Flatten
        or len(linear) != len(between) + 1
        or any(type(layer) is not nn.Linear or layer.bias is None for layer in linear)
        or len(set(linear)) < len(linear)
        or any(type(layer) not in ACTIVATIONS for layer in between)
    ):
        known = ", ".join(kind.__name__ for kind in ACTIVATIONS)
        raise InputError(
            f"linear layers with bias were needed, after Flatten and with one of {known} between any two; "
            f"{', '.join(type(layer).__name__ for layer in layers)} came"
        )
    return [ACTIVATIONS[type(layer)] for layer in between]
