"""The same data in every dress are the same data set; what could mean two things is asked about."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset

from effbatch.core.errors import InputError
from effbatch.data.datasets import as_dataset

RNG = np.random.default_rng(5)
X = RNG.integers(0, 256, (30, 6, 7)) / 255.0  # grey images, as bytes can hold them
Y = np.arange(30) % 3
WORDS = np.array(["ape", "bee", "cow"])
TRAIN, TEST = slice(0, 20), slice(20, 30)

LABELS = {
    "integers": lambda y: y,
    "from one": lambda y: y + 1,
    "with a gap": lambda y: np.where(y == 2, 20, y),
    "unsigned": lambda y: y.astype(np.uint8),
    "column": lambda y: y[:, None],
    "one-hot": lambda y: np.eye(3)[y],
    "one-hot booleans": lambda y: np.eye(3, dtype=bool)[y],
    "words": lambda y: WORDS[y],
    "byte strings": lambda y: WORDS[y].astype("S"),
    "objects": lambda y: WORDS[y].astype(object),
    "whole floats": lambda y: y.astype(float),
    "list": lambda y: y.tolist(),
    "Series": lambda y: pd.Series(WORDS[y], index=np.arange(len(y))[::-1]),
    "tensor": torch.as_tensor,
}
IMAGES = {
    "channels first": lambda x: x[:, None],
    "no channel": lambda x: x,
    "bytes": lambda x: np.round(255 * x).astype(np.uint8),
    "bytes as integers": lambda x: np.round(255 * x).astype(np.int64),
    "single precision": lambda x: x.astype(np.float32),
    "tensor": lambda x: torch.as_tensor(x[:, None]),
}
HOLDERS = {
    "four arrays": lambda x, y, u, v: (x, y, u, v),
    "two pairs": lambda x, y, u, v: ((x, y), (u, v)),
    "mapping": lambda x, y, u, v: {"x_train": x, "y_train": y, "x_test": u, "y_test": v},
    "mapping of halves": lambda x, y, u, v: {"train": (x, y), "test": (u, v)},
}


@given(st.sampled_from(sorted(LABELS)), st.sampled_from(sorted(IMAGES)), st.sampled_from(sorted(HOLDERS)))
def test_every_dress_is_the_same_data_set(labels, images, holder):
    label, image = LABELS[labels], IMAGES[images]
    data = as_dataset(HOLDERS[holder](image(X[TRAIN]), label(Y[TRAIN]), image(X[TEST]), label(Y[TEST])))
    np.testing.assert_allclose(data.x_train, X[TRAIN, None], atol=1e-6)
    np.testing.assert_allclose(data.x_test, X[TEST, None], atol=1e-6)
    assert data.y_train.tolist() == Y[TRAIN].tolist()
    assert data.y_test.tolist() == Y[TEST].tolist()
    assert data.num_classes == 3
    assert data.x_train.dtype == np.float32


class Pictures(Dataset):
    def __len__(self) -> int:
        return len(X)

    def __getitem__(self, i: int) -> dict:
        return {"image": X[i], "label": int(Y[i])}


class Stream(IterableDataset):
    def __iter__(self):
        return iter(zip(X, Y, strict=True))


@pytest.mark.parametrize(
    "data",
    [
        (X, Y),
        {"x": X, "y": Y},
        TensorDataset(torch.as_tensor(X), torch.as_tensor(Y)),
        DataLoader(TensorDataset(torch.as_tensor(X), torch.as_tensor(Y)), batch_size=7, shuffle=True),
        Pictures(),
        Stream(),
    ],
    ids=["pair", "mapping", "TensorDataset", "DataLoader", "Dataset of mappings", "IterableDataset"],
)
def test_without_a_test_set_a_fifth_of_every_class_is_drawn(data):
    read = as_dataset(data)
    assert (len(read.x_train), len(read.x_test)) == (24, 6)
    assert np.bincount(read.y_test).tolist() == [2, 2, 2]
    assert read.in_words == (
        "24 to train on, 6 to test, grey images 6×7, a fifth of every class drawn for testing; 3 classes"
    )
    both = np.concatenate([read.x_train, read.x_test])
    assert sorted(both.sum((1, 2, 3)).tolist()) == sorted(X.astype(np.float32)[:, None].sum((1, 2, 3)).tolist())
    assert as_dataset(data).fingerprint == read.fingerprint


def test_two_torch_datasets_are_two_halves():
    train, test = (TensorDataset(torch.as_tensor(X[part]), torch.as_tensor(Y[part])) for part in (TRAIN, TEST))
    assert as_dataset((train, test)).fingerprint == as_dataset((X[TRAIN], Y[TRAIN], X[TEST], Y[TEST])).fingerprint


def test_channels_last_move_to_the_front():
    colour = RNG.random((20, 8, 9, 3))
    data = as_dataset((colour, Y[:20]))
    assert data.image_shape == (3, 8, 9)
    assert "channels moved from last to first" in data.in_words
    assert as_dataset((colour.transpose(0, 3, 1, 2), Y[:20])).fingerprint == data.fingerprint


@pytest.mark.parametrize(("channels", "shape"), [("first", (3, 4, 2)), ("last", (2, 3, 4))])
def test_a_shape_that_may_be_read_both_ways_is_asked_about(channels, shape):
    tiny = RNG.random((20, 3, 4, 2))
    with pytest.raises(InputError, match="3 channels first or their 2 last: say which with channels"):
        as_dataset((tiny, Y[:20]))
    assert as_dataset((tiny, Y[:20]), channels=channels).image_shape == shape


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        ((RNG.integers(0, 50, (20, 9)), Y[:20]), "may be features or tokens: give features as floating numbers"),
        ((RNG.random((20, 9)), Y[:20] - 1), "hold -1 beside 0 to 1, a class or the mark of a missing label"),
        ((RNG.random((20, 9)), Y[:20] + 0.5), "needs whole numbers or words, got fractions or NaN"),
        ((RNG.random((20, 9)), RNG.random((20, 3))), "numbers that are not one-hot"),
        ((X * 1000).astype(int)[:20] - 1, "data needs to be a name or path"),
        (((X[:20] * 1000).astype(int), Y[:20]), "need to be bytes from 0 to 255, got"),
        ((RNG.random((20, 2, 2, 2, 2)), Y[:20]), r"\(n, H, W, C\), got \(20, 2, 2, 2, 2\)"),
        ({"x": X, "y": Y, "images": X, "labels": Y}, "holds x, y and images, labels: keep one pair"),
        ({"pixels": X, "y": Y}, "needs the arrays x_train, .* it has pixels, y"),
        ([(X[0], 1, 2)], "data needs to be a name or path"),
        ((X[:20], np.array(["a", None] * 10, dtype=object)), "needs numbers or words throughout, got None among them"),
        (((X[:20], Y[:20]), (X[20:], WORDS[Y[20:]])), "need one type in both halves, got int64 and <U3"),
    ],
)
def test_what_is_not_clear_is_named_with_what_decides(data, sentence):
    with pytest.raises(InputError, match=sentence) as error:
        as_dataset(data)
    assert "\n" not in str(error.value)


TABLE = pd.DataFrame({"a": X[:, 0, 0], "b": X[:, 1, 1], "species": WORDS[Y]})


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("plain.csv", {"index": False}),
        ("with_index.csv", {}),
        ("semicolons.csv", {"index": False, "sep": ";", "decimal": ","}),
        ("tabs.tsv", {"index": False, "sep": "\t"}),
        ("bom.csv", {"index": False, "encoding": "utf-8-sig"}),
        ("quoted.csv", {"index": False, "quoting": 2}),
    ],
)
def test_a_table_is_read_however_it_was_written(tmp_path, name, options):
    path = tmp_path / name
    TABLE.to_csv(path, **options)
    data = as_dataset(path, label="species")
    np.testing.assert_allclose(data.x_train, as_dataset(TABLE, label="species").x_train)
    assert (data.class_names, data.image_shape) == (("ape", "bee", "cow"), (2,))
    assert as_dataset(f"{path}:species").fingerprint == data.fingerprint


def test_the_column_of_labels_is_found_by_its_name_or_asked_for(tmp_path):
    path = tmp_path / "t.csv"
    TABLE.rename(columns={"species": "Label"}).to_csv(path, index=False)
    assert as_dataset(path).num_classes == 3
    TABLE.to_csv(path, index=False)
    with pytest.raises(InputError, match=r"none is called label, target, class or y .* t.csv:COLUMN"):
        as_dataset(path)
    with pytest.raises(InputError, match=r"has no column 'specie'; .*species"):
        as_dataset(path, label="specie")
    TABLE.assign(label=Y, y=Y).to_csv(path, index=False)
    with pytest.raises(InputError, match="'label', 'y' may all be the labels"):
        as_dataset(path)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"c": "word"}, "every feature .* needs to be a number, got words in 'c'"),
        ({"c": np.where(Y == 1, np.nan, 1.0)}, "needs a value in every cell, got empty ones in 'c'"),
        ({"split": "train"}, "the column split .* needs train and test, got train"),
    ],
)
def test_tables_that_cannot_be_used(change, sentence):
    with pytest.raises(InputError, match=sentence):
        as_dataset(TABLE.assign(**change), label="species")


def test_a_column_says_which_rows_are_for_testing():
    split = np.where(np.arange(30) < 20, "train", "test")
    data = as_dataset(TABLE.assign(split=split), label="species")
    assert (len(data.x_train), len(data.x_test)) == (20, 10)


def test_two_npy_files_are_examples_and_labels(tmp_path):
    np.save(tmp_path / "x.npy", X)
    np.save(tmp_path / "y.npy", Y)
    data = as_dataset(f"{tmp_path / 'x.npy'}:{tmp_path / 'y.npy'}")
    assert data.fingerprint == as_dataset((X, Y)).fingerprint
    with pytest.raises(InputError, match="needs a file of labels beside it"):
        as_dataset(tmp_path / "x.npy")


def test_a_folder_of_classes_alone_or_with_val_in_place_of_test(tmp_path):
    image = pytest.importorskip("PIL.Image")
    for i, y in enumerate(Y):
        folder = tmp_path / "train" / WORDS[y] / "deeper"
        folder.mkdir(parents=True, exist_ok=True)
        image.fromarray(np.round(255 * X[i]).astype(np.uint8)).save(folder / f"{i}.png")
        (folder / f"._{i}.png").write_bytes(b"left behind by another system")
    data = as_dataset(tmp_path / "train")
    assert (len(data.x_train), len(data.x_test), data.class_names) == (24, 6, ("ape", "bee", "cow"))
    assert as_dataset(tmp_path).fingerprint == data.fingerprint
    (tmp_path / "train").rename(tmp_path / "val")
    with pytest.raises(InputError, match="needs a folder train beside val"):
        as_dataset(tmp_path)


def test_the_digits_in_the_dress_of_kerass_mnist_are_the_digits(tmp_path):
    file = io.BytesIO()
    square = np.round(255 * X).astype(np.uint8)
    np.savez(file, x_train=square[TRAIN], y_train=Y[TRAIN].astype(np.uint8), x_test=square[TEST], y_test=Y[TEST])
    path = Path(tmp_path / "mnist.npz")
    path.write_bytes(file.getvalue())
    assert as_dataset(path).in_words == "20 to train on, 10 to test, grey images 6×7, bytes divided by 255; 3 classes"
