"""A data set -> its training images in two parts, to train on and to hold out: nothing ever looks at the test set."""

from __future__ import annotations

import numpy as np

from effbatch.core.errors import InputError
from effbatch.data.dataset import DataSet

MOST = 500  # held-out images


def with_held_out(data: DataSet) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Training images and labels, then the held-out ones: the first quarter, at most 500.

    InputError where there are fewer than 4 training images.
    """
    n = min(MOST, len(data.x_train) // 4)
    if not n:
        raise InputError(
            f"{data.name} needs at least 4 training images, to hold one out, got {len(data.x_train)}: add some"
        )
    return data.x_train[n:], data.y_train[n:], data.x_train[:n], data.y_train[:n]
