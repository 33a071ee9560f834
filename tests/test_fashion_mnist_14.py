"""The Fashion-MNIST reader on small idx files made here."""

import gzip
import struct

import numpy as np
import pytest

from effbatch.errors import InputError
from effbatch.training.datasets import checked
from effbatch.training.datasets.fashion_mnist_14 import FILES, load, read_idx


def write_idx(path, array, *, magic=b"\0\0\x08"):
    header = magic + bytes([array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    path.write_bytes(gzip.compress(header + array.astype(np.uint8).tobytes()))


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("EFFBATCH_DATA", str(tmp_path))
    folder = tmp_path / "fashion-mnist"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for n, (images, labels) in zip((6, 3), FILES.values(), strict=True):
        write_idx(folder / images, rng.integers(256, size=(n, 28, 28)))
        write_idx(folder / labels, np.arange(n))
    return folder


def test_four_pixels_become_their_mean(folder):
    data = checked(load())
    assert (data.x_train.shape, data.x_test.shape) == ((6, 1, 14, 14), (3, 1, 14, 14))
    np.testing.assert_array_equal(data.y_train, np.arange(6))
    train, test = (read_idx(folder / images) for images, _ in FILES.values())
    naive = np.array(
        [[train[:, 2 * i : 2 * i + 2, 2 * j : 2 * j + 2].mean((1, 2)) for j in range(14)] for i in range(14)]
    )
    naive = naive.transpose(2, 0, 1)
    np.testing.assert_allclose(data.x_train[:, 0], (naive - naive.mean()) / naive.std(), atol=1e-5)
    first = test[0, :2, :2].mean()
    assert data.x_test[0, 0, 0, 0] == pytest.approx((first - naive.mean()) / naive.std(), abs=1e-5)


def test_a_missing_file_says_how_to_get_it(folder):
    name = FILES["test"][1]
    (folder / name).unlink()
    with pytest.raises(InputError, match=rf"{name}, which is not there.*apt-get install dataset-fashion-mnist"):
        load()


def test_images_and_labels_must_belong_together(folder):
    write_idx(folder / FILES["train"][1], np.arange(5))
    with pytest.raises(InputError, match=r"\(6, 28, 28\) and \(5,\) came"):
        load()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"not gzip", "must be a readable gzip file"),
        (gzip.compress(b"\0\0\x08\x01\0\0\0\x02ab")[:-3], "must be a readable gzip file"),
        (gzip.compress(b"\0\0\x0d\x01\0\0\0\x02ab"), "00 00 08 of unsigned bytes and its sizes; 00 00 0d and 7 more"),
        (gzip.compress(b""), "nothing and 0 more bytes came"),
        (gzip.compress(b"\0\0\x08\x03\0\0\0\x02ab"), "00 00 08 and 7 more bytes came"),
        (gzip.compress(b"\0\0\x08\x01\0\0\0\x03ab"), r"hold 3 values of shape \(3,\); 2 came"),
    ],
    ids=["no gzip", "cut off", "floats", "empty", "no sizes", "a value missing"],
)
def test_broken_files_are_named(tmp_path, content, message):
    path = tmp_path / "broken.gz"
    path.write_bytes(content)
    with pytest.raises(InputError, match=message):
        read_idx(path)
