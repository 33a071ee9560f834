"""Tables of counts, however they are dressed: the same counts; and those with no reading, or two, are named."""

from __future__ import annotations

import codecs

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from effbatch.audit.sizes import read_sizes
from effbatch.audit.tables import read_counts, read_named_matrix
from effbatch.core.errors import InputError

BELTS = np.array([[70, 0, 4], [2, 90, 0], [5, 1, 80]])
NAMES = ("belt", "empty", "no belt")


def read(tmp_path, content: str | bytes, **options):
    path = tmp_path / "counts.csv"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return read_counts(path, **options)


def examples_of(counts: np.ndarray, names) -> tuple[pd.Series, pd.Series]:
    """Classes, one example each, that have these counts."""
    K = len(counts)
    checked, given = (
        np.repeat(np.repeat(np.arange(K), K), counts.ravel()),
        np.repeat(np.tile(np.arange(K), K), counts.ravel()),
    )
    names = np.asarray(names)
    return pd.Series(names[checked], name="checked"), pd.Series(names[given], name="given")


# --- the same counts in every dress ---


@st.composite
def dressed(draw):
    K = draw(st.integers(2, 5))
    counts = np.array(draw(st.lists(st.integers(0, 2500), min_size=K * K, max_size=K * K))).reshape(K, K)
    counts[0, 0], counts[-1, -1], counts[0, -1] = 3, counts.sum() + 7, 1  # no sums by chance; not all in thousands
    names = draw(st.permutations(["cat", "hot, dog", "Ärmel; kurz", "b²", "²", "7"]))[:K]
    separator = draw(st.sampled_from([",", ";", "\t"]))
    decimals = draw(st.sampled_from(["", ".0", ",0", ",00"] if separator != "," else ["", ".0"]))
    thousands = draw(st.sampled_from({"": ["", ",", ".", " "], ".0": ["", ","]}.get(decimals, ["", "."])))
    if separator == "," and thousands == ".":
        thousands = ","
    order = draw(st.permutations(range(K)))
    sums, named, bom = draw(st.booleans()), draw(st.booleans()), draw(st.booleans())
    quoted, blank = draw(st.booleans()), draw(st.booleans())
    table, rows, columns = counts[order] if named else counts, [names[i] for i in order], list(names)
    if sums:
        table = np.vstack([table, table.sum(0)])
        table = np.hstack([table, table.sum(1, keepdims=True)])
        rows, columns = [*rows, "All"], [*columns, draw(st.sampled_from(["All", "Total", ""]))]
    cells = [[f"{n:,}".replace(",", thousands) + decimals for n in row] for row in table]
    if named:
        cells = [["checked", *columns], *([name, *row] for name, row in zip(rows, cells, strict=True))]

    def written(cell: str) -> str:
        return f'"{cell}"' if quoted or separator in cell else cell

    lines = [separator.join(map(written, row)) for row in cells]
    if blank:
        lines[1:1] = ["", separator * (len(cells[0]) - 1)]
    text = ("\r\n" if blank else "\n").join(lines) + "\n"
    return counts, tuple(names) if named else None, (codecs.BOM_UTF8 if bom else b"") + text.encode()


@settings(max_examples=300, deadline=None)
@given(dressed())
def test_counts_are_the_same_in_every_dress(tmp_path_factory, case):
    counts, names, content = case
    path = tmp_path_factory.getbasetemp() / "dressed.csv"
    path.write_bytes(content)
    table = read_counts(path)
    np.testing.assert_array_equal(table.counts, counts)
    assert table.names == names


@pytest.mark.parametrize("names", [NAMES, (0, 1, 2), (1, 2, 3)], ids=["words", "from 0", "from 1"])
@pytest.mark.parametrize("margins", [False, True])
def test_what_pandas_writes(tmp_path, names, margins):
    frame = pd.crosstab(*examples_of(BELTS, names), margins=margins)
    said = None if names == (0, 1, 2) else tuple(map(str, names))
    for options in ({}, {"sep": "\t"}, {"sep": ";", "decimal": ","}):
        table = read(tmp_path, frame.to_csv(**options))
        np.testing.assert_array_equal(table.counts, BELTS)
        assert table.names == said
        assert ("sums left out" in table.read_as) == margins
    without_index = read(tmp_path, pd.crosstab(*examples_of(BELTS, names)).to_csv(index=False))
    np.testing.assert_array_equal(without_index.counts, BELTS)
    assert without_index.names == said


def test_a_matrix_may_name_its_classes(tmp_path):
    T = np.array([[0.8, 0.1, 0.1], [0.0, 0.7, 0.3], [0.3, 0.1, 0.6]])
    file, names = tmp_path / "T.csv", ("cat", "dog", "ape")
    frame = pd.DataFrame(T, index=names, columns=names)
    for text in (frame.to_csv(), frame.loc[["ape", "dog", "cat"]].to_csv(sep=";", decimal=",")):
        file.write_text(text)
        matrix, read = read_named_matrix(file)
        assert (matrix.tolist(), read) == (T.tolist(), names)
    np.savetxt(file, T, delimiter=",")
    assert read_named_matrix(file)[1] is None
    file.write_text(frame.astype(str).replace("0.7", "x").to_csv())
    with pytest.raises(InputError, match="'x' is not a number"):
        read_named_matrix(file)
    file.write_text(frame.rename(index={"ape": "Ape"}).to_csv())
    with pytest.raises(InputError, match="only the rows have Ape, only the columns ape"):
        read_named_matrix(file)


def test_shares_become_counts_with_their_numbers(tmp_path):
    for normalize, checked in (("index", [74, 92, 86]), ("columns", [77, 91, 84]), ("all", [252])):
        frame = pd.crosstab(*examples_of(BELTS, NAMES), normalize=normalize)
        for scaled in (frame, 100 * frame, (100 * frame).round(1)):
            with pytest.raises(InputError, match=r"sums? to 1(00)?: (shares|percentages) need to know of how many"):
                read(tmp_path, scaled.to_csv())
            table = read(tmp_path, scaled.to_csv(), checked=checked)
            np.testing.assert_array_equal(table.counts, BELTS)
            assert f"of {','.join(map(str, checked))} checked, as counts" in table.read_as
            assert table.read_as.startswith("3 classes (belt, empty, no belt) from names, 252 checked")


def test_whole_rows_of_100_may_be_counts_or_percentages(tmp_path):
    content = "90,10,0\n5,95,0\n0,20,80\n"
    with pytest.raises(
        InputError,
        match=r"may be counts, 100 checked of each, or percentages: say --checked 300 for counts, --checked N1",
    ):
        read(tmp_path, content)
    as_counts = [[90, 10, 0], [5, 95, 0], [0, 20, 80]]
    np.testing.assert_array_equal(read(tmp_path, content, checked=[300]).counts, as_counts)
    np.testing.assert_array_equal(read(tmp_path, content, whole_are_counts=True).counts, as_counts)
    of_others = read(tmp_path, content, checked=[10, 40, 5]).counts
    np.testing.assert_array_equal(of_others, [[9, 1, 0], [2, 38, 0], [0, 1, 4]])
    assert read(tmp_path, "60,1,2\n3,20,1\n4,5,4\n").counts.sum() == 100  # a hundred checked in all


def test_percent_signs_are_left_out(tmp_path):
    table = read(tmp_path, "\t a\t b\na\t90,5 %\t9,5 %\nb\t12,5 %\t87,5 %\n", checked=[200, 40])
    np.testing.assert_array_equal(table.counts, [[181, 19], [5, 35]])


def test_a_class_that_one_side_lacks_has_no_counts(tmp_path):
    table = read(tmp_path, "checked,a,b\na,5,1\nb,2,7\nc,1,3\n")
    np.testing.assert_array_equal(table.counts, [[5, 1, 0], [2, 7, 0], [1, 3, 0]])
    assert table.names == ("a", "b", "c")
    assert "no column for c: taken as 0" in table.read_as


@pytest.mark.parametrize(
    ("content", "counts"),
    [
        ("5 1\n2 7\n", [[5, 1], [2, 7]]),
        ("# given\n5.0e+00 1.0e+00\n2.0e+00 7.0e+00\n", [[5, 1], [2, 7]]),
        ('"a" "b"\n"a" 5 1\n"b" 2 7\n', [[5, 1], [2, 7]]),
        (",a,b\nb,2,7\na,5,1\n", [[5, 1], [2, 7]]),
        ("a,5,1\nb,2,7\n", [[5, 1], [2, 7]]),
        (",a,b\na,5,1\nb,2,7\nTotal,7,8\n", [[5, 1], [2, 7]]),
        ("5;1;6\n2;7;9\n", [[5, 1], [2, 7]]),
        ("5;1;\n2;7;\n;;\n", [[5, 1], [2, 7]]),
        ('"1,080",3\n2,7\n', [[1080, 3], [2, 7]]),
        ("1.080;3\n2;7\n", [[1080, 3], [2, 7]]),
        ("1'080;3\n2;7\n", [[1080, 3], [2, 7]]),
        ("80.000,3.000\n2.000,7.000\n", [[80, 3], [2, 7]]),
        ("80,000;3,000\n2,000;0,000\n", [[80, 3], [2, 0]]),
        (codecs.BOM_UTF16_LE + "\ta\tb\na\t5\t1\nb\t2\t7\n".encode("utf-16-le"), [[5, 1], [2, 7]]),
        (";Öl;Kohle\nÖl;5;1\nKohle;2;7\n".encode("cp1252"), [[5, 1], [2, 7]]),
    ],
)
def test_other_ways_to_write_the_same(tmp_path, content, counts):
    np.testing.assert_array_equal(read(tmp_path, content).counts, counts)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("80,000;3,000\n2,000;7,000\n", "'80,000' may be 80000 or 80: write numbers without marks between thousands"),
        (",a,b\na,5,\nb,2,7\n", "a cell is empty: write 0"),
        (",a,b\na,5,x\nb,2,7\n", "'x' is not a number"),
        (",a,b\na,5,1\nb,2,7\nAll,9,9\n", "the row 'All' needs to hold the sums of the others"),
        (",a,a\na,5,1\na,2,7\n", "each row needs another name, got 'a' twice"),
        (",a,b\na,5,1\nc,2,7\n", "only the rows have c, only the columns b"),
        (",ape,Ape\nape,5,1\nApe,2,7\n", "hold 'ape' and 'Ape', which may be one class or two"),
        ("given,a,b\na,5,1\nb,2,7\n", "the rows are called 'given': exchange rows and columns"),
        ("1,2,3\n4,5,9\n7,8,1\n9,9,9\n3,1,1\n", "got 5 rows and 3 columns"),
        ("0.5,0.7\n1.5,2\n", "no shares either: no sum is 1 or 100"),
        ("-5,1\n2,7\n", "whole numbers >= 0"),
        ("5,1\n2,7\n" * 110, "at most 200 classes, got 220 rows"),
    ],
)
def test_what_has_no_reading_or_two_is_named(tmp_path, content, words):
    with pytest.raises(InputError, match=words):
        read(tmp_path, content)


def test_the_number_checked_is_not_needed_for_counts(tmp_path):
    with pytest.raises(InputError, match="the counts say that 15 were checked, got --checked 20: leave it out"):
        read(tmp_path, "5,1\n2,7\n", checked=[20])


# --- sizes ---


@pytest.mark.parametrize(
    "content",
    ["30,20,50", "30\n20\n50\n", "size\n30\n20\n50\n", "label,count\nc,50\na,30\nb,20\n", "c;a;b\n50;30;20\n"],
)
def test_sizes_are_read_in_order_or_by_name(tmp_path, content):
    (tmp_path / "s.csv").write_text(content)
    assert read_sizes(tmp_path / "s.csv", ("a", "b", "c")).tolist() == [30, 20, 50]
    assert read_sizes("30, 20, 50", ("a", "b", "c")).tolist() == [30, 20, 50]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("30,20", "one number for each of the 3 given labels, .*these are 2"),
        ("a,30\nb,20\n", "the size of 'c' is missing"),
        ("a,30\nb,20\nd,3\n", "'d' is no class of the counts"),
        ("a,30\na,20\nb,3\n", "a class is named twice"),
        ("a,30\nb,x\nc,3\n", "'x' is not a number"),
        ("1,2,3\n1,2,3\n1,2,3\n", "neither two rows nor two columns"),
    ],
)
def test_sizes_of_other_shapes_are_named(tmp_path, content, words):
    (tmp_path / "s.csv").write_text(content)
    with pytest.raises(InputError, match=words):
        read_sizes(tmp_path / "s.csv", ("a", "b", "c"))
