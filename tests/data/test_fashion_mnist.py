"""Fashion-MNIST and its pooled form: found in the right place, and only as published."""

from __future__ import annotations

import numpy as np
import pytest
from test_idx import write_half

from effbatch.core.errors import InputError
from effbatch.data import datasets
from effbatch.data.builtin import fashion_mnist, fashion_mnist_14
from effbatch.data.dataset import checked, fingerprint
from effbatch.data.sources import VARIABLE, idx


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A data directory's own fashion-mnist with few images, taken for the published ones."""
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    folder = tmp_path / "fashion-mnist"
    rng = np.random.default_rng(0)
    for half, n in (("train", 6), ("test", 3)):
        write_half(folder, half, rng.integers(256, size=(n, 28, 28)), np.arange(n))
    train, test = idx.read(folder)
    monkeypatch.setattr(fashion_mnist, "FINGERPRINT", fingerprint(*train, *test))
    return folder


def test_four_pixels_become_their_mean(folder):
    data = checked(fashion_mnist_14.load())
    assert (data.x_train.shape, data.x_test.shape) == ((6, 1, 14, 14), (3, 1, 14, 14))
    np.testing.assert_array_equal(data.y_train, np.arange(6))
    train, test = (half.images[:, 0] for half in idx.read(folder))
    naive = np.array(
        [[train[:, 2 * i : 2 * i + 2, 2 * j : 2 * j + 2].mean((1, 2)) for j in range(14)] for i in range(14)]
    )
    naive = naive.transpose(2, 0, 1)
    np.testing.assert_allclose(data.x_train[:, 0], (naive - naive.mean()) / naive.std(), atol=1e-5)
    first = test[0, :2, :2].mean()
    assert data.x_test[0, 0, 0, 0] == pytest.approx((first - naive.mean()) / naive.std(), abs=1e-5)


def test_the_full_images_carry_the_fingerprint_of_the_files(folder):
    data = checked(fashion_mnist.load())
    assert data.image_shape == (1, 28, 28)
    assert data.fingerprint == fashion_mnist.FINGERPRINT
    assert str(folder) in data.source


def test_one_changed_pixel_is_not_fashion_mnist(folder):
    train, _ = idx.read(folder)
    images = train.images[:, 0].copy()
    images[0, 0, 0] ^= 1
    write_half(folder, "train", images, train.labels)
    for name in ("fashion-mnist", "fashion-mnist-14"):
        with pytest.raises(InputError, match="as published; its content is another"):
            datasets.load(name)


def test_without_a_folder_of_its_own_the_system_is_asked(tmp_path, monkeypatch):
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    monkeypatch.setattr(fashion_mnist, "SYSTEM", tmp_path / "system")
    with pytest.raises(InputError, match=rf"apt-get install dataset-fashion-mnist.* into {tmp_path}/fashion-mnist"):
        fashion_mnist.where()
    (tmp_path / "system").mkdir()
    assert fashion_mnist.where() == str(tmp_path / "system")
    (tmp_path / "fashion-mnist").mkdir()
    assert fashion_mnist.where() == str(tmp_path / "fashion-mnist")


@pytest.mark.skipif(not fashion_mnist.SYSTEM.is_dir(), reason="the system package dataset-fashion-mnist is not here")
def test_the_system_package_is_as_published(tmp_path, monkeypatch):
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    data = datasets.read("fashion-mnist")
    assert data.size == fashion_mnist.SIZE
    assert (np.bincount(data.y_train) == 6000).all()
