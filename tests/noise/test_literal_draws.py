"""Draws of every stream as version 0.1 made them: another number would change every sweep without a word."""

from __future__ import annotations

import numpy as np
import pytest

from effbatch.data import datasets
from effbatch.noise import labels
from effbatch.noise.class_orders import class_order
from effbatch.noise.foreign import foreign_images

IMAGE, SEED, PASS, COPY = np.arange(6), 2, 7, 1


@pytest.mark.parametrize(
    ("drawn", "expected"),
    [
        (labels.fixed_copy(9.5, 3, IMAGE, SEED), [1, 0, 2, 1, 0, 7]),
        (labels.fixed_label(IMAGE % 5, IMAGE, COPY, SEED, num_classes=5), [4, 2, 2, 4, 4, 1]),
        (labels.fresh_label(IMAGE % 5, IMAGE, PASS, 50.0, SEED, num_classes=5), [1, 4, 3, 3, 3, 3]),
        (labels.fresh_noisy(IMAGE, PASS, 1.0, SEED), [1, 1, 1, 0, 1, 1]),
        (labels.fixed_foreign(IMAGE, COPY, SEED, 1000), [795, 744, 243, 633, 141, 452]),
        (labels.fresh_foreign(IMAGE, PASS, SEED, 1000), [861, 809, 455, 453, 679, 849]),
    ],
    ids=["copy", "fixed label", "fresh label", "noisy", "fixed foreign", "fresh foreign"],
)
def test_labels_and_copies(drawn, expected):
    assert drawn.tolist() == expected


def test_the_order_random():
    first, second, *_ = class_order(datasets.load("digits"), "random").tolist()
    assert first == [8, 5, 9, 6, 3, 7, 1, 2, 0, 4]
    assert second == [9, 5, 1, 0, 3, 7, 2, 6, 8, 4]


def test_white_noise(little_images):
    pixels = foreign_images("white", little_images)[0, 0, 0, :3].numpy()
    mean, deviation = little_images.x_train.mean(), little_images.x_train.std()
    np.testing.assert_allclose((pixels - mean) / deviation, [1.2256, -0.7062, 0.1709], atol=1e-4)
