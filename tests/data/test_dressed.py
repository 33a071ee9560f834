"""The same data in every dress are the same data set; what could mean two things is asked about."""

from __future__ import annotations

import io
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from scipy import sparse
from torch.utils.data import (
    DataLoader,
    Dataset,
    IterableDataset,
    SubsetRandomSampler,
    TensorDataset,
    WeightedRandomSampler,
)

from effbatch.core.errors import InputError
from effbatch.data.classes import majority_share
from effbatch.data.datasets import as_dataset
from effbatch.data.split import stratified

RNG = np.random.default_rng(5)
X = RNG.integers(0, 256, (30, 6, 7)) / 255.0  # grey images, as bytes can hold them
X[0, 0, :2] = 0, 1
Y = np.arange(30) % 3
WORDS = np.array(["ape", "bee", "cow"])
TRAIN, TEST = slice(0, 20), slice(20, 30)

LABELS = {
    "integers": lambda y: y,
    "from one": lambda y: y + 1,
    "with a gap": lambda y: np.where(y == 2, 20, y),
    "negative": lambda y: np.where(y == 0, -7, y),
    "unsigned": lambda y: y.astype(np.uint8),
    "column": lambda y: y[:, None],
    "one-hot": lambda y: np.eye(3)[y],
    "one-hot booleans": lambda y: np.eye(3, dtype=bool)[y],
    "words": lambda y: WORDS[y],
    "byte strings": lambda y: WORDS[y].astype("S"),
    "objects": lambda y: WORDS[y].astype(object),
    "categories": lambda y: pd.Categorical(WORDS[y]),
    "whole floats": lambda y: y.astype(float),
    "list": lambda y: y.tolist(),
    "list of words": lambda y: WORDS[y].tolist(),
    "Series": lambda y: pd.Series(WORDS[y], index=100 + np.arange(len(y))[::-1]),
    "padded words": lambda y: [f" {word}" if i % 2 else f"{word} " for i, word in enumerate(WORDS[y])],
    "masked array without a mask": lambda y: np.ma.array(y, mask=False),
    "half precision": lambda y: y.astype(np.float16),
    "tensor": torch.as_tensor,
    "narrow tensor": lambda y: torch.as_tensor(y, dtype=torch.int8),
}
SHAPES = {  # what the arrays of INPUTS have to become
    "images": lambda x: x[:, None],
    "colour": lambda x: np.stack([x, 1 - x, x], 1),
    "features": lambda x: x.reshape(len(x), -1),
}
BYTES = lambda x: np.round(255 * x)  # noqa: E731
INPUTS = {
    "channels first": ("images", lambda x: x[:, None]),
    "channels last": ("images", lambda x: x[..., None]),
    "no channel": ("images", lambda x: x),
    "bytes": ("images", lambda x: BYTES(x).astype(np.uint8)),
    "bytes as integers": ("images", lambda x: BYTES(x).astype(np.int64)),
    "bytes as short integers": ("images", lambda x: BYTES(x).astype(np.int16)[..., None]),
    "sixteen bits": ("images", lambda x: np.round(65535 * x).astype(np.uint16)),
    "single precision": ("images", lambda x: x.astype(np.float32)),
    "list": ("images", lambda x: x.tolist()),
    "tensor": ("images", lambda x: torch.as_tensor(x[:, None])),
    "tensor with a gradient": ("images", lambda x: torch.as_tensor(x[:, None]).requires_grad_()),
    "sparse tensor": ("features", lambda x: torch.as_tensor(SHAPES["features"](x)).to_sparse()),
    "sparse matrix": ("features", lambda x: sparse.csr_matrix(SHAPES["features"](x))),
    "tensor of bytes": ("images", lambda x: torch.as_tensor(BYTES(x).astype(np.uint8))),
    "colour, first": ("colour", SHAPES["colour"]),
    "colour, last": ("colour", lambda x: SHAPES["colour"](x).transpose(0, 2, 3, 1)),
    "colour, last, bytes": ("colour", lambda x: BYTES(SHAPES["colour"](x)).astype(np.uint8).transpose(0, 2, 3, 1)),
    "features": ("features", SHAPES["features"]),
    "features of bytes": ("features", lambda x: BYTES(SHAPES["features"](x)).astype(np.uint8)),
    "DataFrame": ("features", lambda x: pd.DataFrame(SHAPES["features"](x))),
    "DataFrame of objects": ("features", lambda x: pd.DataFrame(SHAPES["features"](x)).astype(object)),
}
HOLDERS = {
    "four arrays": lambda x, y, u, v: (x, y, u, v),
    "two pairs": lambda x, y, u, v: ((x, y), (u, v)),
    "mapping": lambda x, y, u, v: {"x_train": x, "y_train": y, "x_test": u, "y_test": v},
    "capitals": lambda x, y, u, v: {"X_train": x, "y_train": y, "X_test": u, "y_test": v},
    "words": lambda x, y, u, v: {"train_images": x, "train_labels": y, "test_images": u, "test_labels": v},
    "val for test": lambda x, y, u, v: {"features_train": x, "target_train": y, "features_val": u, "target_val": v},
    "mapping of halves": lambda x, y, u, v: {"train": (x, y), "validation": (u, v)},
    "mapping of mappings": lambda x, y, u, v: {"train": {"x": x, "y": y}, "test": {"x": u, "y": v}},
    "torch": lambda x, y, u, v: (_torch(x, y), _torch(u, v)),
    "loaders": lambda x, y, u, v: {"train": DataLoader(_torch(x, y), shuffle=True), "test": DataLoader(_torch(u, v))},
    "examples": lambda x, y, u, v: (list(_torch(x, y)), list(_torch(u, v))),
}
NAMES, OTHER_NAMES = ("x_train", "y_train", "x_test", "y_test"), ("train_x", "train_y", "val_x", "val_y")
FILES = ["npz", "npz of other names", "csv", "tsv", "csv of halves", *["parquet"] * bool(find_spec("pyarrow"))]


def _torch(x, y) -> Dataset:
    x = x.to_numpy() if hasattr(x, "to_numpy") else x
    y = y.to_numpy() if hasattr(y, "to_numpy") else y

    class Examples(Dataset):
        def __len__(self) -> int:
            return len(x)

        def __getitem__(self, i: int):
            if i >= len(x):
                raise IndexError(i)
            return x[i], y[i]

    return Examples()


def answers_as_the_plain_arrays_do(data, shape: str, train, test) -> None:
    x = SHAPES[shape](X)
    np.testing.assert_allclose(data.x_train, x[train], atol=1e-5)
    np.testing.assert_allclose(data.x_test, x[test], atol=1e-5)
    assert data.y_train.tolist() == Y[train].tolist()
    assert data.y_test.tolist() == Y[test].tolist()
    assert (data.num_classes, data.x_train.dtype, data.y_train.dtype) == (3, np.float32, np.int64)
    assert (len(data.class_names), "3 classes" in data.in_words) == (3, True)


@settings(deadline=None)
@given(st.sampled_from(sorted(LABELS)), st.sampled_from(sorted(INPUTS)), st.sampled_from(sorted(HOLDERS)))
def test_every_dress_is_the_same_data_set(labels, inputs, holder):
    label, (shape, dress) = LABELS[labels], INPUTS[inputs]
    data = as_dataset(HOLDERS[holder](dress(X[TRAIN]), label(Y[TRAIN]), dress(X[TEST]), label(Y[TEST])))
    answers_as_the_plain_arrays_do(data, shape, TRAIN, TEST)


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(sorted(LABELS)), st.sampled_from(sorted(INPUTS)), st.sampled_from(FILES))
def test_every_dress_is_the_same_data_set_in_a_file(tmp_path, labels, inputs, kind):
    label, (shape, dress) = LABELS[labels], INPUTS[inputs]
    path = tmp_path / f"data.{kind.partition(' ')[0]}"
    arrays = [np.asarray(_numpy(part)) for half in (TRAIN, TEST) for part in (dress(X[half]), label(Y[half]))]
    if kind.startswith("npz"):
        names = NAMES if kind == "npz" else OTHER_NAMES
        assume(all(array.dtype != object for array in arrays))  # pickles are refused
        np.savez(path, **dict(zip(names, arrays, strict=True)))
        answers_as_the_plain_arrays_do(as_dataset(path), shape, TRAIN, TEST)
        return
    x, y, _, _ = arrays
    assume(shape == "features" and inputs != "features of bytes" and "one-hot" not in labels and y.dtype.kind != "S")
    frame = pd.DataFrame(x.astype(float)).rename(columns=str).assign(target=y.ravel())
    if kind == "csv of halves":
        u, v = arrays[2:]
        more = pd.DataFrame(u.astype(float)).rename(columns=str).assign(target=v.ravel(), split="Test")
        pd.concat([frame.assign(split="Train"), more]).to_csv(path, index=False)
        answers_as_the_plain_arrays_do(as_dataset(path), shape, TRAIN, TEST)
        return
    write = {"csv": frame.to_csv, "tsv": partial(frame.to_csv, sep="\t"), "parquet": frame.to_parquet}[kind]
    write(path, index=False)
    data = as_dataset(path)
    kept, drawn = stratified(Y[TRAIN])
    answers_as_the_plain_arrays_do(data, shape, kept, drawn)


def _numpy(value):
    value = value.toarray() if hasattr(value, "toarray") else value
    return value.detach().to_dense().numpy() if hasattr(value, "detach") else value


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
        list(zip(X, Y, strict=True)),
        TensorDataset(torch.as_tensor(X), torch.as_tensor(Y)),
        DataLoader(TensorDataset(torch.as_tensor(X), torch.as_tensor(Y)), batch_size=7, shuffle=True),
        Pictures(),
        Stream(),
    ],
    ids=["pair", "mapping", "list", "TensorDataset", "DataLoader", "Dataset of mappings", "IterableDataset"],
)
def test_without_a_test_set_a_fifth_of_every_class_is_drawn(data):
    read = as_dataset(data)
    assert (len(read.x_train), len(read.x_test)) == (24, 6)
    assert np.bincount(read.y_test).tolist() == [2, 2, 2]
    assert read.in_words == (
        "24 to train on, 6 to test, grey images 6×7, numbers from 0 to 1 as they are, a fifth of every class drawn for "
        "testing; 3 classes"
    )
    both = np.concatenate([read.x_train, read.x_test])
    assert sorted(both.sum((1, 2, 3)).tolist()) == sorted(X.astype(np.float32)[:, None].sum((1, 2, 3)).tolist())
    assert as_dataset(data).fingerprint == read.fingerprint


def test_a_loader_stands_for_the_examples_that_it_draws_as_it_changes_them():
    own = TensorDataset(torch.as_tensor(X), torch.as_tensor(Y))
    part = as_dataset(DataLoader(own, sampler=SubsetRandomSampler(range(20))))
    assert part.fingerprint == as_dataset((X[:20], Y[:20])).fingerprint
    for collate in (
        lambda batch: (torch.stack([2 * x for x, _ in batch]), torch.stack([y for _, y in batch])),
        lambda batch: {"input": torch.stack([2 * x for x, _ in batch]), "target": torch.stack([y for _, y in batch])},
    ):
        np.testing.assert_allclose(as_dataset(DataLoader(own, collate_fn=collate)).x_train, 2 * as_dataset(own).x_train)
    with pytest.raises(InputError, match="needs to draw every example alike, got one with a WeightedRandomSampler"):
        as_dataset(DataLoader(own, sampler=WeightedRandomSampler([1.0] * 29 + [9.0], 30)))


class Shifted(torch.utils.data.Dataset):
    """Another shift at every draw, as augmentation makes it."""

    def __len__(self):
        return len(X)

    def __getitem__(self, index):
        return torch.as_tensor(X[index]) + torch.rand(()), Y[index]


@pytest.mark.parametrize("dressed", [lambda own: own, DataLoader, lambda own: (own, own)])
def test_examples_that_change_from_draw_to_draw_are_told(dressed):
    assert "each drawn once although a second draw changes it (augmentation?)" in as_dataset(dressed(Shifted())).read_as
    same = TensorDataset(torch.as_tensor(X), torch.as_tensor(Y))
    assert "drawn once" not in as_dataset(dressed(same)).read_as


TOKENS = RNG.integers(0, 50, (30, 5))


@pytest.mark.parametrize(
    "data",
    [
        (TOKENS, Y),
        (TOKENS.astype(np.int32), WORDS[Y]),
        (TOKENS.tolist(), Y.tolist()),
        TensorDataset(torch.as_tensor(TOKENS), torch.as_tensor(Y)),
        pd.DataFrame(TOKENS).assign(label=Y),
        (TOKENS.astype(float), Y),
    ],
    ids=["int64", "int32", "lists", "torch", "DataFrame", "whole floats"],
)
def test_tokens_stay_whole_numbers(data):
    read = as_dataset(data, tokens=True)
    assert (read.x_train.dtype, read.image_shape) == (np.int64, (5,))
    assert f"sequences of 5 tokens, vocabulary {TOKENS.max() + 1}, a fifth" in read.in_words
    assert sorted(map(tuple, np.concatenate([read.x_train, read.x_test]))) == sorted(map(tuple, TOKENS))
    features = as_dataset(data, tokens=False)
    assert features.x_train.dtype == np.float32
    np.testing.assert_array_equal(features.x_train, read.x_train)


def test_what_is_called_tokens_is_that(tmp_path):
    np.savez(tmp_path / "t.npz", tokens_train=TOKENS, labels_train=Y, tokens_test=TOKENS, labels_test=Y)
    assert as_dataset(tmp_path / "t.npz").x_test.dtype == np.int64
    assert as_dataset({"input_ids": TOKENS, "labels": Y}).x_train.dtype == np.int64
    assert as_dataset({"tokens": TOKENS, "labels": Y}, tokens=False).x_train.dtype == np.float32


@pytest.mark.parametrize(
    ("tokens", "sentence"),
    [
        (TOKENS - 1, "need numbers from 0 to 2,147,483,647, got -1 to 48: number the vocabulary from 0"),
        (TOKENS + 0.5, "need whole numbers, got fractions or NaN"),
        (TOKENS[:, :, None], r"need sequences \(n, L\), got \(30, 5, 1\)"),
        ([[1, 2], [1, 2, 3]] * 15, "needs rows of one length, got others: pad or cut them"),
    ],
)
def test_what_cannot_be_tokens(tokens, sentence):
    with pytest.raises(InputError, match=sentence):
        as_dataset((tokens, Y), tokens=True)


def test_what_decides_reaches_files_and_is_refused_where_nothing_is_open(tmp_path):
    tiny = RNG.random((20, 3, 4, 2))
    np.savez(tmp_path / "tiny.npz", x=tiny, y=Y[:20])
    assert as_dataset(tmp_path / "tiny.npz", channels="last").image_shape == (2, 3, 4)
    assert as_dataset(tmp_path / "tiny.npz", channels="first").image_shape == (3, 4, 2)
    with pytest.raises(InputError, match=r"tiny.npz has no use for label, got 'y': leave it out"):
        as_dataset(tmp_path / "tiny.npz", label="y")
    with pytest.raises(InputError, match="digits has no use for tokens"):
        as_dataset("digits", tokens=True)
    with pytest.raises(InputError, match='channels needs "first" or "last", got \'middle\''):
        as_dataset((tiny, Y[:20]), channels="middle")


def test_shares_of_classes_are_told_where_they_differ():
    rare = as_dataset((RNG.random((1000, 4)), np.where(np.arange(1000) % 100, "well", "ill")))
    assert rare.in_words.endswith("; imbalanced: class well 99 % (what always answering it reaches), class ill 1 %")
    assert majority_share(rare.y_train) == pytest.approx(0.99)
    assert "imbalanced" not in as_dataset((X, Y)).in_words


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
    with pytest.raises(InputError, match="3 channels first or their 2 last: say which with --channels first or last"):
        as_dataset((tiny, Y[:20]))
    assert as_dataset((tiny, Y[:20]), channels=channels).image_shape == shape


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        ((RNG.integers(0, 50, (20, 9)), Y[:20]), "may be features or tokens: say which with --features or --tokens"),
        ((RNG.random((20, 9)), Y[:20] - 1), "hold -1 beside 0 to 1, which may be a class or mark a missing label"),
        ((RNG.random((20, 9)), Y[:20] + 0.5), "needs whole numbers or words, got fractions or NaN"),
        ((RNG.random((20, 9)), RNG.random((20, 3))), "numbers that are not one-hot"),
        ((X * 1000).astype(int)[:20] - 1, "data needs to be a name or path"),
        ((RNG.random((20, 2, 2, 2, 2)), Y[:20]), r"\(n, H, W, C\), got \(20, 2, 2, 2, 2\)"),
        ({"x": X, "y": Y, "images": X, "labels": Y}, "holds x, y and images, labels: keep one pair"),
        ({"pixels": X, "y": Y}, "needs the arrays x_train, .* it has pixels, y"),
        ([(X[0], 1, 2)], "data needs to be a name or path"),
        ((X, Y, Y), "or a DataLoader, got tuple of 3"),
        ({"x_train": X, "y_train": Y, "x_test": X}, "needs examples and labels of each half, got x_test alone"),
        ((X[:20], np.array(["a", None] * 10, dtype=object)), "needs numbers or words throughout, got None among them"),
        ((X[:20], np.array([1, None] * 10, dtype=object)), "needs numbers or words throughout, got None among them"),
        (((X[:20], Y[:20]), (X[20:], WORDS[Y[20:]])), "need one type in both halves, got int64 and <U3"),
        ((X, np.where(Y == 1, -100, Y)), "hold -100 beside 0 to 2, which may be a class or mark a missing label"),
        ((X, np.where(np.arange(30) == 7, 255, Y).astype(np.uint8)), "hold 255 beside 0 to 2, which may be a class"),
        ((X, np.ma.array(Y, mask=Y == 1)), "y_train of arrays needs a value everywhere, got a mask over some"),
        ((np.ma.array(X, mask=X > 0.5), Y), "x_train of arrays needs a value everywhere, got a mask over some"),
        ((X, np.where(Y == 1, "", WORDS[Y])), "hold '', as where a label is missing"),
        ((X, np.array(["ape", np.nan] * 15)), "hold 'nan', as where a label is missing"),
        (
            (X, np.array(["ape", "Ape", "bee"])[Y]),
            "hold 'Ape' and 'ape', which may be one class or two: write them alike, or number the classes",
        ),
        (
            (pd.DataFrame(X[:, 0]), pd.Series(WORDS[Y], index=range(29, -1, -1))),
            "need rows in one order, got the same index in another: sort one like the other",
        ),
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
        ("tabs.csv", {"index": False, "sep": "\t"}),
        ("bars.csv", {"index": False, "sep": "|"}),
        ("bom.csv", {"index": False, "encoding": "utf-8-sig"}),
        ("quoted.csv", {"index": False, "quoting": 2}),
        ("points.csv", {"index": False, "sep": ";"}),
        ("tabs_commas.tsv", {"index": False, "sep": "\t", "decimal": ","}),
        ("bars_commas.csv", {"index": False, "sep": "|", "decimal": ","}),
        ("commas_quoted.csv", {"index": False, "decimal": ","}),
        ("spaces.csv", {"index": False, "sep": " "}),
        ("utf16.csv", {"index": False, "encoding": "utf-16"}),
    ],
)
def test_a_table_is_read_however_it_was_written(tmp_path, name, options):
    path = tmp_path / name
    TABLE.to_csv(path, **options)
    data = as_dataset(path, label="species")
    np.testing.assert_allclose(data.x_train, as_dataset(TABLE, label="species").x_train)
    assert (data.class_names, data.image_shape) == (("ape", "bee", "cow"), (2,))
    assert as_dataset(f"{path}:species").fingerprint == data.fingerprint


def written(change) -> str:
    """The table as text, with another text in place of some of it."""
    return change(TABLE.to_csv(index=False))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (written(lambda t: f"# of the zoo\n\n{t}"), ""),
        (written(lambda t: t.replace(",", ", ")), ""),
        (written(lambda t: t.replace("\n", ",\n")), ""),
        (written(lambda t: t.replace("species", " species ")), ""),
        (TABLE.rename(index=lambda i: 7 * i % 30).to_csv(), "'Unnamed: 0' left out, which numbers the rows"),
        (TABLE.assign(ID=1000 - np.arange(30)).to_csv(index=False), "'ID' left out, which numbers the rows"),
    ],
    ids=["comment", "spaces", "commas at the end", "heading", "index", "ID"],
)
def test_what_tables_hold_beside_their_cells_is_left_out_and_said(tmp_path, text, said):
    (tmp_path / "t.csv").write_text(text)
    data = as_dataset(tmp_path / "t.csv", label="species")
    assert data.class_names == ("ape", "bee", "cow")
    np.testing.assert_allclose(data.x_train, as_dataset(TABLE, label="species").x_train)
    assert said in data.in_words


@pytest.mark.parametrize(
    ("separator", "cells", "values"),
    [
        (",", ("5%", "7%"), {5.0, 7.0}),
        (",", ('"1,5"', '"0,25"'), {1.5, 0.25}),
        (",", ('"1,500.5"', '"2,250"'), {1500.5, 2250.0}),
        (";", ("1.500,5", "3"), {1500.5, 3.0}),
        (";", ("-1.5", "2.25"), {-1.5, 2.25}),
    ],
)
def test_numbers_as_people_write_them(tmp_path, separator, cells, values):
    rows = ["label" + separator + "a", *(f"{word}{separator}{cells[i % 2]}" for i, word in enumerate(WORDS[Y]))]
    (tmp_path / "t.csv").write_text("\n".join(rows))
    assert {*as_dataset(tmp_path / "t.csv").x_train.ravel().tolist()} == values


def test_windows_letters_and_numbers_of_two_readings(tmp_path):
    path = tmp_path / "t.csv"
    path.write_bytes(TABLE.replace("ape", "bär").to_csv(index=False).encode("cp1252"))
    assert as_dataset(path, label="species").class_names == ("bee", "bär", "cow")
    for text in ("a;label\n" + "1.500;x\n2.250;y\n" * 9, "a,label\n" + '"1,500",x\n"2,250",y\n' * 9):
        path.write_text(text)
        with pytest.raises(InputError, match=r"'1.500' may be .* write numbers without marks between thousands"):
            as_dataset(path)


def test_the_column_of_labels_is_found_by_its_name_or_asked_for(tmp_path):
    path = tmp_path / "t.csv"
    TABLE.rename(columns={"species": "Label"}).to_csv(path, index=False)
    assert as_dataset(path).num_classes == 3
    TABLE.to_csv(path, index=False)
    with pytest.raises(InputError, match=r"none is called label, target, class or y .* t.csv:COLUMN"):
        as_dataset(path)
    with pytest.raises(InputError, match=r"has no column 'specie'; .*species"):
        as_dataset(path, label="specie")
    TABLE.to_csv(path, index=False, header=False)
    with pytest.raises(InputError, match="needs a first row with the names of its columns, got numbers: add one"):
        as_dataset(path)
    TABLE.assign(label=Y, y=Y).to_csv(path, index=False)
    with pytest.raises(InputError, match="'label', 'y' may all be the labels"):
        as_dataset(path)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"c": "word"}, "every feature .* needs to be a number, got words in 'c', like 'word'"),
        ({"c": np.where(Y == 1, "?", "1")}, "got words in 'c', like '?'"),
        ({"c": np.where(Y == 1, np.nan, 1.0)}, "needs a value in every cell, got empty ones in 'c'"),
        ({"split": "train"}, "the column split .* needs train and test, got train"),
    ],
)
def test_tables_that_cannot_be_used(change, sentence):
    with pytest.raises(InputError, match=sentence):
        as_dataset(TABLE.assign(**change), label="species")


def test_a_column_says_which_rows_are_for_testing():
    split = np.where(np.arange(30) < 20, "train", "test")
    for column in ("split", "Split"):
        data = as_dataset(TABLE.assign(**{column: split}), label="species")
        assert (len(data.x_train), len(data.x_test)) == (20, 10)
    three = np.where(np.arange(30) < 20, "train", np.where(np.arange(30) < 25, "val", "test"))
    np.testing.assert_allclose(as_dataset(TABLE.assign(split=three), label="species").x_test, data.x_test[5:])
    named = TABLE.set_axis([("x", "a"), ("x", "b"), ("y", "")], axis=1)
    twice = TABLE.set_axis(["a", "a", "species"], axis=1)
    for frame, label in ((named, "('y', '')"), (twice, "species")):
        np.testing.assert_allclose(as_dataset(frame, label=label).x_train, as_dataset(TABLE, label="species").x_train)


def test_columns_of_both_halves_are_those_of_the_first():
    plain, turned = TABLE[:20], TABLE[["species", "b", "a"]][20:]
    data = as_dataset({"train": plain, "test": turned}, label="species")
    np.testing.assert_allclose(data.x_test, TABLE[["a", "b"]][20:])
    with pytest.raises(InputError, match="both halves of table need the same columns, got 'a', 'c' in one alone"):
        as_dataset({"train": plain, "test": turned.rename(columns={"a": "c"})}, label="species")
    with pytest.raises(InputError, match="x_train and x_test of arrays need the same columns in one order"):
        as_dataset((plain[["a", "b"]], Y[:20], turned[["b", "a"]], Y[20:]))


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
