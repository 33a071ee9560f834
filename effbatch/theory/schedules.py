"""Learning-rate schedules: number of steps T -> factor on the learning rate at step t = 0 … T − 1.

A schedule spans the budget, whatever its unit: it depends on t and T alone, so twice the batch at the same number of
examples runs through the same schedule in half the steps. Conventions are those of `torch.optim.lr_scheduler`.
"""

from __future__ import annotations

from collections.abc import Callable
from math import ceil

import numpy as np
from numpy.typing import NDArray

from effbatch.core.errors import InputError, hint

Floats = NDArray[np.float64]


def constant(steps: int) -> Floats:
    """1 at every step."""
    return np.ones(steps)


def linear(steps: int) -> Floats:
    """1 − t/T: down to 0 (`LinearLR` from 1 to 0; how transformers are often fine-tuned)."""
    return 1 - np.arange(steps) / steps


def cosine(steps: int) -> Floats:
    """½(1 + cos(π t/T)), without restarts (Loshchilov & Hutter, 2017, eq. 5)."""
    return 0.5 * (1 + np.cos(np.pi * np.arange(steps) / steps))


def step(steps: int) -> Floats:
    """1, then 0.1 from t = T/2 and 0.01 from t = 3T/4 on (He et al., 2016, sec. 4.2: steps 32k and 48k of 64k)."""
    milestones_passed = np.searchsorted([steps / 2, 3 * steps / 4], np.arange(steps), side="right")
    return np.array([1, 0.1, 0.01])[milestones_passed]


def one_cycle(steps: int) -> Floats:
    """Half a cosine up from 1/25 to 1 at t = 0.3 T − 1, then one down to 4·10⁻⁶ at T − 1 (Smith & Topin, 2019).

    The defaults of `OneCycleLR`, except that it leaves the momentum alone. Runs of up to three steps have no way up.
    """
    t, top, end = np.arange(float(steps)), 0.3 * steps - 1, steps - 1
    up = _half_cosine(1 / 25, 1, t / top)
    down = _half_cosine(1, 1 / 25 / 1e4, (t - top) / (end - top))
    return np.where(t <= top, up, down)


SCHEDULES: dict[str, Callable[[int], Floats]] = {
    "constant": constant,
    "linear": linear,
    "cosine": cosine,
    "step": step,
    "one_cycle": one_cycle,
}


def multipliers(schedule: str, steps: int, *, warmup: float = 0.0) -> Floats:
    """The factors (T,) of a schedule by name, times a linear warm-up over the first W = ⌈warmup·T⌉ steps.

        factor(t) = schedule(t) · min(1, (t + 1)/W)

    so that step 0 has 1/W of its rate and step W − 1 all of it; the schedule itself is not moved (a `ChainedScheduler`
    of it and `LinearLR(1/W, total_iters=W − 1)`). Raises InputError for a name not known, a warm-up outside [0, 1), and
    one with one_cycle, which has its own.
    """
    if schedule not in SCHEDULES:
        raise InputError(f"schedule = {schedule!r} is not known; {hint(schedule, SCHEDULES)}", schedule=schedule)
    if not 0 <= warmup < 1:
        raise InputError(f"warmup must lie in [0, 1), a fraction of all steps, got {warmup}", warmup=warmup)
    if warmup and schedule == "one_cycle":
        raise InputError(f"one_cycle has its own warm-up, got warmup = {warmup} with it: leave it out", warmup=warmup)
    warmup_steps = ceil(warmup * steps - 1e-9)
    return SCHEDULES[schedule](steps) * np.minimum(1, np.arange(1, steps + 1) / max(1, warmup_steps))


def _half_cosine(start: float, end: float, way: Floats) -> Floats:
    """From start (way = 0) to end (way = 1)."""
    return end + (start - end) / 2 * (1 + np.cos(np.pi * way))
