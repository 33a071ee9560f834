"""Optimisers over stacked parameters: gradients (S, M, ...) and one learning rate per member -> updated in place.

Conventions are those of `torch.optim` (momentum buffer v ← μ v + g, then w ← w − η v).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from torch import Tensor

    from effbatch.training.spec import Train


class Optimizer(Protocol):
    """`step(gradients, learning_rate)`: learning_rate is (S, M), already multiplied by the schedule."""

    def step(self, gradients: Sequence[Tensor], learning_rate: Tensor) -> None: ...


class SGD:
    """w ← w − η v with v ← μ v + g; μ = 0 is plain stochastic gradient descent."""

    def __init__(self, parameters: Sequence[Tensor], train: Train) -> None:
        self.parameters = parameters
        self.momentum = train.momentum
        self.velocity: list[Tensor] | None = None

    def step(self, gradients: Sequence[Tensor], learning_rate: Tensor) -> None:
        if self.momentum:
            if self.velocity is None:
                self.velocity = [g.clone() for g in gradients]
            else:
                for v, g in zip(self.velocity, gradients, strict=True):
                    v.mul_(self.momentum).add_(g)
            gradients = self.velocity
        for w, g in zip(self.parameters, gradients, strict=True):
            w.addcmul_(g, _per_member(learning_rate, w), value=-1)


class Adam:
    """w ← w − η m̂/(√v̂ + ε), m and v running means of g and g², hats undoing their start at 0 (Kingma & Ba 2015).

    β₁ = 0.9, β₂ = 0.999, ε = 10⁻⁸, as in `torch.optim.Adam`.
    """

    BETA_1, BETA_2, EPSILON = 0.9, 0.999, 1e-8

    def __init__(self, parameters: Sequence[Tensor], train: Train) -> None:
        self.parameters = parameters
        self.mean = [w.detach().clone().zero_() for w in parameters]
        self.square = [w.detach().clone().zero_() for w in parameters]
        self.steps = 0

    def step(self, gradients: Sequence[Tensor], learning_rate: Tensor) -> None:
        self.steps += 1
        unbias_1, unbias_2 = 1 - self.BETA_1**self.steps, 1 - self.BETA_2**self.steps
        for w, g, m, v in zip(self.parameters, gradients, self.mean, self.square, strict=True):
            m.lerp_(g, 1 - self.BETA_1)
            v.mul_(self.BETA_2).addcmul_(g, g, value=1 - self.BETA_2)
            direction = m / (v / unbias_2).sqrt_().add_(self.EPSILON)
            w.addcmul_(direction, _per_member(learning_rate, w), value=-1 / unbias_1)


def _per_member(learning_rate: Tensor, w: Tensor) -> Tensor:
    """The rates (S, M) shaped to multiply parameters (S, M, ...)."""
    return learning_rate.view(*learning_rate.shape, *[1] * (w.ndim - 2))


OPTIMIZERS: dict[str, Callable[[Sequence[Tensor], Train], Optimizer]] = {"sgd": SGD, "adam": Adam}
