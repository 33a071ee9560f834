"""Folders of images by class: what is read, and what is refused."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from PIL import Image

from effbatch.core.errors import InputError
from effbatch.data import datasets
from effbatch.data.sources import folder


@pytest.fixture
def pictures(tmp_path):
    """Two classes, two training images and one test image each, every pixel of an image alike."""
    for value, (half, name, number) in enumerate(
        [(h, c, n) for h, ns in (("train", (1, 2)), ("test", (3,))) for c in ("dog", "cat") for n in ns]
    ):
        place = tmp_path / half / name
        place.mkdir(parents=True, exist_ok=True)
        Image.new("L", (5, 4), 10 * value).save(place / f"{number}.png")
    (tmp_path / "train" / "cat" / "notes.txt").write_text("not an image")
    return tmp_path


def test_classes_are_numbered_by_name_and_pixels_kept(pictures):
    data = folder.load(str(pictures))
    assert (data.class_names, data.image_shape) == (("cat", "dog"), (1, 4, 5))
    raw = np.array([20, 30, 0, 10]) / 255  # cat before dog
    np.testing.assert_allclose(data.x_train[:, 0, 0, 0], (raw - raw.mean()) / raw.std(), atol=1e-5)
    np.testing.assert_allclose(data.x_test[:, 0, 0, 0], (np.array([50, 40]) / 255 - raw.mean()) / raw.std(), atol=1e-5)
    assert (data.y_train.tolist(), data.y_test.tolist()) == ([0, 0, 1, 1], [0, 1])
    assert data.read_as == "images 1×4×5, standardised"


def test_a_coloured_image_makes_all_coloured(pictures):
    grey = folder.load(str(pictures)).x_train
    Image.new("RGB", (5, 4), (1, 2, 3)).save(pictures / "test" / "dog" / "4.png")
    data = folder.load(str(pictures))
    np.testing.assert_allclose(data.x_train, np.repeat(grey, 3, axis=1), atol=1e-6)
    assert len(set(data.x_test[-1, :, 0, 0].tolist())) == 3


def test_a_folder_around_the_halves_and_capitals_do_not_matter(pictures, tmp_path):
    plain = folder.load(str(pictures))
    inner = tmp_path / "around" / "as it unpacks"
    inner.mkdir(parents=True)
    (tmp_path / "around" / "__MACOSX").mkdir()
    (pictures / "train").rename(inner / "Training")
    (pictures / "test").rename(inner / "Valid")
    assert folder.load(str(tmp_path / "around")).fingerprint == plain.fingerprint


def test_a_folder_is_a_data_set_until_it_changes(pictures):
    data = datasets.load(str(pictures))
    assert (data.num_classes, data.image_shape, len(data.x_test)) == (2, (1, 4, 5), 2)
    assert datasets.load(str(pictures)) is data
    Image.new("L", (5, 4), 99).save(pictures / "test" / "cat" / "9.png")
    assert len(datasets.load(str(pictures)).x_test) == 3


def test_a_built_in_name_wins_over_a_folder(pictures, monkeypatch):
    monkeypatch.chdir(pictures)
    (pictures / "digits").mkdir()
    assert len(datasets.load("digits").x_train) > 1000
    with pytest.raises(InputError, match="needs one folder of images per class, at least 2, got 0"):
        datasets.load("./digits")


def test_what_cannot_be_used_is_named(pictures, monkeypatch):
    (pictures / "test" / "bird").mkdir()
    with pytest.raises(InputError, match=r"\(cat, dog\), got bird too"):
        folder.load(str(pictures))
    (pictures / "test" / "bird").rmdir()
    Image.new("L", (6, 4)).save(pictures / "train" / "dog" / "8.png")
    with pytest.raises(InputError, match=r"row 0 of .*train is 4×5, row 4 is 4×6"):
        folder.load(str(pictures))
    (pictures / "train" / "dog" / "8.png").write_bytes(b"no image")
    with pytest.raises(InputError, match=r"8\.png needs to be an image that Pillow reads"):
        folder.load(str(pictures))
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(InputError, match=r"needs Pillow .* pip install pillow"):
        folder.load(str(pictures))
