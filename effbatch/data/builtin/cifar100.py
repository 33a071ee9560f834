"""CIFAR-100: 60,000 colour images of 32×32, from its binary version in the data directory, else from the hub."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from effbatch.data.dataset import DataSet, Size, from_bytes
from effbatch.data.reading import Reading
from effbatch.data.sources import cifar_binary, data_dir, hub

SIZE = Size(50_000, 10_000, (3, 32, 32), 100)
HUB = "hub:uoft-cs/cifar100"
LAYOUT = cifar_binary.Layout(
    folder="cifar-100-binary",
    archive="cifar-100-binary.tar.gz",
    train={"train.bin": 50_000},
    test={"test.bin": 10_000},
    label_bytes=2,  # the coarse label of 20, then the fine one of 100
)


def where() -> str:
    """The files in the folder cifar100 of the data directory, where that is there, else the hub."""
    folder = data_dir() / "cifar100"
    if folder.is_dir():
        return str(cifar_binary.find(folder, LAYOUT))
    return hub.instead_of(f"the files of {LAYOUT.archive}", folder, HUB)


def load() -> DataSet:
    """Krizhevsky (2009), fine labels; 50,000 to train on, 10,000 to test, 100 classes."""
    place = where()
    source = f"CIFAR-100 (Krizhevsky 2009) from {place}"
    if place == HUB:
        return replace(hub.load(HUB, Reading(label="fine_label")), name="cifar100", source=source)
    train, test = cifar_binary.read(Path(place), LAYOUT)
    return from_bytes("cifar100", train, test, SIZE.num_classes, source=source)
