"""Labels that came with the data: their matrix, rate and α, and twins that are as wrong in another way."""

from __future__ import annotations

import numpy as np
import pytest

from effbatch.core.errors import InputError
from effbatch.noise import UniformNoise
from effbatch.noise.given import GivenLabels

K = 4


def drawn(matrix: np.ndarray, images: int = 40_000) -> GivenLabels:
    rng = np.random.default_rng(0)
    clean = rng.integers(K, size=images)
    given = (rng.random(images)[:, None] > matrix.cumsum(1)[clean][:, :-1]).sum(1)
    return GivenLabels.of(given, clean, K)


def test_uniform_noise_is_recognised_and_its_twins_are_alike():
    noise = UniformNoise(2.0, K)
    labels = drawn(noise.transition_matrix())
    assert labels.alpha == pytest.approx(2, abs=0.1)
    np.testing.assert_allclose(labels.twin("same_matrix"), noise.transition_matrix(), atol=0.015)
    np.testing.assert_allclose(labels.twin("same_rate"), noise.transition_matrix(), atol=0.015)


def test_twins_of_confused_classes_share_the_rate_and_only_one_of_them_the_confusion():
    matrix = np.eye(K)
    matrix[0, :2] = 0.4, 0.6
    labels = drawn(matrix)
    assert labels.noise_rate == pytest.approx(0.15, abs=0.01)
    np.testing.assert_allclose(labels.twin("same_matrix"), matrix, atol=0.015)
    uniform = labels.twin("same_rate")
    assert 1 - np.diag(uniform) == pytest.approx(np.full(K, labels.noise_rate))
    assert uniform[2, 3] == pytest.approx(labels.noise_rate / (K - 1))


def test_a_class_without_images_has_clean_labels():
    assert GivenLabels.of([0, 1], [0, 0], 3).matrix.tolist() == [[0.5, 0.5, 0], [0, 1, 0], [0, 0, 1]]


def test_labels_that_are_all_wrong_have_no_alpha():
    labels = GivenLabels.of([1, 0], [0, 1], 2)
    assert labels.alpha is None
    with pytest.raises(InputError, match="the noise rate needs to be at least 0 and below"):
        labels.twin("same_rate")
