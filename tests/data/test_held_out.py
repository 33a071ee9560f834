"""Held-out images are training images, never trained on, and never of the test set."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from effbatch.core.errors import InputError
from effbatch.data.dataset import DataSet
from effbatch.data.held_out import held_out_of, with_held_out


@pytest.mark.parametrize(("available", "held_out"), [(4, 1), (59, 14), (60, 15), (2400, 500)])
def test_a_quarter_is_held_out_and_at_most_500(little_images, available, held_out):
    some = np.resize(np.arange(60), available)
    data = replace(little_images, x_train=little_images.x_train[some], y_train=little_images.y_train[some])
    x, y, x_held_out, y_held_out = with_held_out(data)
    assert (len(x), len(y), len(x_held_out), len(y_held_out)) == (available - held_out,) * 2 + (held_out,) * 2
    np.testing.assert_array_equal(np.concatenate([x_held_out, x]), data.x_train)
    np.testing.assert_array_equal(np.concatenate([y_held_out, y]), data.y_train)


def test_fewer_than_four_images_are_too_few(little_images):
    three = replace(little_images, x_train=little_images.x_train[:3], y_train=little_images.y_train[:3])
    with pytest.raises(InputError, match="little needs at least 4 training examples, to hold one out, got 3"):
        with_held_out(three)


@pytest.mark.parametrize(("n", "held"), [(10_000, 1000), (100_000, 2000), (2000, 300), (400, 200), (5, 2)])
def test_a_stratified_tenth_stands_in_place_of_the_test_set(n, held):
    y = np.arange(n) % 4 % 3  # half of class 0
    x = np.arange(n, dtype=np.float32)[:, None]
    part = held_out_of(
        DataSet(name="some", x_train=x, y_train=y, x_test=x[:1], y_test=y[:1], num_classes=3, source="made here")
    )
    assert len(part.y_test) == held
    assert sorted([*part.x_train[:, 0], *part.x_test[:, 0]]) == list(range(n))
    np.testing.assert_array_equal(part.y_test, y[part.x_test[:, 0].astype(int)])
    assert np.bincount(part.y_test, minlength=3) == pytest.approx([held / 2, held / 4, held / 4], abs=1)


def test_three_examples_cannot_be_parted():
    x, y = np.ones((3, 2), np.float32), np.arange(3)
    with pytest.raises(InputError, match="some needs at least 4 training examples, to hold some out, got 3"):
        held_out_of(DataSet(name="some", x_train=x, y_train=y, x_test=x, y_test=y, num_classes=3, source="made here"))
