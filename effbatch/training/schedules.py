"""Learning-rate schedules: step number -> factor on the learning rate."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np


def constant(steps: int) -> np.ndarray:
    """1 at every step."""
    return np.ones(steps)


def cosine(steps: int) -> np.ndarray:
    """½(1 + cos(π t/T)) at step t = 0 … T−1, without restarts (Loshchilov & Hutter, 2017, eq. 5)."""
    return 0.5 * (1 + np.cos(np.pi * np.arange(steps) / steps))


SCHEDULES: dict[str, Callable[[int], np.ndarray]] = {"constant": constant, "cosine": cosine}
