"""Data as people have them, really read -> the tables of docs/data.md; `python docs/data_table.py` writes them anew."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from effbatch.core.errors import InputError
from effbatch.data.datasets import as_dataset
from effbatch.data.inputs import inputs
from effbatch.data.reading import Reading

PAGE = Path(__file__).parent / "data.md"
END = "<!-- end of table -->"
Y = np.arange(60) % 3
WORDS = np.array(["ape", "bee", "cow"])[Y]
X = np.random.default_rng(0).integers(1, 256, (60, 8, 8)) / 256
BYTES, RGB = np.uint8(256 * X), np.stack([X, X, X], 1)
TOKENS = np.int64(256 * X[:, 0])

INPUTS: Mapping[str, tuple[Any, dict[str, Any]]] = {
    "features": (X[:, 0], {}),
    "features, bytes": (BYTES[:, 0], {}),
    "features, 0 and 1": (X[:, 0] > 0.5, {}),
    "features, whole numbers, with `--features` (`tokens=False`)": (TOKENS, {"tokens": False}),
    "tokens, with `--tokens` (`tokens=True`)": (TOKENS, {"tokens": True}),
    "images without channels": (X, {}),
    "images, bytes": (BYTES, {}),
    "images, 16 bits": (np.uint16(65535 * X), {}),
    "images, other whole numbers": (np.int16(256 * X) - 128, {}),
    "images, channels first": (np.float32(RGB), {}),
    "images, channels last": (RGB.transpose(0, 2, 3, 1), {}),
    'images of few pixels, with `--channels last` (`channels="last"`)': (RGB[:, :, :2, :4], {"channels": "last"}),
}
LABELS: Mapping[str, Any] = {
    "whole numbers from any start, with gaps": np.where(Y == 2, 20, Y + 1),
    "words": WORDS,
    "booleans": Y > 0,
    "whole floats": Y.astype(float),
    "a column": Y[:, None],
    "one-hot rows": np.eye(3)[Y],
    "one-hot rows of more classes than occur": np.eye(4)[Y],
    "a class that is rare": np.where(np.arange(60) < 55, "well", "ill"),
}
ASKED: Mapping[str, tuple[Any, dict[str, Any]]] = {
    "whole numbers (n, d)": ((TOKENS, Y), {}),
    "few pixels and few channels": ((RGB[:, :, :2, :4].copy(), Y), {}),
    "-1 among other labels": ((X, Y - 1), {}),
    "255 or -100 among other labels": ((X, np.where(Y == 2, 255, Y)), {}),
    "words in two spellings": ((X, np.where(np.arange(60) == 0, "Ape", WORDS)), {}),
    "masked labels": ((X, np.ma.array(Y, mask=Y == 1)), {}),
    "rows that are not one-hot": ((X, X[:, 0, :3]), {}),
    "rows of other lengths": (([[1, 2], [1, 2, 3]] * 30, Y), {}),
    "a table whose columns do not tell": (pd.DataFrame(X[:, 0, :2], columns=["a", "b"]).assign(animal=WORDS), {}),
    "examples that are missing for labels": ({"x_train": X, "y_train": Y, "y_test": Y}, {}),
    "one class": ((X, Y * 0), {}),
}


def _containers() -> dict[str, Callable[[], Any]]:
    """What holds inputs and labels, by what to write; files are written into the working directory."""
    table = pd.DataFrame(X[:, 0], columns=[f"pixel{i}" for i in range(8)]).assign(label=WORDS)
    halves = {"x_train": X[:40], "y_train": Y[:40], "x_test": X[40:], "y_test": Y[40:]}
    np.savez("halves.npz", **halves)
    np.savez("whole.npz", images=X, labels=Y)
    np.savez("words.npz", tokens=TOKENS, labels=Y)
    np.save("x.npy", X)
    np.save("y.npy", Y)
    table.to_csv("table.csv", index=False)
    table.rename(columns={"label": "animal"}).to_csv("other.tsv", index=False, sep="\t")
    table.assign(split=["train"] * 40 + ["test"] * 20).to_csv("split.csv", index=False)
    _pictures()
    import torch
    from torch.utils.data import DataLoader, TensorDataset

    own = TensorDataset(torch.as_tensor(X), torch.as_tensor(Y))
    return {
        "`halves.npz` with x_train, y_train, x_test, y_test (train_images, …, also x_val)": lambda: "halves.npz",
        "`whole.npz` with x, y (images, labels; features; data, target)": lambda: "whole.npz",
        "`words.npz` with tokens (or input_ids), labels": lambda: "words.npz",
        "`x.npy:y.npy`": lambda: "x.npy:y.npy",
        "`table.csv`, .tsv, .parquet, a column label, labels, target, class or y": lambda: "table.csv",
        "`other.tsv:animal`, or `other.tsv --label animal`": lambda: "other.tsv:animal",
        "`split.csv` with a column split of train and test": lambda: "split.csv",
        "`folder` of train/CLASS/… and test/CLASS/… (or val, valid, validation, dev)": lambda: "folder",
        "`folder/train` of CLASS/… alone": lambda: "folder/train",
        "(x, y); (x_train, y_train, x_test, y_test); ((x, y), (x, y))": lambda: ((X[:40], Y[:40]), (X[40:], Y[40:])),
        'a mapping of arrays by these names, or {"train": …, "test": …} of anything here': lambda: {"train": own},
        "a DataFrame, or two": lambda: table,
        "a torch `Dataset`, `DataLoader`, list of (example, label), or two": lambda: DataLoader(own),
    }


def _pictures() -> None:
    from PIL import Image

    for i, image in enumerate(BYTES):
        place = Path("folder") / ("train" if i < 40 else "test") / WORDS[i]
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(place / f"{i}.png")


def tables() -> dict[str, str]:
    """Each table as Markdown, by the name in its mark."""
    here = Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        try:
            holders = [(what, as_dataset(held()).in_words) for what, held in _containers().items()]
        finally:
            os.chdir(here)
    shown = [
        (what, f"`{x.dtype} {x.shape}`", inputs("data", x, reading=Reading(**said))[1])
        for what, (x, said) in INPUTS.items()
    ]
    labels = [(what, f"`{y.dtype} {y.shape}`".replace("<U", "str"), _classes(y)) for what, y in LABELS.items()]
    return {
        "inputs": _markdown(("what you have", "here", "read as"), shown),
        "labels": _markdown(("what you have", "here", "read as"), labels),
        "containers": _markdown(("container", "read as"), holders),
        "questions": _markdown(("ambiguous", "error"), [(k, _refused(*v)) for k, v in ASKED.items()]),
    }


def _classes(labels: Any) -> str:
    return as_dataset((X, labels)).in_words.partition("; ")[2]


def _refused(data: Any, said: dict[str, Any]) -> str:
    try:
        as_dataset(data, **said)
    except InputError as error:
        return str(error)
    raise AssertionError("it was read")


def _markdown(heads: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    return "".join(f"| {' | '.join(row)} |\n" for row in (heads, ("---",) * len(heads), *rows))


def with_tables(page: str) -> str:
    """The page with the tables that its marks ask for in place of what stands there."""
    for name, table in tables().items():
        before, start, after = page.partition(f"<!-- table of {name} -->\n")
        assert start, name
        page = f"{before}{start}\n{table}\n{END}{after.partition(END)[2]}"
    return page


if __name__ == "__main__":
    PAGE.write_text(with_tables(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
