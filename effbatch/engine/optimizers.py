"""Optimisers over stacked parameters: gradients (S, M, ...) and one learning rate per member -> updated in place.

Conventions and fixed constants are those of `torch.optim`. g is the gradient of the mean loss, η the learning rate
times the schedule, λ the weight decay: g ← g + λ w before all else (coupled, an L2 penalty λ‖w‖²/2), save in AdamW.
Gradients are clipped before that. Any other optimiser of PyTorch is a function of the user's, see `OwnOptimizer`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

import torch

from effbatch.core.errors import InputError
from effbatch.networks.loading import loaded_function

if TYPE_CHECKING:
    from torch import Tensor

    from effbatch.plan.spec import Train


class Optimizer(Protocol):
    """`step(gradients, learning_rate)`: learning_rate is (S, M), already multiplied by the schedule.

    replayable   every step but the first is the same operations on tensors; Adam counts its steps in Python
    """

    replayable: bool

    def step(self, gradients: Sequence[Tensor], learning_rate: Tensor) -> None: ...


class SGD:
    """w ← w − η v with v ← μ v + g, v = g at the first step; Nesterov: w ← w − η (g + μ v). μ = 0: plain SGD."""

    replayable = True

    def __init__(self, parameters: Sequence[Tensor], train: Train) -> None:
        self.parameters = parameters
        self.momentum, self.nesterov, self.weight_decay = train.momentum, train.nesterov, train.weight_decay
        self.velocity: list[Tensor] | None = None

    def step(self, gradients: Sequence[Tensor], learning_rate: Tensor) -> None:
        gradients = _decayed(gradients, self.parameters, self.weight_decay)
        if self.momentum:
            if self.velocity is None:
                self.velocity = [g.clone() for g in gradients]
            else:
                for v, g in zip(self.velocity, gradients, strict=True):
                    v.mul_(self.momentum).add_(g)
            if self.nesterov:
                gradients = [g.add(v, alpha=self.momentum) for v, g in zip(self.velocity, gradients, strict=True)]
            else:
                gradients = self.velocity
        for w, g in zip(self.parameters, gradients, strict=True):
            w.addcmul_(g, _per_member(learning_rate, w), value=-1)


class Adam:
    """w ← w − η m̂/(√v̂ + ε), m and v running means of g and g², hats undoing their start at 0 (Kingma & Ba, 2015).

    β₁ = 0.9, β₂ = 0.999, ε = 10⁻⁸, as in `torch.optim.Adam`.
    """

    replayable = False
    BETA_1, BETA_2, EPSILON = 0.9, 0.999, 1e-8

    def __init__(self, parameters: Sequence[Tensor], train: Train) -> None:
        self.parameters, self.weight_decay = parameters, train.weight_decay
        self.mean, self.square = _zeros(parameters), _zeros(parameters)
        self.steps = 0

    def step(self, gradients: Sequence[Tensor], learning_rate: Tensor) -> None:
        gradients = _decayed(gradients, self.parameters, self.weight_decay)
        self.steps += 1
        unbias_1, unbias_2 = 1 - self.BETA_1**self.steps, 1 - self.BETA_2**self.steps
        for w, g, m, v in zip(self.parameters, gradients, self.mean, self.square, strict=True):
            m.lerp_(g, 1 - self.BETA_1)
            v.mul_(self.BETA_2).addcmul_(g, g, value=1 - self.BETA_2)
            direction = m / (v / unbias_2).sqrt_().add_(self.EPSILON)
            w.addcmul_(direction, _per_member(learning_rate, w), value=-1 / unbias_1)


class AdamW(Adam):
    """w ← (1 − η λ) w, then Adam without λ in its gradient: decoupled weight decay (Loshchilov & Hutter, 2019)."""

    def __init__(self, parameters: Sequence[Tensor], train: Train) -> None:
        super().__init__(parameters, replace(train, weight_decay=0.0))
        self.decoupled_decay = train.weight_decay

    def step(self, gradients: Sequence[Tensor], learning_rate: Tensor) -> None:
        if self.decoupled_decay:
            for w in self.parameters:
                w.mul_(1 - _per_member(learning_rate, w) * self.decoupled_decay)
        super().step(gradients, learning_rate)


class RMSprop:
    """w ← w − η g/(√v + ε), v the running mean of g², started at 0 (Hinton, 2012).

    Smoothing 0.99, ε = 10⁻⁸, not centred, no momentum, as in `torch.optim.RMSprop`.
    """

    replayable = True
    SMOOTHING, EPSILON = 0.99, 1e-8

    def __init__(self, parameters: Sequence[Tensor], train: Train) -> None:
        self.parameters, self.weight_decay = parameters, train.weight_decay
        self.square = _zeros(parameters)

    def step(self, gradients: Sequence[Tensor], learning_rate: Tensor) -> None:
        gradients = _decayed(gradients, self.parameters, self.weight_decay)
        for w, g, v in zip(self.parameters, gradients, self.square, strict=True):
            v.mul_(self.SMOOTHING).addcmul_(g, g, value=1 - self.SMOOTHING)
            w.addcmul_(g / v.sqrt().add_(self.EPSILON), _per_member(learning_rate, w), value=-1)


class AdaDelta:
    """w ← w − η Δ, Δ = g √(u + ε)/√(v + ε), v and u running means of g² and Δ², started at 0 (Zeiler, 2012, alg. 1).

    u is brought up to date after Δ. ρ = 0.9, ε = 10⁻⁶, as in `torch.optim.Adadelta`; the original has η = 1.
    """

    replayable = True
    RHO, EPSILON = 0.9, 1e-6

    def __init__(self, parameters: Sequence[Tensor], train: Train) -> None:
        self.parameters, self.weight_decay = parameters, train.weight_decay
        self.square, self.square_step = _zeros(parameters), _zeros(parameters)

    def step(self, gradients: Sequence[Tensor], learning_rate: Tensor) -> None:
        gradients = _decayed(gradients, self.parameters, self.weight_decay)
        for w, g, v, u in zip(self.parameters, gradients, self.square, self.square_step, strict=True):
            v.mul_(self.RHO).addcmul_(g, g, value=1 - self.RHO)
            delta = (u + self.EPSILON).div_(v + self.EPSILON).sqrt_().mul_(g)
            u.mul_(self.RHO).addcmul_(delta, delta, value=1 - self.RHO)
            w.addcmul_(delta, _per_member(learning_rate, w), value=-1)


class OwnOptimizer:
    """A torch optimiser of the user's for each member, made by `package.module:function` from parameters and rate.

    It is made at rate 1, so that a group of parameters has its rate times that of the member at every step.
    """

    replayable = False

    def __init__(self, parameters: Sequence[Tensor], train: Train) -> None:
        make = loaded_function(train.optimizer, "an optimizer")
        S, M = parameters[0].shape[:2]
        self.members = [[[w.detach()[s, m] for w in parameters] for m in range(M)] for s in range(S)]
        self.optimizers = [[_checked(make(weights, 1.0), train.optimizer) for weights in row] for row in self.members]
        self.bases = [group["lr"] for group in self.optimizers[0][0].param_groups]

    def step(self, gradients: Sequence[Tensor], learning_rate: Tensor) -> None:
        rates = learning_rate.tolist()
        for s, row in enumerate(self.optimizers):
            for m, optimizer in enumerate(row):
                for weight, gradient in zip(self.members[s][m], gradients, strict=True):
                    weight.grad = gradient[s, m]
                for group, base in zip(optimizer.param_groups, self.bases, strict=True):
                    group["lr"] = base * rates[s][m]
                optimizer.step()


def _checked(made: object, name: str) -> torch.optim.Optimizer:
    if not isinstance(made, torch.optim.Optimizer):
        raise InputError(f"{name} needs to return a torch optimizer, got {type(made).__name__}: return one", name=name)
    return made


def clipped(gradients: Sequence[Tensor], largest: float) -> Sequence[Tensor]:
    """g · min(1, largest/(‖g‖ + 10⁻⁶)), ‖g‖ over all parameters of a member, as `torch.nn.utils.clip_grad_norm_`."""
    norms = torch.stack([torch.linalg.vector_norm(g, dim=tuple(range(2, g.ndim))) for g in gradients])
    factor = (largest / (torch.linalg.vector_norm(norms, dim=0) + 1e-6)).clamp_max(1)
    return [g * _per_member(factor, g) for g in gradients]


def _per_member(factors: Tensor, w: Tensor) -> Tensor:
    """Factors (S, M) shaped to multiply parameters (S, M, ...)."""
    return factors.view(*factors.shape, *[1] * (w.ndim - 2))


def _decayed(gradients: Sequence[Tensor], parameters: Sequence[Tensor], weight_decay: float) -> Sequence[Tensor]:
    """g + λ w."""
    if not weight_decay:
        return gradients
    return [g.add(w, alpha=weight_decay) for w, g in zip(parameters, gradients, strict=True)]


def _zeros(parameters: Sequence[Tensor]) -> list[Tensor]:
    return [torch.zeros_like(w, requires_grad=False) for w in parameters]


OPTIMIZERS: dict[str, Callable[[Sequence[Tensor], Train], Optimizer]] = {
    "sgd": SGD,
    "adam": Adam,
    "adamw": AdamW,
    "rmsprop": RMSprop,
    "adadelta": AdaDelta,
}


def optimizer_of(parameters: Sequence[Tensor], train: Train) -> Optimizer:
    """The optimiser that [train] names: one of `OPTIMIZERS`, or `package.module:function`."""
    return OPTIMIZERS.get(train.optimizer, OwnOptimizer)(parameters, train)
