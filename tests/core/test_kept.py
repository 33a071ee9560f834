"""Runs kept in a folder: trained once, and again where their file is damaged, foreign or cannot be written."""

from __future__ import annotations

import errno

import numpy as np
import pytest

from effbatch.core import durable
from effbatch.core.errors import RunError
from effbatch.core.kept import Kept


class Runs:
    """Trains a run whose number tells how often that was done, and keeps what it was told."""

    def __init__(self, folder) -> None:
        self.folder, self.times, self.told = folder, 0, []

    def train(self) -> dict[str, np.ndarray]:
        self.times += 1
        return {"accuracy": np.array([[self.times]]), "history": np.full((1, 2), np.nan)}

    def __call__(self, unit="T/9", **depends) -> int:
        kept = Kept(self.folder, {"recipe": "sgd", **depends}, self.told.append)
        return int(kept(unit, self.train)["accuracy"].item())


@pytest.fixture
def runs(tmp_path) -> Runs:
    return Runs(tmp_path / "new" / "kept")


def test_a_run_is_trained_once_for_all_that_it_depends_on(runs):
    assert [runs(), runs(), runs("T/3"), runs(), runs(recipe="adam"), runs(recipe="adam")] == [1, 1, 2, 1, 3, 3]
    assert len(list(runs.folder.iterdir())) == 3
    assert runs.told == []


@pytest.mark.parametrize("how", ["cut", "changed", "empty", "of another run"])
def test_a_damaged_or_foreign_file_is_trained_again(runs, how):
    runs()
    runs("T/3")
    path, other = sorted(runs.folder.iterdir(), key=lambda p: p.stat().st_mtime_ns)
    raw = path.read_bytes()
    damaged = {
        "cut": raw[:-7],
        "changed": raw[:-5] + bytes([raw[-5] ^ 1]) + raw[-4:],
        "empty": b"",
        "of another run": other.read_bytes(),
    }
    path.write_bytes(damaged[how])
    assert runs() == 3
    assert "is damaged or of another run" in runs.told[0]
    assert runs() == 3


def test_a_full_disk_is_one_sentence_and_loses_nothing(runs, monkeypatch):
    runs()

    def full(path, content):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(durable, "write", full)
        with pytest.raises(RunError, match=r"cannot be written .*No space left.*: make room and ask again"):
            runs("T/3")
    assert runs() == 1


def test_a_folder_that_cannot_be_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match=r"cannot be made .*: choose another --out"):
        Kept(tmp_path / "file" / "kept", {}, lambda sentence: None)
