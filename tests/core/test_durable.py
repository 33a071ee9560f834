"""A file is there whole or not at all, with several writers, and after one that was killed."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from multiprocessing import get_context

import pytest

from effbatch.core import durable

CONTENTS = {writer: bytes([writer]) * (200_000 + writer) for writer in range(1, 5)}


def write_often(path, writer: int) -> None:
    for _ in range(60):
        durable.write(path, CONTENTS[writer])
        assert path.read_bytes() in CONTENTS.values()


@pytest.mark.parametrize("kind", ["threads", "processes"])
def test_of_writers_at_once_each_write_is_whole_and_none_fails(tmp_path, kind):
    path = tmp_path / "report.html"
    if kind == "threads":
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda writer: write_often(path, writer), CONTENTS))
    else:
        children = [get_context("spawn").Process(target=write_often, args=(path, writer)) for writer in CONTENTS]
        for child in children:
            child.start()
        for child in children:
            child.join()
        assert [child.exitcode for child in children] == [0] * 4
    assert [file.name for file in tmp_path.iterdir()] == ["report.html"]


def test_what_a_killed_writer_left_is_written_over(tmp_path):
    path, left = tmp_path / "cube.nc", tmp_path / ".cube.nc.tmp"
    left.write_bytes(b"a longer part of a file")
    durable.write(path, b"whole")
    assert path.read_bytes() == b"whole"
    assert not left.exists()


def test_a_write_that_fails_leaves_what_was_there_and_nothing_else(tmp_path, monkeypatch):
    path = tmp_path / "cube.nc"
    durable.write(path, b"before")

    def full(_handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(durable.os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        durable.write(path, b"after")
    assert path.read_bytes() == b"before"
    assert [file.name for file in tmp_path.iterdir()] == ["cube.nc"]
