"""What came of a claim -> its page and figures."""

from __future__ import annotations

from effbatch.claims import Judgement
from effbatch.core.figures import Figure, figures
from effbatch.core.formats import numbers_table
from effbatch.core.pages import Page, page


@page.register
def judgement_page(found: Judgement) -> Page:
    """Verdict and finding, the numbers behind them, and the limits."""
    numbers = numbers_table("numbers", "", found.numbers)
    return Page(f"{found.verdict.upper()}: {found.finding}", [numbers, *found.limits])


@figures.register
def judgement_figures(found: Judgement) -> list[Figure]:
    """Those of the report."""
    return list(found.figures)
