"""What in the data does not fit the network is named by its value and its place."""

from __future__ import annotations

import numpy as np
import pytest
from torch import nn

from effbatch.core.errors import InputError
from effbatch.data.datasets import as_dataset
from effbatch.networks.fits import check_fits


def tokens(*, token: int = 4, label: int = 2):
    """12 sequences of three tokens below 5, of three classes; one `token` and one `label` are others."""
    x, y = np.arange(36).reshape(12, 3) % 5, np.arange(12) % 3
    x[7, 1], y[5] = token, label
    data = {"x_train": x, "y_train": y, "x_test": np.zeros((6, 3), int), "y_test": np.arange(6) % 3}
    return as_dataset(data, tokens=True)


def network() -> nn.Module:
    return nn.Sequential(nn.Embedding(5, 4), nn.Flatten(), nn.Linear(12, 3))


def test_what_fits_is_passed():
    check_fits(network(), tokens())


@pytest.mark.parametrize("token", [5, 9])
def test_a_token_beyond_the_embedding_is_named_with_its_place(token):
    said = (
        rf"below 5, the size of the network's embedding, got {token} at place 1 of training example 7, .* in 1 of 12 "
        "examples"
    )
    with pytest.raises(InputError, match=said):
        check_fits(network(), tokens(token=token))


def test_a_network_that_is_too_narrow_for_classes_with_examples_is_left_to_others():
    check_fits(nn.Sequential(nn.Embedding(5, 4), nn.Flatten(), nn.Linear(12, 2)), tokens())
