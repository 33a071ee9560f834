"""Held-out images are training images, never trained on, and never of the test set."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from effbatch.core.errors import InputError
from effbatch.data.held_out import with_held_out


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
    with pytest.raises(InputError, match="little needs at least 4 training images, to hold one out, got 3"):
        with_held_out(three)
