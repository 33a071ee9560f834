"""[train] options -> the `torch.optim` optimiser and `torch.optim.lr_scheduler` schedule that they stand for."""

from __future__ import annotations

from collections.abc import Iterable
from math import ceil

import torch
from torch.optim import lr_scheduler as schedulers

from effbatch.plan.spec import Train

OPTIMIZERS = {
    "sgd": lambda w, train, **options: torch.optim.SGD(w, momentum=train.momentum, nesterov=train.nesterov, **options),
    "adam": lambda w, train, **options: torch.optim.Adam(w, **options),
    "adamw": lambda w, train, **options: torch.optim.AdamW(w, **options),
    "rmsprop": lambda w, train, **options: torch.optim.RMSprop(w, **options),
    "adadelta": lambda w, train, **options: torch.optim.Adadelta(w, **options),
}
SCHEDULES = {
    "constant": lambda optimizer, steps: schedulers.ConstantLR(optimizer, factor=1),
    "linear": lambda optimizer, steps: schedulers.LinearLR(optimizer, 1, 0, total_iters=steps),
    "cosine": lambda optimizer, steps: schedulers.CosineAnnealingLR(optimizer, T_max=steps),
    "step": lambda optimizer, steps: schedulers.MultiStepLR(optimizer, [ceil(steps / 2), ceil(3 * steps / 4)], 0.1),
    "one_cycle": lambda optimizer, steps: schedulers.OneCycleLR(
        optimizer, max_lr=optimizer.param_groups[0]["lr"], total_steps=steps, cycle_momentum=False
    ),
}


def optimizer_of(train: Train, weights: Iterable[torch.Tensor], learning_rate: float) -> torch.optim.Optimizer:
    return OPTIMIZERS[train.optimizer](weights, train, lr=learning_rate, weight_decay=train.weight_decay)


def schedule_of(train: Train, optimizer: torch.optim.Optimizer, steps: int) -> schedulers.LRScheduler:
    schedule = SCHEDULES[train.schedule](optimizer, steps)
    if not train.warmup:
        return schedule
    W = ceil(train.warmup * steps)
    rise = schedulers.LinearLR(optimizer, start_factor=1 / W, total_iters=W - 1)
    return schedulers.ChainedScheduler([schedule, rise], optimizer)
