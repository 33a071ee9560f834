"""CIFAR-10N on a few images made here: the labels given, the clean ones kept aside, and files that do not belong."""

from __future__ import annotations

import numpy as np
import pytest
from test_cifar_binary import RECORDS, little, records, unpacked

from effbatch.core.errors import InputError
from effbatch.data import human_labels
from effbatch.data.builtin import cifar10
from effbatch.data.held_out import held_out_of
from effbatch.data.sources import VARIABLE


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """CIFAR-10 of 15 training images."""
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    monkeypatch.setattr(cifar10, "LAYOUT", little(cifar10.LAYOUT))
    unpacked(tmp_path / "cifar10", records(cifar10.LAYOUT))
    return tmp_path


def written(folder, **arrays):
    np.savez(folder / human_labels.FILE, **arrays)


def test_the_labels_given_train_and_the_clean_ones_are_kept_aside(folder):
    clean = cifar10.load()
    given = (clean.y_train + np.arange(5 * RECORDS) % 2) % 10
    written(folder, clean_label=clean.y_train.astype(np.uint8), worse_label=given.astype(np.uint8))
    data = human_labels.load("cifar10n-worse", "worse_label")
    np.testing.assert_array_equal(data.y_train, given)
    np.testing.assert_array_equal(data.clean_labels, clean.y_train)
    np.testing.assert_array_equal(data.x_train, clean.x_train)
    np.testing.assert_array_equal(data.y_test, clean.y_test)
    assert data.name == "cifar10n-worse"
    assert data.fingerprint != clean.fingerprint
    assert "non-commercial" in data.source
    part = held_out_of(data)
    assert len(part.clean_labels) == len(part.y_train) == 8
    assert part.clean_labels.tolist() != part.y_train.tolist()


def test_without_the_file_it_says_what_is_needed(folder):
    with pytest.raises(InputError, match=r"CIFAR-10N needs .*cifar10n\.npz, an \.npz with the arrays clean_label"):
        human_labels.load("cifar10n-worse", "worse_label")


def test_labels_of_other_images_are_refused(folder):
    other = (cifar10.load().y_train + 1) % 10
    written(folder, clean_label=other, worse_label=other)
    with pytest.raises(InputError, match="in the order of CIFAR-10's training images, got another order"):
        human_labels.load("cifar10n-worse", "worse_label")


def test_an_array_that_is_missing_is_named(folder):
    written(folder, clean_label=cifar10.load().y_train)
    with pytest.raises(InputError, match="needs the arrays clean_label and worse_label, got no worse_label"):
        human_labels.load("cifar10n-worse", "worse_label")
