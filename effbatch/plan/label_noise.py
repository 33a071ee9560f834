"""The [data] options of a spec -> the noise matrix of each α."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from effbatch import noise
from effbatch.core.errors import InputError
from effbatch.data.dataset import DataSet
from effbatch.noise.class_orders import class_order
from effbatch.noise.given import GIVEN, TWINS, GivenLabels
from effbatch.noise.matrixfile import read_matrix
from effbatch.noise.transition import checked_matrix
from effbatch.plan.spec import Data


def noise_matrices(data: Data, dataset: DataSet, alphas: Sequence[float]) -> NDArray[np.float64] | None:
    """N of every α, shape (A, K, K), rows = true class; None where labels of noisy copies are uniform.

    Foreign copies are uniformly labelled. For twins of the labels given it is T, which all labels follow; the labels
    given have none. Raises InputError where the order of confusion cannot be had, for a file that holds no noise
    matrix of the data set's classes, and where labels given have no clean ones beside them.
    """
    if data.noise in GIVEN:
        given = given_labels(dataset)
        if given is None:
            raise InputError(
                f"[data] noise = {data.noise!r} needs a data set that knows the clean labels beside those given, got "
                f"{dataset.name}: take cifar10n-worse, cifar10n-aggregate or cifar10n-random1"
            )
        return np.stack([given.twin(data.noise) for _ in alphas]) if data.noise in TWINS else None
    if data.matrix is not None:
        read = checked_matrix(read_matrix(data.matrix), num_classes=dataset.num_classes)
        return np.stack([read for _ in alphas])
    if data.noise != "structured":
        return None
    assert data.delta is not None  # a checked spec has both
    assert data.order is not None
    order = class_order(dataset, data.order)
    return np.stack(
        [noise.structured_noise_matrix(alpha, dataset.num_classes, data.delta, order=order) for alpha in alphas]
    )


def given_labels(dataset: DataSet) -> GivenLabels | None:
    """What is wrong with the training labels of a data set; None where their clean ones are not known."""
    if dataset.clean_labels is None:
        return None
    return GivenLabels.of(dataset.y_train, dataset.clean_labels, dataset.num_classes)
