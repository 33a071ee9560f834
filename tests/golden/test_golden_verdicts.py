"""The recorded cubes of every data set, judged again, give the recorded verdicts, numbers and p-values."""

from __future__ import annotations

import json

import inside
import pytest
from commands import CLOSED, RESULTS, recorded
from difference import assert_same

FOLDERS = sorted(RESULTS.iterdir())


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_a_recorded_cube_is_judged_as_recorded(folder):
    judged = inside.judgements(folder)
    before = recorded(f"verdicts_{folder.name}")["verdicts"]
    assert [verdict["simulation"] for verdict in before] == [verdict["simulation"] for verdict in judged]
    known = [{key: verdict[key] for key in judged[0]} for verdict in before]
    assert_same(known, judged, CLOSED)


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_published_verdicts_and_scorecard_are_as_recorded(folder):
    """tests/test_recorded_results.py makes these files anew from the cubes, the scorecard too."""
    published = json.loads((folder / "verdicts.json").read_text(encoding="utf-8"))
    assert_same(recorded(f"verdicts_{folder.name}"), published)
