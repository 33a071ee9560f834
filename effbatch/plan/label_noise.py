"""The [data] options of a spec -> the noise matrix of each α."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from effbatch import noise
from effbatch.data.dataset import DataSet
from effbatch.noise.class_orders import class_order
from effbatch.noise.matrixfile import read_matrix
from effbatch.noise.transition import checked_matrix
from effbatch.plan.spec import Data


def noise_matrices(data: Data, dataset: DataSet, alphas: Sequence[float]) -> NDArray[np.float64] | None:
    """N of every α, shape (A, K, K), rows = true class; None where labels of noisy copies are uniform.

    Foreign copies are uniformly labelled. Raises InputError where the order of confusion cannot be had, and for a file
    that holds no noise matrix of the data set's classes.
    """
    if data.matrix is not None:
        given = checked_matrix(read_matrix(data.matrix), num_classes=dataset.num_classes)
        return np.stack([given for _ in alphas])
    if data.noise != "structured":
        return None
    assert data.delta is not None  # a checked spec has both
    assert data.order is not None
    order = class_order(dataset, data.order)
    return np.stack(
        [noise.structured_noise_matrix(alpha, dataset.num_classes, data.delta, order=order) for alpha in alphas]
    )
