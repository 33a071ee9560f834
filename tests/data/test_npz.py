"""Data in .npz files: used as they are, read again when written anew, and one sentence for what cannot be used."""

from __future__ import annotations

import os

import numpy as np
import pytest

from effbatch.core.errors import InputError
from effbatch.data import datasets

SHAPE = (1, 4, 4)


def arrays(**change: object) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    every = {
        "x_train": rng.standard_normal((6, *SHAPE)),
        "y_train": np.arange(6, dtype=np.int32) % 3,
        "x_test": rng.standard_normal((3, *SHAPE)),
        "y_test": np.arange(3, dtype=np.uint8),
        **change,
    }
    return {name: np.asarray(value) for name, value in every.items() if value is not None}


@pytest.mark.parametrize(("given", "classes"), [(None, 3), (5, 5)])
def test_an_npz_file_is_used_as_it_is(tmp_path, given, classes):
    path = str(tmp_path / "my.npz")
    np.savez(path, **arrays(num_classes=given))
    data, made = datasets.load(path), arrays()
    np.testing.assert_array_equal(data.x_train, made["x_train"].astype(np.float32))
    np.testing.assert_array_equal(data.y_test, made["y_test"])
    assert (data.num_classes, data.image_shape, data.name) == (classes, SHAPE, "my.npz")
    assert data.x_test.dtype == np.float32
    assert data.y_train.dtype == np.int64


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            {"x_test": None},
            "needs examples and labels of each half, got y_test alone",
        ),
        (
            {"x_test": None, "y_test": None},
            "needs a test set, or 5 examples of some class to draw one from, got 6 examples",
        ),
        ({"x_train": np.full((6, *SHAPE), np.nan)}, "training examples of my.npz hold NaN"),
        ({"x_test": np.zeros((3, *SHAPE), np.uint8)}, "need one type in both halves, got float64 and uint8"),
        ({"x_train": np.zeros((6, 16))}, "x_test of my.npz needs 2 dimensions like x_train, got 4"),
        ({"x_test": np.zeros((3, 1, 4, 5))}, r"one shape, got \(1, 4, 4\) and \(1, 4, 5\)"),
        (
            {"x_test": np.zeros((0, *SHAPE)), "y_test": np.zeros(0, int)},
            r"y_test of .* needs at least one label, got none",
        ),
        ({"y_train": np.arange(5) % 3}, "got 6 examples and 5 labels"),
        ({"y_train": np.arange(5) % 3, "x_test": None, "y_test": None}, "got 6 examples and 5 labels"),
        ({"y_test": np.arange(3) - 1}, "hold -1 beside 0 to 2, which may be a class or mark a missing label"),
        ({"num_classes": 2}, r"must lie in 0..1, got 0..2"),
        ({"num_classes": 2.5}, "num_classes of .* must be one whole number, got float64"),
        ({"y_train": np.zeros(6, int), "y_test": np.zeros(3, int)}, "from 2 to 1,000,000 classes, got 1"),
        ({"y_train": np.linspace(0, 2, 6)}, "y_train of .* needs whole numbers or words, got fractions or NaN"),
        (
            {"y_train": np.array([None] * 6)},
            r"not an .npz file of plain arrays \(ValueError: objects would have to be unpickled",
        ),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_npz_files_that_cannot_be_used(tmp_path, change, words):
    path = str(tmp_path / "my.npz")
    np.savez(path, **arrays(**change))
    with pytest.raises(InputError, match=words) as error:
        datasets.load(path)
    assert "\n" not in str(error.value)


def test_what_is_no_npz_file(tmp_path):
    path = tmp_path / "my.npz"
    with pytest.raises(InputError, match="cannot be read: No such file"):
        datasets.load(str(path))
    for content in (b"nonsense", b"", b"PK\x03\x04broken"):
        path.write_bytes(content)
        with pytest.raises(InputError, match=r"not an \.npz file of plain arrays"):
            datasets.load(str(path))
    with path.open("wb") as file:
        np.save(file, np.zeros(3))
    with pytest.raises(InputError, match=r"not an \.npz file of plain arrays"):
        datasets.load(str(path))


def test_a_file_written_anew_is_read_anew_with_another_fingerprint(tmp_path, monkeypatch):
    path = tmp_path / "my.npz"
    np.savez(path, **arrays())
    os.utime(path, (1, 1))
    first = datasets.load(str(path))
    monkeypatch.chdir(tmp_path)
    assert datasets.load(str(path)) is first
    assert datasets.load("my.npz").fingerprint == first.fingerprint
    for change in ({"y_train": arrays()["y_train"][::-1]}, {"x_test": arrays()["x_test"] + 1e-6}, {"num_classes": 4}):
        np.savez(path, **arrays(**change))
        assert datasets.load(str(path)).fingerprint != first.fingerprint
        os.utime(path, (2, 2 + len(str(change))))
