"""Matrices of dense networks side by side -> memory of their activations and slopes, and every view of it, made once.

Even a view costs a call, and while one thread makes it, those of other parts wait: a step of small networks is so short
that such calls took a fifth of it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

Matrices = list[tuple[Tensor, Tensor]]  # weights and bias of every layer, as the products need them
Forward = Callable[..., Tensor]  # input, out=
Back = Callable[[Tensor, Tensor, Tensor], None]  # slope in the output, output, where to write the slope in the input


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
