"""Fashion-MNIST: 70,000 images of clothes of 28×28, from its four idx files in the data directory or the system's."""

from __future__ import annotations

from pathlib import Path

from effbatch.core.errors import InputError
from effbatch.data.dataset import DataSet, Size, fingerprint, from_bytes
from effbatch.data.sources import Half, data_dir, idx

SIZE = Size(60_000, 10_000, (1, 28, 28), 10)
SYSTEM = Path("/usr/share/datasets/fashion-mnist")  # where Debian's dataset-fashion-mnist puts it
FINGERPRINT = "b42e0f3189f494f730119201c9e1a41654a875ffd564ea07b7cf8032d5327c02"


def where() -> str:
    """The folder fashion-mnist of the data directory, else that of the system; InputError that says how to get it."""
    own = data_dir() / "fashion-mnist"
    for folder in (own, SYSTEM):
        if folder.is_dir():
            return str(folder)
    raise InputError(
        f"Fashion-MNIST is not there: on Debian or Ubuntu run `make data` or `apt-get install dataset-fashion-mnist`, "
        f"else put its four idx files into {own}",
        folder=own,
    )


def read() -> tuple[Half, Half]:
    """Training and test set as published; InputError where the content is another."""
    train, test = idx.read(Path(where()))
    if fingerprint(*train, *test) != FINGERPRINT:
        raise InputError(f"{where()} needs to hold Fashion-MNIST as published; its content is another: fetch it again")
    return train, test


def load() -> DataSet:
    """Xiao, Rasul & Vollgraf (2017), arXiv 1708.07747; 60,000 to train on, 10,000 to test, 10 classes."""
    train, test = read()
    source = f"Fashion-MNIST (Xiao et al. 2017) from {where()}"
    return from_bytes("fashion-mnist", train, test, SIZE.num_classes, source=source)
