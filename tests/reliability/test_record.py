"""The recorded page has the rows and columns of the faults that are tried now, and none of them failed."""

from __future__ import annotations

from pathlib import Path

import load
import long_tests
import pytest
from faults import FAULTS
from record import COLUMNS, PAGE


def tables() -> list[list[list[str]]]:
    """The tables of the page: rows of cells, headings first."""
    found: list[list[list[str]]] = [[]]
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        if line.startswith("|"):
            found[-1].append([cell.strip() for cell in line.strip("|").split("|")])
        elif found[-1]:
            found.append([])
    return [[row for row in table if set(row) != {"---"}] for table in found if table]


def test_the_recorded_page_tells_of_every_fault():
    faults, large, _ = tables()
    missed = PAGE.read_text(encoding="utf-8").count("Not tried:")
    assert tuple(faults[0]) == COLUMNS
    assert len(faults) - 1 + missed == len(FAULTS)
    assert [row[0] for row in large[1:]] == list(load.WHAT.values())


@pytest.mark.parametrize("what", load.WHAT)
def test_large_sweeps_are_measured_as_small_ones_are_here(what, tmp_path, monkeypatch):
    monkeypatch.setattr(load, "CUBE", {"alpha": 2, "batch_size": 2, "learning_rate": 9, "seed": 3})
    monkeypatch.setattr(load, "UNITS", 4)
    load.make_cube(tmp_path / "cube.nc")
    assert load.MEASUREMENTS[what](tmp_path)["cpu"] > 0


def test_the_recorded_page_tells_of_every_file_of_long_tests():
    *_, counts = tables()
    assert counts[0] == ["what", *long_tests.OUTCOMES]
    assert [row[0] for row in counts[1:]] == [long_tests.title(name) for name in long_tests.FILES]
    for what, passed, failed, _ in counts[1:]:
        assert int(passed) > 0, what
        assert failed == "0", what


def test_failed_and_skipped_tests_are_not_counted_as_passed():
    name = long_tests.FILES[0]
    place = f'classname="tests.reliability.{Path(name).stem}"'
    found = long_tests.outcomes(
        f"<testsuites><testsuite><testcase {place} name='a'/><testcase {place} name='b'><failure/></testcase>"
        f"<testcase {place} name='c'><skipped/></testcase><testcase {place} name='d'><error/></testcase>"
        "</testsuite></testsuites>"
    )
    assert found[name] == {"passed": 1, "failed": 2, "skipped": 1}


def test_nothing_recorded_failed():
    for fault, tried, *failures, _ in tables()[0][1:]:
        assert int(tried.replace(",", "")) > 0, fault
        assert set(failures) == {"0"}, fault
