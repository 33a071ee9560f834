"""One network per seed, of linear layers alone -> all members of a unit, trained by backpropagation written out.

The first layers of all members lie side by side as one matrix with a row per pixel: one wide product with the images
that the members of a seed share gives all their outputs, and one product adds a step, or several small ones, to all
their weights. So no gradient is written to memory. Activations and slopes lie in buffers that are made once, with every
view of them: even a view costs a call, and while one thread makes it, those of other parts wait. See
`docs/notes/engine-speed.md`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor, nn

from effbatch.core.errors import InputError
from effbatch.engine.stacking import member_of, stacked_parameters

Matrices = list[tuple[Tensor, Tensor]]  # weights and bias of every layer, as the products need them
Forward = Callable[..., Tensor]  # input, out=
Back = Callable[[Tensor, Tensor, Tensor], None]  # slope in the output, output, where to write the slope in the input


def _relu(values: Tensor, *, out: Tensor) -> Tensor:
    return torch.clamp_min(values, 0, out=out)


def _relu_back(slope: Tensor, output: Tensor, to: Tensor) -> None:
    torch.ops.aten.threshold_backward.grad_input(slope, output, 0, grad_input=to)


def _tanh_back(slope: Tensor, output: Tensor, to: Tensor) -> None:
    torch.ops.aten.tanh_backward.grad_input(slope, output, grad_input=to)


ACTIVATIONS: dict[type[nn.Module], tuple[Forward, Back]] = {
    nn.ReLU: (_relu, _relu_back),
    nn.Tanh: (torch.tanh, _tanh_back),
}


class DenseNetwork:
    """S·M = N networks Flatten, Linear, then activation, Linear any number of times.

    `parameters` hold the weights of all, (S, M, ...). InputError where the layers are others, or one has no bias.
    """

    channels_last, replayable, in_turn = False, True, False

    def __init__(self, networks: Sequence[nn.Module], members: int, device: torch.device) -> None:
        self.network = networks[0]
        self.activations = _activations(self.network)
        self.parameters = [w.requires_grad_(False) for w in stacked_parameters(networks, members, device)]
        first = self.parameters[0]
        self.parameters[0] = first.permute(0, 3, 1, 2).contiguous().permute(0, 2, 3, 1)  # in memory (S, D, M, O)
        self.matrices = _matrices(self.parameters)
        self.windows: dict[tuple[int, int, bool], Window] = {}
        self.last: tuple[Window, Step] | None = None  # of training
        self.formed: list[Tensor] = []  # gradients
        self.formed_matrices: Matrices = []

    def __call__(self, images: Tensor, *, training: bool = True) -> Tensor:
        """As `Ensemble`, for G = 1 or S; logits are overwritten by those of the next as many images."""
        (logits,) = self._logits(images, 1, training=training)
        return logits

    def gradients(self, logits: Tensor, slope: Tensor) -> Sequence[Tensor]:
        """As `Ensemble`, after a step of training; the next call overwrites them."""
        if not self.formed:
            self.formed = [torch.empty_like(w) for w in self.parameters]
            self.formed_matrices = _matrices(self.formed)
        for _, b in self.formed_matrices:
            b.zero_()
        self._back(slope, self.formed_matrices, beta=0)
        self._add_first(self.formed_matrices, beta=0)
        return self.formed

    def descend(self, images: Tensor, steps: int, slope: Callable[[int, Tensor], Tensor]) -> None:
        """So many steps on B images each, (steps·B, G, C, H, W): to the weights is added what slopes become in them.

        `slope(step, logits)` is −η times the slope of the loss in the logits, for steps of plain SGD: gradients are
        linear in it, and nowhere else are there fewer numbers to multiply by −η.

        The first layer, whose weights are most of what is read and written, changes once, after the last step. What its
        outputs x·W + b would miss until then is added to them: the step W += xᵀ·s, b += Σ s changes those of other
        images x' by (x'·xᵀ + 1)·s.
        """
        for step, logits in enumerate(self._logits(images, steps, training=True)):
            self._back(slope(step, logits), self.matrices, beta=1)
        self._add_first(self.matrices, beta=1)

    def _logits(self, images: Tensor, steps: int, *, training: bool) -> Iterator[Tensor]:
        """Logits (S, M, K, B) of every step, in turn.

        Before the next one is asked for, `_back` must have left the slopes of this one in the first layer's outputs.
        """
        size = len(images) // steps, steps, training
        if size not in self.windows:
            self.windows[size] = Window(self.matrices, self.activations, self.parameters[0].shape[:2], *size)
        window = self.windows[size]
        W, b = self.matrices[0]
        window.images = images.flatten(2).transpose(0, 1)  # (G, steps·B, D)
        if len(window.images) < len(W):
            window.images = window.images.expand(len(W), -1, -1)
        torch.baddbmm(b, window.images, W, out=window.wide)
        if steps > 1:
            torch.baddbmm(window.one, window.images, window.images.transpose(1, 2), out=window.products)
        for step in window.steps:
            if step.before:
                step.wide.baddbmm_(*step.before)
            if not step.layers:
                step.logits.copy_(step.members_of_wide.transpose(2, 3))
            for layer in step.layers:
                layer.activate(layer.arriving, out=layer.activated)
                torch.baddbmm(*layer.factors, out=layer.leaving)
            if training:
                self.last = window, step
            yield step.logits

    def _back(self, slope: Tensor, to: Matrices, *, beta: int) -> None:
        """Gradients of all layers but the first, plus β times what the matrices hold; the slope in the first's outputs.

        The weights themselves may be `to`: none changes before it has served.
        """
        assert self.last is not None
        _, step = self.last
        delta = slope.flatten(0, 1)  # (N, O, B)
        by_image = delta.transpose(1, 2)
        for layer, (to_W, to_b) in zip(reversed(step.layers), reversed(to[1:]), strict=True):
            torch.bmm(by_image, layer.W, out=layer.slope)
            to_W.baddbmm_(delta, layer.h, beta=beta)
            to_b.add_(delta.sum(2, keepdim=True))
            layer.differentiate(layer.slope_activated, layer.activated, layer.slope_arriving)
            delta, by_image = layer.slope_by_feature, layer.slope
        if not step.layers:
            step.members_of_wide.copy_(slope.transpose(2, 3))

    def _add_first(self, to: Matrices, *, beta: int) -> None:
        """The first layer's gradient of all steps of the last window, plus β times what its matrices hold."""
        assert self.last is not None
        (window, _), (W, b) = self.last, to[0]
        W.baddbmm_(window.images.transpose(1, 2), window.wide, beta=beta)
        b.add_(window.wide.sum(1, keepdim=True))

    def member(self, seed: int, member: int) -> nn.Module:
        """As `Ensemble`."""
        return member_of(self.network, self.parameters, seed, member)


class Window:
    """Buffers of the steps whose images the first layer sees at once: activations and, backward, their slopes.

    wide        outputs of the first layer, then the slope in them, (S, steps·B, M·O)
    products    of each image with every other, plus one for the bias, (S, steps·B, steps·B)
    """

    def __init__(
        self,
        matrices: Matrices,
        activations: Sequence[tuple[Forward, Back]],
        members: torch.Size,
        batch_size: int,
        steps: int,
        training: bool,
    ) -> None:
        (W, _), *others = matrices
        S, rows = members[0], batch_size * steps
        self.images = W.new_empty(0)
        self.wide = W.new_empty(S, rows, W.shape[2])
        self.products = W.new_empty(S, rows, rows) if steps > 1 else W.new_empty(0)
        self.one = W.new_ones(1)
        self.steps: list[Step] = []
        for first in range(0, rows, batch_size):
            now = slice(first, first + batch_size)
            step = Step(self.wide[:, now], others, activations, members, training)
            if first:
                step.before = self.products[:, now, :first], self.wide[:, :first]
            self.steps.append(step)


class Step:
    """Buffers of one step: its rows of `wide`, also as `members_of_wide` (S, M, B, O), and those of all later layers.

    before   what a step of the first layer's weights adds to `wide`, as two factors: products of its images with those
             of all steps before in the window, and the slopes of these
    logits   (S, M, K, B): the images side by side, which is faster for the loss
    """

    def __init__(
        self,
        wide: Tensor,
        others: Matrices,
        activations: Sequence[tuple[Forward, Back]],
        members: torch.Size,
        training: bool,
    ) -> None:
        self.wide = wide
        self.before: tuple[Tensor, ...] = ()
        self.members_of_wide = wide.unflatten(2, (members[1], -1)).transpose(1, 2)
        self.layers: list[Layer] = []
        out = self.members_of_wide
        for (W, b), between in zip(others, activations, strict=True):
            self.layers.append(Layer(W, b, *between, out, last=W is others[-1][0], training=training))
            out = self.layers[-1].leaving
        self.logits = out.unflatten(0, members) if self.layers else wide.new_empty(out.mT.shape)


class Layer:
    """An activation and the linear layer after it, for all members.

    `arriving` is what the layer before gives out: (S, M, B, D) after the first, (N, B, D) after any other.

    h, slope         activations and the slope in them, (N, B, D): the numbers of a member side by side
    factors, leaving what is multiplied and where it goes: (N, B, O), or in the last layer (N, O, B)
    """

    def __init__(
        self,
        W: Tensor,
        b: Tensor,
        activate: Forward,
        differentiate: Back,
        arriving: Tensor,
        *,
        last: bool,
        training: bool,
    ) -> None:
        self.W, self.activate, self.differentiate, self.arriving = W, activate, differentiate, arriving
        N, outputs, D = W.shape
        B, after_first = arriving.shape[-2], arriving.ndim == 4
        self.h = W.new_empty(N, B, D) if after_first else arriving
        self.activated = self.h.view(arriving.shape)
        if last:
            self.factors, self.leaving = (b, W, self.h.transpose(1, 2)), W.new_empty(N, outputs, B)
        else:
            self.factors, self.leaving = (b.transpose(1, 2), self.h, W.transpose(1, 2)), W.new_empty(N, B, outputs)
        if training:
            self.slope = torch.empty_like(self.h)
            self.slope_by_feature = self.slope.transpose(1, 2)
            self.slope_activated = self.slope.view(arriving.shape)
            self.slope_arriving = arriving if after_first else self.slope


def _matrices(tensors: Sequence[Tensor]) -> Matrices:
    """Views of tensors like the parameters: first (S, D, M·O) and (S, 1, M·O), then (N, O, D) and (N, O, 1)."""
    first, bias, *others = tensors
    matrices = [(first.permute(0, 3, 1, 2).flatten(2), bias.flatten(1).unsqueeze(1))]
    for W, b in zip(others[::2], others[1::2], strict=True):
        matrices.append((W.flatten(0, 1), b.flatten(0, 1).unsqueeze(2)))
    return matrices


def is_dense(network: nn.Module) -> bool:
    """Whether `DenseNetwork` trains such networks."""
    try:
        _activations(network)
    except InputError:
        return False
    return True


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
        raise InputError("another kind of ensemble is needed, got other layers than those of a dense network")
    return [ACTIVATIONS[type(layer)] for layer in between]
