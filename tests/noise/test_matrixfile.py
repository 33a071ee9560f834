"""Matrices in CSV and .npy files: numbers in rows, and nothing else."""

from __future__ import annotations

import numpy as np
import pytest

from effbatch.core.errors import InputError
from effbatch.noise import matrixfile
from effbatch.noise.matrixfile import read_matrix

MATRIX = [[0.75, 0.25], [0.5, 0.5]]


def test_csv_and_npy_hold_the_same_numbers(tmp_path):
    (tmp_path / "m.csv").write_text("0.75,0.25\n0.5,0.5\n", encoding="utf-8")
    np.save(tmp_path / "m.npy", np.float16(MATRIX))
    for name in ("m.csv", "m.npy"):
        found = read_matrix(tmp_path / name)
        np.testing.assert_array_equal(found, MATRIX)
        assert found.dtype == np.float64


def test_one_row_is_a_matrix(tmp_path):
    (tmp_path / "m.csv").write_text("1,2,3\n", encoding="utf-8")
    assert read_matrix(str(tmp_path / "m.csv")).shape == (1, 3)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "numbers only, .*; it does not"),
        (b"a,b\n1,2\n", "numbers only"),
        (b"1,2\n3\n", "rows of one length"),
        (np.array([["0.5", "0.5"]]), "without pickles; it does not .it holds <U3"),
        (np.array([None]), "without pickles; it does not .objects would have to be unpickled"),
    ],
    ids=["empty", "words", "uneven", "text", "objects"],
)
def test_what_is_no_matrix_is_named(tmp_path, content, words):
    path = tmp_path / ("m.csv" if isinstance(content, bytes) else "m.npy")
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        np.save(path, content)
    with pytest.raises(InputError, match=words):
        read_matrix(path)


def test_a_file_that_is_too_large_or_not_there_is_not_read(tmp_path, monkeypatch):
    with pytest.raises(InputError, match=r"m\.csv cannot be read: No such file"):
        read_matrix(tmp_path / "m.csv")
    (tmp_path / "m.csv").write_text("1,2\n", encoding="utf-8")
    monkeypatch.setattr(matrixfile, "MAX_BYTES", 3)
    with pytest.raises(InputError, match=r"at most 3 bytes, got 4 in .*m\.csv"):
        read_matrix(tmp_path / "m.csv")
