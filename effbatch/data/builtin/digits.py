"""Optical digits: 1,797 images of 8×8 from scikit-learn, embedded there, so nothing is downloaded."""

from __future__ import annotations

import numpy as np

from effbatch.data.dataset import DataSet, Size, fingerprint, standardised

SIZE = Size(1297, 500, (1, 8, 8), 10)
TEST_EXAMPLES = 500
SPLIT_SEED = 20170530  # the split never changes; the file is ordered by writer, so it is shuffled first


def where() -> str:
    """Embedded in scikit-learn, so always here."""
    return "embedded"


def load() -> DataSet:
    """Alpaydin & Kaynak (1998), UCI optical recognition of handwritten digits; 1,297 to train on, 500 to test."""
    from sklearn.datasets import load_digits

    bunch = load_digits()
    order = np.random.Generator(np.random.PCG64(SPLIT_SEED)).permutation(len(bunch.target))
    images = (bunch.images[order] / 16.0)[:, None]
    labels = bunch.target[order].astype(np.int64)
    x_train, x_test = standardised(images[TEST_EXAMPLES:], images[:TEST_EXAMPLES])
    return DataSet(
        name="digits",
        x_train=x_train,
        y_train=labels[TEST_EXAMPLES:],
        x_test=x_test,
        y_test=labels[:TEST_EXAMPLES],
        num_classes=10,
        source="scikit-learn load_digits (Alpaydin & Kaynak 1998), 1,297 train and 500 test images, fixed shuffle",
        fingerprint=fingerprint(images, labels),
    )
