"""CIFAR-10: 60,000 colour images of 32×32, from its binary version in the data directory, else from the hub."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from effbatch.data.dataset import DataSet, Size, from_bytes
from effbatch.data.sources import cifar_binary, data_dir, hub

SIZE = Size(50_000, 10_000, (3, 32, 32), 10)
HUB = "hub:uoft-cs/cifar10"
LAYOUT = cifar_binary.Layout(
    folder="cifar-10-batches-bin",
    archive="cifar-10-binary.tar.gz",
    train={f"data_batch_{number}.bin": 10_000 for number in range(1, 6)},
    test={"test_batch.bin": 10_000},
    label_bytes=1,
)


def where() -> str:
    """The files in the folder cifar10 of the data directory, where that is there, else the hub."""
    folder = data_dir() / "cifar10"
    if folder.is_dir():
        return str(cifar_binary.find(folder, LAYOUT))
    return hub.instead_of(f"the files of {LAYOUT.archive}", folder, HUB)


def load() -> DataSet:
    """Krizhevsky (2009); 50,000 to train on, 10,000 to test, 10 classes."""
    place = where()
    source = f"CIFAR-10 (Krizhevsky 2009) from {place}"
    if place == HUB:
        return replace(hub.load(HUB), name="cifar10", source=source)
    train, test = cifar_binary.read(Path(place), LAYOUT)
    return from_bytes("cifar10", train, test, SIZE.num_classes, source=source)
