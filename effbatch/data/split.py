"""Examples without a test set -> training and test examples: a fifth of every class, drawn once and for all."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

SHARE = 5  # one in so many is a test example
SEED = 20170530  # the same split in every run


def stratified(labels: NDArray[np.int64]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Indices of the training and the test examples, ascending; of a class of fewer than five all are for training.

    >>> train, test = stratified(np.arange(10) % 2)
    >>> len(train), len(test)
    (8, 2)
    """
    rng = np.random.Generator(np.random.PCG64(SEED))
    test = []
    for c in np.unique(labels):
        members = rng.permutation(np.flatnonzero(labels == c))
        test += members[: len(members) // SHARE].tolist()
    is_test = np.zeros(len(labels), dtype=bool)
    is_test[test] = True
    return np.flatnonzero(~is_test), np.flatnonzero(is_test)
