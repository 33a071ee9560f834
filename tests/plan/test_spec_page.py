"""docs/spec.md says of every key what the declarations say, and no more keys than there are."""

from __future__ import annotations

import runpy
from pathlib import Path

from effbatch.plan import options

DOCS = Path(__file__).parents[2] / "docs"


def test_the_page_holds_the_tables_of_the_declared_keys():
    made = runpy.run_path(str(DOCS / "spec_keys.py"))
    page = (DOCS / "spec.md").read_text(encoding="utf-8")
    assert made["with_tables"](page) == page, "python docs/spec_keys.py"
    rows = {line.split("`")[1] for line in page.splitlines() if line.startswith("| `")}
    assert {*options.SIMULATION, *options.DATA, *options.TRAIN, *options.GRID} <= rows
    assert f"with `refine`, {options.RANGE['refine'].limits}, it is an" in " ".join(page.split())


def test_a_row_that_somebody_changed_is_written_anew():
    made = runpy.run_path(str(DOCS / "spec_keys.py"))
    page = (DOCS / "spec.md").read_text(encoding="utf-8")
    assert made["with_tables"](page.replace("| `momentum` | `0.0` |", "| `momentum` | `0.9` |")) == page
