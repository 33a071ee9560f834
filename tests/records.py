"""The recorded cubes of every data set, judged once for all tests that look at them."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from effbatch.plan.cube import open_cubes
from effbatch.show.report import Report
from effbatch.validation import document, scorecard
from effbatch.validation.judged import JudgedCube, judge_all

RESULTS = Path(__file__).parent.parent / "simulations" / "results"
FOLDERS = sorted(RESULTS.iterdir())


@cache
def judged(folder: Path) -> dict[str, JudgedCube]:
    """Every simulation that was recorded there."""
    return judge_all(open_cubes(folder))


@cache
def card(folder: Path) -> list[scorecard.Line]:
    """How the laws score on them."""
    return scorecard.measure(judged(folder))


@cache
def report(folder: Path) -> Report:
    """The report that `rejudge.py` writes."""
    return document.report(judged(folder), card(folder))
