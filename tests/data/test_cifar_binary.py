"""The CIFAR binary reader on small files made here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from effbatch.core.errors import InputError
from effbatch.data import datasets
from effbatch.data.builtin import cifar10, cifar100
from effbatch.data.dataset import checked
from effbatch.data.sources import VARIABLE, cifar_binary

RECORDS = 3  # in each file


def little(layout: cifar_binary.Layout) -> cifar_binary.Layout:
    return replace(layout, train=dict.fromkeys(layout.train, RECORDS), test=dict.fromkeys(layout.test, RECORDS))


def records(layout: cifar_binary.Layout, *, last_label: int = 7) -> dict[str, bytes]:
    """Files of random pixels whose labels count up and end with `last_label`."""
    rng = np.random.default_rng(0)
    files = {}
    for name in (*layout.train, *layout.test):
        table = rng.integers(256, size=(RECORDS, layout.label_bytes + cifar_binary.PIXELS), dtype=np.uint8)
        table[:, layout.label_bytes - 1] = [*range(RECORDS - 1), last_label]
        files[name] = table.tobytes()
    return files


def unpacked(folder: Path, files: Mapping[str, bytes]) -> Path:
    folder.mkdir(parents=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder


@pytest.fixture(params=[cifar10, cifar100], ids=["cifar10", "cifar100"])
def module(request, tmp_path, monkeypatch):
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    monkeypatch.setattr(request.param, "LAYOUT", little(request.param.LAYOUT))
    return request.param


def test_a_folder_gives_the_planes_and_the_last_label(module, tmp_path):
    layout, files = module.LAYOUT, records(module.LAYOUT)
    train, test = cifar_binary.read(unpacked(tmp_path / "folder", files), layout)
    first = files[next(iter(layout.train))]
    red_second_row = first[layout.label_bytes + 32 : layout.label_bytes + 64]
    assert train.images[0, 0, 1].tobytes() == red_second_row
    assert train.images.shape == (RECORDS * len(layout.train), 3, 32, 32)
    assert test.labels.tolist() == [0, 1, 7]
    (of_test,) = layout.test
    assert test.images[2, 2, 31, 31] == files[of_test][-1]


def test_the_layouts_hold_as_many_images_as_were_published():
    assert list(cifar10.LAYOUT.train) == [f"data_batch_{number}.bin" for number in range(1, 6)]
    for published, label_bytes, classes in ((cifar10, 1, 10), (cifar100, 2, 100)):
        layout, size = published.LAYOUT, published.SIZE
        assert (sum(layout.train.values()), sum(layout.test.values())) == (size.train, size.test) == (50_000, 10_000)
        assert len(set(layout.train.values())) == 1
        assert (layout.label_bytes, size.image_shape) == (label_bytes, cifar_binary.SHAPE)
        assert size.num_classes == classes


@pytest.mark.parametrize("place", ["", "folder"])
def test_what_was_published_is_found_in_the_data_directory(module, tmp_path, place):
    layout, name = module.LAYOUT, module.__name__.rpartition(".")[2]
    folder, files = tmp_path / name, records(module.LAYOUT)
    unpacked(folder / layout.folder if place else folder, files)
    data = checked(module.load())
    assert (len(data.x_train), len(data.x_test), data.image_shape) == (3 * len(layout.train), 3, (3, 32, 32))
    assert data.x_train.mean() == pytest.approx(0, abs=1e-5)
    with pytest.raises(InputError, match=rf"{name} needs 50,000 train, .* {3 * len(layout.train)} train, 3 test"):
        datasets.read(name)


def test_an_empty_folder_says_what_belongs_there(module, tmp_path):
    (tmp_path / module.__name__.rpartition(".")[2]).mkdir()
    with pytest.raises(
        InputError, match=rf"needs .*\.bin and the others of {module.LAYOUT.archive}, got none: unpack it"
    ):
        module.where()


def test_broken_files_are_named(tmp_path):
    layout = little(cifar10.LAYOUT)
    files = records(layout)
    cases = {
        "test_batch.bin must have 9,219 bytes, got 9,218": {**files, "test_batch.bin": files["test_batch.bin"][1:]},
        "test_batch.bin": {name: content for name, content in files.items() if name != "test_batch.bin"},
    }
    for number, (message, content) in enumerate(cases.items()):
        with pytest.raises(InputError, match=message.replace(" must", ".* must")):
            cifar_binary.read(unpacked(tmp_path / str(number), content), layout)


def test_a_label_out_of_range_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    monkeypatch.setattr(cifar10, "LAYOUT", little(cifar10.LAYOUT))
    unpacked(tmp_path / "cifar10", records(cifar10.LAYOUT, last_label=10))
    with pytest.raises(InputError, match=r"labels of cifar10 must lie in 0\.\.9, got 0\.\.10"):
        datasets.load("cifar10")
