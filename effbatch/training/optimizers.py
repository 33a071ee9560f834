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
            rate = learning_rate.view(*learning_rate.shape, *[1] * (w.ndim - 2))
            w.addcmul_(g, rate, value=-1)


OPTIMIZERS: dict[str, Callable[[Sequence[Tensor], Train], Optimizer]] = {"sgd": SGD}
