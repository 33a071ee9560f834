"""docs/data.md says of data what reading them says."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

from effbatch.networks.zoo import NETWORKS

DOCS = Path(__file__).parents[2] / "docs"


def test_the_page_holds_what_is_read():
    pytest.importorskip("PIL")
    made = runpy.run_path(str(DOCS / "data_table.py"))
    page = (DOCS / "data.md").read_text(encoding="utf-8")
    assert made["with_tables"](page) == page, "python docs/data_table.py"
    assert made["with_tables"](page.replace("vocabulary 256", "vocabulary 255")) == page


def test_the_page_names_every_network():
    page = (DOCS / "data.md").read_text(encoding="utf-8")
    assert not [name for name in NETWORKS if f"`{name}`" not in page]
