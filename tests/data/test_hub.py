"""The hub reader on a stand-in for Hugging Face's library, and on the library itself where it is installed."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from effbatch.core.errors import InputError
from effbatch.data import datasets
from effbatch.data.builtin import cifar100, mnist
from effbatch.data.sources import VARIABLE, hub
from effbatch.data.sources import pictures as pictures_source

RNG = np.random.default_rng(0)
GREY = RNG.integers(256, size=(9, 5, 4), dtype=np.uint8)
COLOUR = RNG.integers(256, size=(9, 5, 4, 3), dtype=np.uint8)
LABELS = np.arange(9) % 3


class ImageFeature:
    pass


@dataclass
class ClassLabel:
    num_classes: int


@dataclass
class Split:
    """Rows of a stand-in split; only the columns asked for are given."""

    features: dict
    rows: list[dict]

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[dict]:
        return iter(self.rows)

    def cast_column(self, name: str, feature: object) -> Split:
        return self

    def select_columns(self, names: list[str]) -> Split:
        return Split(self.features, [{name: row[name] for name in names} for row in self.rows])


def split(pictures, labels, **more: object) -> Split:
    """Columns picture and digit, and those in `more`: name = feature (its values are the labels again)."""
    features = {"picture": ImageFeature(), "digit": ClassLabel(3), **more}
    rows = [
        {"picture": picture, "digit": label, **dict.fromkeys(more, label)}
        for picture, label in zip(pictures, labels, strict=True)
    ]
    return Split(features, rows)


def pictures(array: np.ndarray) -> list[Image.Image]:
    return [Image.fromarray(image) for image in array]


@pytest.fixture
def library(monkeypatch):
    """A stand-in library: `library.splits` is what load_dataset returns, `library.asked` what it was asked."""
    fake = SimpleNamespace(Image=ImageFeature, ClassLabel=ClassLabel, asked=None, splits={})

    def load_dataset(path, config):
        fake.asked = (path, config)
        if isinstance(fake.splits, Exception):
            raise fake.splits
        return fake.splits

    fake.load_dataset = load_dataset
    monkeypatch.setitem(sys.modules, "datasets", fake)
    monkeypatch.setattr(hub, "is_usable", lambda: True)
    return fake


def test_grey_images_keep_one_channel(library):
    library.splits = {"train": split(pictures(GREY[:6]), LABELS[:6]), "test": split(pictures(GREY[6:]), LABELS[6:])}
    data = datasets.read("hub:someone/digits:small")
    assert library.asked == ("someone/digits", "small")
    raw = GREY[:6, None] / 255
    np.testing.assert_allclose(data.x_train, (raw - raw.mean()) / raw.std(), atol=1e-5)
    np.testing.assert_array_equal(data.y_test, LABELS[6:])
    assert (data.image_shape, data.num_classes, data.name) == ((1, 5, 4), 3, "hub:someone/digits:small")


def test_colour_anywhere_makes_every_image_rgb(library):
    library.splits = {
        "train": split(pictures(GREY[:6]), LABELS[:6]),
        "test": split([Image.fromarray(COLOUR[0]).convert("RGBA"), *pictures(COLOUR[1:3])], LABELS[6:]),
    }
    train, test, _ = hub.read("hub:mixed")
    assert library.asked == ("mixed", None)
    np.testing.assert_array_equal(train.images, np.repeat(GREY[:6, None], 3, axis=1))
    np.testing.assert_array_equal(test.images, COLOUR[:3].transpose(0, 3, 1, 2))


def good(**change: object) -> dict[str, Split]:
    splits = {"train": split(pictures(GREY[:6]), LABELS[:6]), "test": split(pictures(GREY[6:]), LABELS[6:])}
    return {name: value for name, value in {**splits, **change}.items() if value is not None}


CASES = {
    "unreachable": (ConnectionError("no route\nat all"), "raised ConnectionError: no route$"),
    "no test split": (good(test=None), "needs the splits train and test; it has train: split it yourself"),
    "two kinds of label": (
        good(train=split(pictures(GREY[:6]), LABELS[:6], group=ClassLabel(2))),
        "exactly one column of the type ClassLabel, got digit, group among picture, digit, group",
    ),
    "no images": (
        good(train=Split({"digit": ClassLabel(3)}, [])),
        "exactly one column of the type ImageFeature, got none",
    ),
    "sizes": (
        good(train=split([*pictures(GREY[:5]), Image.fromarray(GREY[5].T.copy())], LABELS[:6])),
        "row 0 of the train split of hub:x is 5×4, row 5 is 4×5: resize them",
    ),
    "sizes of the halves": (good(test=split(pictures(GREY[6:, 1:]), LABELS[6:])), r"\(1, 5, 4\) and \(1, 4, 4\): "),
    "sixteen bits": (
        good(test=split(pictures(GREY[6:].astype(np.uint16)), LABELS[6:])),
        "row 0 of the test split of hub:x has I;16: convert it",
    ),
    "empty test set": (good(test=split([], [])), "the test split of hub:x needs at least one image"),
    "no label": (good(test=split(pictures(GREY[6:]), [0, None, 1])), "row 1 of the test split of hub:x lacks one"),
    "hidden labels": (good(test=split(pictures(GREY[6:]), [-1] * 3)), r"must lie in 0\.\.2, got -1\.\.-1"),
    "one class": (good(train=split(pictures(GREY[:6]), [1] * 6)), "at least 2 classes; all are of class 1"),
}


@pytest.mark.parametrize(("splits", "message"), CASES.values(), ids=CASES)
def test_what_cannot_be_used_is_one_sentence(library, splits, message):
    library.splits = splits
    with pytest.raises(InputError, match=message) as error:
        datasets.read("hub:x")
    assert "\n" not in str(error.value)


def test_a_data_set_too_large_for_the_memory_is_refused_at_its_first_image(library, monkeypatch):
    monkeypatch.setattr(pictures_source, "MAX_PIXELS", 100)
    library.splits = good()
    with pytest.raises(InputError, match=r"at most 100 values can be used; the train split of hub:x has 6 images of"):
        hub.read("hub:x")


def test_a_broken_image_is_named(library):
    class Broken(Split):
        def __iter__(self):
            yield from self.rows[:1]
            raise OSError("image file is truncated")

        def select_columns(self, names):
            return self

    library.splits = good(test=Broken(good()["test"].features, good()["test"].rows))
    with pytest.raises(InputError, match=r"test split of hub:x .* raised OSError: image file is truncated"):
        hub.read("hub:x")


@pytest.mark.parametrize(("installed", "usable"), [("3.6.0", False), ("4.0.0", True), ("10.1", True)])
def test_a_version_that_runs_code_of_data_sets_is_not_used(monkeypatch, installed, usable):
    monkeypatch.setattr(hub, "version", lambda name: installed)
    assert hub.is_usable() is usable


def test_without_the_library_it_says_how_to_install_it(monkeypatch, tmp_path):
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    monkeypatch.setattr(hub, "is_usable", lambda: False)
    with pytest.raises(InputError, match=r"hub:x needs .* pip install 'effbatch\[hub\]'"):
        datasets.load("hub:x")
    with pytest.raises(InputError, match=rf"{tmp_path}/mnist is not there: put the four .* pip install"):
        datasets.load("mnist")


def test_what_is_not_in_the_data_directory_comes_from_the_hub(library, monkeypatch, tmp_path):
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    library.splits = good()
    assert mnist.load().source.endswith("from hub:ylecun/mnist")
    assert library.asked == ("ylecun/mnist", None)
    assert not datasets.is_here("mnist")  # nothing is fetched to find out
    fine, coarse = ClassLabel(100), ClassLabel(20)
    library.splits = {
        name: split(pictures(COLOUR[:3]), LABELS[:3], fine_label=fine, coarse_label=coarse) for name in good()
    }
    np.testing.assert_array_equal(cifar100.load().y_train, LABELS[:3])


def test_the_library_itself_reads_a_folder_of_images(tmp_path, monkeypatch):
    hugging_face = pytest.importorskip("datasets")
    monkeypatch.setattr(hugging_face.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    for number, image in enumerate(COLOUR):
        folder = tmp_path / "images" / ("train" if number < 6 else "test") / f"kind{LABELS[number]}"
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(folder / f"{number}.png")
    train, test, num_classes = hub.read(f"hub:{tmp_path / 'images'}")
    assert num_classes == 3
    kept_encoded = hugging_face.load_dataset(str(tmp_path / "images")).cast_column(
        "image", hugging_face.Image(decode=False)
    )
    (tmp_path / "parquet").mkdir()
    for name in ("train", "test"):
        kept_encoded[name].to_parquet(tmp_path / "parquet" / f"{name}.parquet")
    np.testing.assert_array_equal(hub.read(f"hub:{tmp_path / 'parquet'}")[1].images, test.images)
    for half, part in ((train, slice(0, 6)), (test, slice(6, 9))):
        wanted = {
            (image.transpose(2, 0, 1).tobytes(), label) for image, label in zip(COLOUR[part], LABELS[part], strict=True)
        }
        assert {(image.tobytes(), label) for image, label in zip(half.images, half.labels, strict=True)} == wanted
    with pytest.raises(InputError, match=r"hub:/no/such/folder needs to be .* loading it raised \w+Error"):
        hub.read("hub:/no/such/folder")
