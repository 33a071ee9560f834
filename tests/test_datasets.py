"""Data sets: what is embedded, and the sentence for what cannot be trained on."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner

from effbatch.cli import main
from effbatch.errors import InputError
from effbatch.training import datasets


def test_digits_are_whole_standardised_and_split_without_overlap():
    data = datasets.load("digits")
    assert data.x_train.shape == (1297, 1, 8, 8)
    assert data.x_test.shape == (500, 1, 8, 8)
    assert data.x_train.mean() == pytest.approx(0, abs=1e-5)
    assert data.x_train.std() == pytest.approx(1, abs=1e-5)
    assert np.bincount(data.y_train).min() > 100
    train = {image.tobytes() for image in data.x_train}
    assert not train & {image.tobytes() for image in data.x_test}


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"y_train": np.zeros(3, dtype=int)}, "needs images"),
        ({"x_test": np.full((30, 1, 8, 8), np.nan, dtype=np.float32)}, "test images of little hold NaN"),
        ({"num_classes": 2}, r"training labels of little must lie in 0\.\.1; 0\.\.2 came"),
        ({"x_test": np.zeros((0, 1, 8, 8)), "y_test": np.zeros(0, dtype=int)}, "test set of little needs images"),
    ],
)
def test_unusable_data_is_named(little_images, change, sentence):
    with pytest.raises(InputError, match=sentence):
        datasets.checked(replace(little_images, **change))


def test_what_is_not_here_is_listed_with_how_to_get_it(monkeypatch):
    def missing(name):
        raise InputError("get it from somewhere")

    assert datasets.is_here("digits")
    monkeypatch.setattr(datasets, "load", missing)
    assert not datasets.is_here("digits")
    result = CliRunner().invoke(main, ["datasets"])
    assert result.exit_code == 0
    assert "digits: not here\n    get it from somewhere" in result.output


def test_constant_images_are_refused():
    with pytest.raises(InputError, match="constant"):
        datasets.standardised(np.ones((5, 1, 2, 2)), np.ones((5, 1, 2, 2)))


def test_an_unknown_data_set_is_named_with_its_neighbour():
    with pytest.raises(InputError, match="'digit' is not known; did you mean 'digits'"):
        datasets.load("digit")
