"""What takes long or much memory is said before it begins; what memory would not do is refused."""

from __future__ import annotations

import numpy as np
import pytest

from effbatch.core import announced
from effbatch.core.announced import announce, free_memory
from effbatch.core.errors import InputError
from effbatch.data.datasets import as_dataset


@pytest.mark.parametrize(
    ("seconds", "memory", "said"),
    [
        (10, 1e9, []),
        (11, 0, ["work, about 11 s on one CPU core; do less"]),
        (0, 2e9, ["work, about 2 GB of memory; do less"]),
        (90, 7e9, ["work, about 90 s on one CPU core and about 7 GB of memory; do less"]),
    ],
)
def test_what_is_much_is_told(monkeypatch, seconds, memory, said):
    monkeypatch.setattr(announced, "free_memory", lambda: 1e10)
    told: list[str] = []
    announce("work", seconds=seconds, memory=memory, instead="do less", tell=told.append)
    assert told == said


def test_what_memory_would_not_do_is_refused(monkeypatch):
    monkeypatch.setattr(announced, "free_memory", lambda: 1e9)
    with pytest.raises(InputError, match=r"work would need about 0.9 GB of memory, got 1 GB free: do less"):
        announce("work", memory=9e8, instead="do less")


def test_data_are_no_exception(monkeypatch, capsys):
    data = (np.random.default_rng(0).random((50, 4)), np.arange(50) % 2)
    monkeypatch.setattr(announced, "MUCH", 1000)
    as_dataset(data)
    assert "effbatch: reading 50 examples of arrays, about 1.6e-06 GB of memory; fewer" in capsys.readouterr().err
    monkeypatch.setattr(announced, "free_memory", lambda: 1500.0)
    with pytest.raises(InputError, match=r"reading 50 examples of arrays would need about 1.6e-06 GB of memory"):
        as_dataset(data)


def test_free_memory_is_that_of_the_machine_or_of_the_container(monkeypatch, tmp_path):
    assert free_memory() > 1e6
    for name, text in (("max", "5000000"), ("used", "4000000"), ("open", "max"), ("memory.stat", "anon 9\ncache 700")):
        (tmp_path / name).write_text(text)
    open_one = (tmp_path, "open", "used", "cache")
    for cache, free in (("cache", 1_000_700), ("not told", 1_000_000)):  # what was read from files can be given back
        monkeypatch.setattr(announced, "_LIMITS", [(tmp_path, "max", "used", cache), open_one])
        assert free_memory() == free


def test_who_only_looks_is_told_nothing(capsys):
    with announced.untold():
        announce("work", seconds=11, instead="do less")
    assert capsys.readouterr().err == ""
    announce("work", seconds=11, instead="do less")
    assert capsys.readouterr().err == "effbatch: work, about 11 s on one CPU core; do less\n"
