"""The recorded page has the rows and columns of the faults that are tried now, and none of them failed."""

from __future__ import annotations

from faults import FAULTS
from load import WHAT
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
    faults, large = tables()
    missed = PAGE.read_text(encoding="utf-8").count("Not tried:")
    assert tuple(faults[0]) == COLUMNS
    assert len(faults) - 1 + missed == len(FAULTS)
    assert [row[0] for row in large[1:]] == list(WHAT.values())


def test_nothing_recorded_failed():
    for fault, tried, *failures, _ in tables()[0][1:]:
        assert int(tried.replace(",", "")) > 0, fault
        assert set(failures) == {"0"}, fault
