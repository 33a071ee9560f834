"""The hub reader on a stand-in for Hugging Face's library, and on the library itself where it is installed."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from effbatch.core.errors import InputError
from effbatch.data import datasets
from effbatch.data.builtin import cifar100, mnist
from effbatch.data.reading import Reading
from effbatch.data.sources import VARIABLE, hub
from effbatch.data.sources import pictures as pictures_source

RNG = np.random.default_rng(0)
GREY = RNG.integers(256, size=(9, 5, 4), dtype=np.uint8)
COLOUR = RNG.integers(256, size=(9, 5, 4, 3), dtype=np.uint8)
LABELS = np.arange(9) % 3


class ImageFeature:
    pass


class ListFeature:
    pass


@dataclass
class ClassLabel:
    num_classes: int

    @property
    def names(self) -> list[str]:
        return [f"kind{c}" for c in range(self.num_classes)]


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

    def __getitem__(self, column: str) -> list:
        return [row[column] for row in self.rows]

    def to_pandas(self) -> pd.DataFrame:
        return pd.DataFrame(self.rows, columns=[*self.features])

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
    fake = SimpleNamespace(
        Image=ImageFeature, ClassLabel=ClassLabel, **dict.fromkeys(hub.LISTS, ListFeature), asked=None, splits={}
    )

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
    data = hub.load("hub:mixed")
    assert library.asked == ("mixed", None)
    raw = np.repeat(GREY[:6, None], 3, axis=1) / 255
    np.testing.assert_allclose(data.x_train, (raw - raw.mean()) / raw.std(), atol=1e-5)
    np.testing.assert_allclose(
        data.x_test, (COLOUR[:3].transpose(0, 3, 1, 2) / 255 - raw.mean()) / raw.std(), atol=1e-5
    )


def good(**change: object) -> dict[str, Split]:
    splits = {"train": split(pictures(GREY[:6]), LABELS[:6]), "test": split(pictures(GREY[6:]), LABELS[6:])}
    return {name: value for name, value in {**splits, **change}.items() if value is not None}


CASES = {
    "unreachable": (ConnectionError("no route\nat all"), "raised ConnectionError: no route: check the name"),
    "no train split": (good(train=None, more=split([], [])), "needs a split train, got test, more: put what you"),
    "too few to draw from": (good(test=None), "needs a test set, or 5 images of some class to draw one from"),
    "two kinds of label": (
        good(train=split(pictures(GREY[:6]), LABELS[:6], group=ClassLabel(2))),
        "digit, group of hub:x may all be the labels: say which with --label COLUMN",
    ),
    "no images": (
        good(train=Split({"digit": ClassLabel(3)}, [])),
        "needs columns of features beside 'digit', got none",
    ),
    "two images": (
        good(train=split(pictures(GREY[:6]), LABELS[:6], other=ImageFeature())),
        "needs one column of inputs, got picture, other: put those that you mean",
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
        hub.load("hub:x")


def test_a_broken_image_is_named(library):
    class Broken(Split):
        def __iter__(self):
            yield from self.rows[:1]
            raise OSError("image file is truncated")

        def select_columns(self, names):
            return self

    library.splits = good(test=Broken(good()["test"].features, good()["test"].rows))
    with pytest.raises(InputError, match=r"test split of hub:x .* raised OSError: image file is truncated"):
        hub.load("hub:x")


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


WORDS = np.array(["ape", "bee", "cow"])


def plain(**columns: object) -> Split:
    """A split of 30 rows without images or class labels: columns of lists, numbers and words."""
    rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    features = {name: ListFeature() if np.ndim(column[0]) else object() for name, column in columns.items()}
    return Split(features, rows)


def test_labels_may_be_words_and_a_missing_test_split_is_drawn(library):
    many = np.tile(GREY[:3], (10, 1, 1))
    named = [{"image": image, "animal": WORDS[i % 3]} for i, image in enumerate(pictures(many))]
    library.splits = {"train": Split({"image": ImageFeature(), "animal": object()}, named)}
    data = datasets.load("hub:animals", Reading(label="animal"))
    assert data.class_names == ("ape", "bee", "cow")
    assert data.in_words.startswith("24 to train on, 6 to test, images 1×5×4, standardised, a fifth of every class")
    with pytest.raises(InputError, match=r"none is called label.*--label COLUMN"):
        datasets.load("hub:animals")


def test_arrays_tokens_and_tables_are_read_as_everywhere(library):
    colour, y = np.tile(COLOUR[:3], (10, 1, 1, 1)), np.arange(30) % 3
    library.splits = {"train": plain(picture=colour.tolist(), label=(y + 1).tolist())}
    data = datasets.load("hub:arrays")
    assert (data.image_shape, data.class_names) == ((3, 5, 4), ("1", "2", "3"))
    assert "channels moved from last to first, bytes divided by 255" in data.in_words
    words = {"words": colour[:, 0, 0].tolist(), "label": WORDS[y]}
    library.splits = {"train": plain(**words), "validation": plain(**words)}
    with pytest.raises(InputError, match="may be features or tokens"):
        datasets.load("hub:text")
    assert datasets.load("hub:text", Reading(tokens=True)).x_test.dtype == np.int64
    library.splits = {"only": plain(height=RNG.random(30), width=RNG.random(30), target=WORDS[y])}
    assert "2 features, numbers from 0" in datasets.load("hub:table").in_words


def test_the_library_itself_reads_folders(tmp_path, monkeypatch):
    hugging_face = pytest.importorskip("datasets")
    monkeypatch.setattr(hugging_face.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    for number, image in enumerate(COLOUR):
        folder = tmp_path / "images" / ("train" if number < 6 else "test") / f"kind{LABELS[number]}"
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(folder / f"{number}.png")
    data, same = datasets.load(f"hub:{tmp_path / 'images'}"), datasets.load(str(tmp_path / "images"))
    assert (data.num_classes, data.class_names) == (3, same.class_names)
    for ours, theirs in ((data.x_train, same.x_train), (data.x_test, same.x_test)):
        assert sorted(x.tobytes() for x in ours) == sorted(x.tobytes() for x in theirs)
    kept_encoded = hugging_face.load_dataset(str(tmp_path / "images")).cast_column(
        "image", hugging_face.Image(decode=False)
    )
    (tmp_path / "parquet").mkdir()
    for name in ("train", "test"):
        kept_encoded[name].to_parquet(tmp_path / "parquet" / f"{name}.parquet")
    assert datasets.load(f"hub:{tmp_path / 'parquet'}").fingerprint == data.fingerprint
    (tmp_path / "arrays").mkdir()
    lines = [json.dumps({"pixels": COLOUR[i % 3].tolist(), "label": WORDS[i % 3]}) for i in range(30)]
    (tmp_path / "arrays" / "train.jsonl").write_text("\n".join(lines))
    read = datasets.load(f"hub:{tmp_path / 'arrays'}")
    assert (read.image_shape, read.class_names) == ((3, 5, 4), ("ape", "bee", "cow"))
    (tmp_path / "table").mkdir()
    rows = [f"{i},{i % 5},{WORDS[i % 3]}" for i in range(30)]
    (tmp_path / "table" / "data.csv").write_text("\n".join(["a,b,label", *rows]))
    assert datasets.load(f"hub:{tmp_path / 'table'}").in_words.startswith("24 to train on, 6 to test, 2 features")
    with pytest.raises(InputError, match=r"hub:/no/such/folder needs to be .* loading it raised \w+Error"):
        hub.load("hub:/no/such/folder")
