"""Data sets: what is embedded, and the sentence for what cannot be trained on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from effbatch.cli import main
from effbatch.core.errors import InputError
from effbatch.data import datasets
from effbatch.data.builtin import fashion_mnist, mnist
from effbatch.data.dataset import checked, standardised
from effbatch.data.sources import VARIABLE, data_dir, hub


def test_digits_are_whole_standardised_and_split_without_overlap():
    data = datasets.load("digits")
    assert data.x_train.shape == (1297, 1, 8, 8)
    assert data.x_test.shape == (500, 1, 8, 8)
    assert data.x_train.mean() == pytest.approx(0, abs=1e-5)
    assert data.x_train.std() == pytest.approx(1, abs=1e-5)
    assert np.bincount(data.y_train).min() > 100
    train = {image.tobytes() for image in data.x_train}
    assert not train & {image.tobytes() for image in data.x_test}


def test_built_in_sets_have_the_size_that_was_published():
    sizes = {name: str(datasets._module(name).SIZE) for name in datasets.names()}
    assert sizes == {
        "cifar10": "50,000 train, 10,000 test, 3×32×32, 10 classes",
        "cifar100": "50,000 train, 10,000 test, 3×32×32, 100 classes",
        **dict.fromkeys(
            ("cifar10n-aggregate", "cifar10n-random1", "cifar10n-worse"),
            "50,000 train, 10,000 test, 3×32×32, 10 classes",
        ),
        "digits": "1,297 train, 500 test, 1×8×8, 10 classes",
        "fashion-mnist": "60,000 train, 10,000 test, 1×28×28, 10 classes",
        "fashion-mnist-14": "60,000 train, 10,000 test, 1×14×14, 10 classes",
        "mnist": "60,000 train, 10,000 test, 1×28×28, 10 classes",
    }


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"y_train": np.zeros(3, dtype=int)}, "one label for each example, got 60 examples and 3 labels"),
        ({"x_test": np.full((30, 1, 8, 8), np.nan, dtype=np.float32)}, "test examples of little hold NaN"),
        ({"num_classes": 2}, r"training labels of little must lie in 0\.\.1, got 0\.\.2"),
        (
            {"y_train": np.ones(60, dtype=int)},
            "little needs training examples of at least 2 classes; all are of class 1",
        ),
        ({"x_test": np.zeros((30, 3, 8, 8))}, r"need one shape, got \(1, 8, 8\) and \(3, 8, 8\)"),
        ({"x_test": np.zeros((0, 1, 8, 8)), "y_test": np.zeros(0, dtype=int)}, "test set of little needs images"),
    ],
)
def test_unusable_data_is_named(little_images, change, sentence):
    with pytest.raises(InputError, match=sentence):
        checked(replace(little_images, **change))


def test_the_data_directory_is_the_one_chosen_else_in_the_cache(monkeypatch, tmp_path):
    for variable in (VARIABLE, "XDG_CACHE_HOME"):
        monkeypatch.delenv(variable, raising=False)
    assert data_dir() == Path.home() / ".cache" / "effbatch" / "data"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert data_dir() == tmp_path / "effbatch" / "data"
    monkeypatch.setenv(VARIABLE, "~/data")
    assert data_dir() == Path.home() / "data"


def test_the_option_names_the_data_directory(monkeypatch, tmp_path):
    monkeypatch.setenv(VARIABLE, "/nowhere")
    monkeypatch.setattr(hub, "is_usable", lambda: True)
    monkeypatch.setattr(fashion_mnist, "SYSTEM", tmp_path / "none")  # reading it takes seconds
    (tmp_path / "cifar10").mkdir()
    listed = CliRunner().invoke(main, ["datasets", "--all", "--data-dir", str(tmp_path)]).output
    words = " ".join(listed.split())  # lines are wrapped to the terminal
    assert (
        f"cifar10: not here {tmp_path}/cifar10 needs data_batch_1.bin and the others of cifar-10-binary.tar.gz" in words
    )
    assert "mnist: not here yet hub:ylecun/mnist is fetched when it is first asked for" in words
    result = CliRunner().invoke(main, ["datasets", "--data-dir", str(tmp_path / "none")])
    assert (result.exit_code, "does not exist" in result.output) == (2, True)


def test_a_name_means_another_data_set_in_another_directory(monkeypatch, tmp_path):
    place = {}
    monkeypatch.setattr(mnist, "load", lambda: pytest.fail("read") if place else datasets.load("digits"))
    monkeypatch.setattr(mnist, "SIZE", datasets.load("digits").size)
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    first = datasets.load("mnist")
    place["moved"] = True
    assert datasets.load("mnist") is first
    monkeypatch.setenv(VARIABLE, str(tmp_path / "other"))
    with pytest.raises(pytest.fail.Exception, match="read"):
        datasets.load("mnist")


def test_what_is_not_here_is_listed_with_how_to_get_it(monkeypatch):
    def missing(name):
        raise InputError("get it from somewhere")

    assert datasets.is_here("digits")
    monkeypatch.setattr(datasets, "read", missing)
    assert not datasets.is_here("digits")
    result = CliRunner().invoke(main, ["datasets", "--all"])
    assert result.exit_code == 0
    assert "digits: not here\n  get it from somewhere" in result.output
    listed = " ".join(CliRunner().invoke(main, ["doctor"]).output.split())
    assert "not here: cifar10, cifar100, cifar10n-aggregate, cifar10n-random1, cifar10n-worse, digits" in listed


def test_constant_images_are_refused():
    with pytest.raises(InputError, match="constant"):
        standardised(np.ones((5, 1, 2, 2)), np.ones((5, 1, 2, 2)))


def test_an_unknown_data_set_is_named_with_its_neighbour():
    with pytest.raises(InputError, match=r"'digit' is not known; did you mean 'digits'\? \(or a file \.npz"):
        datasets.load("digit")


def test_what_is_a_data_set_already_a_name_or_four_arrays_is_one(little_images):
    assert datasets.as_dataset(little_images) is little_images
    assert datasets.as_dataset("digits") is datasets.load("digits")
    arrays = (little_images.x_train * 255, little_images.y_train.astype(np.uint8), little_images.x_test)
    made = datasets.as_dataset([*arrays, little_images.y_test.tolist()])
    np.testing.assert_array_equal(made.x_train, arrays[0])  # used as they are
    assert (made.x_test.dtype, made.y_train.dtype, made.num_classes) == (np.float32, np.int64, 3)


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (3, "needs to be a name or path, a DataSet, .*, got int"),
        ((np.zeros((4, 1, 2, 2)),) * 3, "a name or path, .*, got tuple"),
        ((np.ones((4, 1, 2, 2)), np.zeros(4)) * 2, "needs from 2 to 1,000,000 classes, got 1"),
        ((np.ones((4, 1, 2, 2)), np.arange(4)) * 2, "training examples of arrays are constant"),
    ],
    ids=["number", "three", "labels", "constant"],
)
def test_what_is_no_data_set_is_named(data, sentence):
    with pytest.raises(InputError, match=sentence):
        datasets.as_dataset(data)


def test_labels_of_one_byte_may_number_256_classes():
    x, y = np.random.default_rng(0).normal(size=(256, 1, 2, 2)), np.arange(256, dtype=np.uint8)
    assert datasets.as_dataset((x, y, x, y)).num_classes == 256
