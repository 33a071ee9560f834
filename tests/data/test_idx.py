"""The idx reader on small files made here, whole and broken."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest

from effbatch.core.errors import InputError
from effbatch.data import datasets
from effbatch.data.builtin import mnist
from effbatch.data.dataset import checked
from effbatch.data.sources import VARIABLE, idx


def as_idx(array: np.ndarray) -> bytes:
    return b"\0\0\x08" + bytes([array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


def write_half(folder: Path, half: str, images: np.ndarray, labels: np.ndarray, *, gzipped: bool = True) -> None:
    folder.mkdir(exist_ok=True)
    for name, array in zip(idx.HALVES[half], (images, labels), strict=True):
        content = as_idx(array.astype(np.uint8))
        (folder / f"{name}.gz").write_bytes(gzip.compress(content)) if gzipped else (folder / name).write_bytes(content)


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """The folder mnist of a data directory with 6 training and 3 test images."""
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    rng = np.random.default_rng(0)
    for half, n in (("train", 6), ("test", 3)):
        write_half(tmp_path / "mnist", half, rng.integers(256, size=(n, 28, 28)), np.arange(n))
    return tmp_path / "mnist"


def test_gzipped_and_plain_files_give_the_same_arrays(tmp_path):
    rng = np.random.default_rng(0)
    images, labels = rng.integers(256, size=(2, 5, 4, 3)), rng.integers(10, size=(2, 5))
    for kind in (True, False):
        for half, x, y in zip(("train", "test"), images, labels, strict=True):
            write_half(tmp_path / str(kind), half, x, y, gzipped=kind)
        for (x, y), wanted_x, wanted_y in zip(idx.read(tmp_path / str(kind)), images, labels, strict=True):
            np.testing.assert_array_equal(x, wanted_x[:, None])
            np.testing.assert_array_equal(y, wanted_y)
            assert y.dtype == np.int64


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (gzip.compress(b"\0\0\x08\x01\0\0\0\x02ab")[:-9], "must be a whole file that can be read; it is not"),
        (gzip.compress(b"\0\0\x08\x01\0\0\0\x02ab")[:-6] + b"abcdef", "must be a whole file that can be read; it is"),
        (
            gzip.compress(b"\0\0\x0d\x01\0\0\0\x02ab"),
            "of unsigned bytes and its sizes, got 00 00 0d and 5 more",
        ),
        (b"not an idx file", "00 00 08 of unsigned bytes and its sizes, got 6e 6f 74 and"),
        (gzip.compress(b""), "nothing and 0 more bytes:"),
        (b"", "nothing and 0 more bytes:"),
        (gzip.compress(b"\0\0\x08\x03\0\0\0\x02ab"), "00 00 08 and 7 more bytes:"),
        (gzip.compress(b"\0\0\x08\x01\0\0\0\x03ab"), r"hold 3 values of shape \(3,\), got 2"),
        (b"\0\0\x08\x01\0\0\0\x01ab", r"hold 1 values of shape \(1,\), got more"),
        (b"\0\0\x08\x02\xff\xff\xff\xff\xff\xff\xff\xffab", "at most 1,073,741,824 values, got 18,446,744,0"),
    ],
    ids=[
        "cut off",
        "bad sum",
        "floats",
        "text",
        "empty",
        "nothing",
        "no sizes",
        "one missing",
        "one more",
        "boundless",
    ],
)
def test_broken_files_are_named(tmp_path, content, message):
    path = tmp_path / "broken"
    path.write_bytes(content)
    with pytest.raises(InputError, match=message) as error:
        idx.read_idx(path)
    assert "\n" not in str(error.value)


def test_mnist_is_read_from_the_data_directory_and_standardised(folder):
    assert mnist.where() == str(folder)
    data = checked(mnist.load())
    raw = idx.read(folder)[0].images / 255
    np.testing.assert_allclose(data.x_train, (raw - raw.mean()) / raw.std(), atol=1e-5)
    assert (data.x_test.shape, data.num_classes, str(folder) in data.source) == ((3, 1, 28, 28), 10, True)


def test_mnist_of_another_size_is_refused(folder):
    with pytest.raises(InputError, match=r"mnist needs 60,000 train, .*, got 6 train, 3 test, 1×28×28, 10 classes"):
        datasets.load("mnist")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda folder: (folder / "t10k-labels-idx1-ubyte.gz").unlink(), "the file t10k-labels-idx1-ubyte, plain"),
        (lambda folder: write_half(folder, "train", np.zeros((6, 28, 28)), np.arange(5)), r"\(6, 28, 28\) and \(5,\)"),
        (lambda folder: write_half(folder, "test", np.zeros((2, 28, 28)), np.array([3, 10])), r"0\.\.9, got 3\.\.10"),
        (lambda folder: write_half(folder, "test", np.zeros((0, 28, 28)), np.zeros(0)), "the test set of mnist needs"),
        (lambda folder: write_half(folder, "test", np.zeros((2, 9, 9)), np.arange(2)), r"one shape, .*\(1, 9, 9\): "),
    ],
    ids=["missing", "unlike numbers", "label out of range", "empty test set", "another size"],
)  # fmt: skip
def test_halves_that_cannot_be_used(folder, change, message):
    change(folder)
    with pytest.raises(InputError, match=message):
        datasets.read("mnist")
