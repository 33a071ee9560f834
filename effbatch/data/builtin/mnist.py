"""MNIST: 70,000 handwritten digits of 28×28, from its four idx files in the data directory, else from the hub."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from effbatch.data.dataset import DataSet, Size, from_bytes
from effbatch.data.sources import data_dir, hub, idx

SIZE = Size(60_000, 10_000, (1, 28, 28), 10)
HUB = "hub:ylecun/mnist"


def where() -> str:
    """The folder mnist of the data directory, where it is there, else the hub; InputError that says what to do."""
    folder = data_dir() / "mnist"
    return str(folder) if folder.is_dir() else hub.instead_of("the four idx files of MNIST", folder, HUB)


def load() -> DataSet:
    """LeCun, Bottou, Bengio & Haffner (1998); 60,000 to train on, 10,000 to test, 10 classes."""
    place = where()
    source = f"MNIST (LeCun et al. 1998) from {place}"
    if place == HUB:
        return replace(hub.load(HUB), name="mnist", source=source)
    train, test = idx.read(Path(place))
    return from_bytes("mnist", train, test, SIZE.num_classes, source=source)
