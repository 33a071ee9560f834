"""The published verdicts of every data set, which other tests make anew from the cubes, are the recorded ones."""

from __future__ import annotations

import json

import pytest
from commands import RESULTS, recorded
from difference import assert_same

FOLDERS = sorted(RESULTS.iterdir())


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_published_verdicts_and_scorecard_are_as_recorded(folder):
    published = json.loads((folder / "verdicts.json").read_text(encoding="utf-8"))
    assert_same(recorded(f"verdicts_{folder.name}"), published)
