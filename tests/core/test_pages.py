"""An answer is shown by what show/ registers for it, which loads when it is first needed; pages as text and HTML."""

from __future__ import annotations

import subprocess
import sys

import pytest

from effbatch.audit import estimate_noise
from effbatch.core.errors import InputError
from effbatch.core.estimate import Estimate
from effbatch.core.figures import Table, figures
from effbatch.core.pages import Code, Heading, Note, Page, page
from effbatch.show.notebook import as_html
from effbatch.show.terminal import as_text

PAGE = Page(
    "Rate 0.1 [0.05, 0.2].",
    [
        "A sentence of some words.",
        Heading("Why <so>"),
        "- an item that is long enough to need another line",
        Table("t", "", ("α", "rate", ""), [[3, Estimate(0.1, 0.05, 0.15), "x"], [30, Estimate(None, 1.0), ""]]),
        Note("n = 12 seeds"),
        Code("a = 1\n\nb = a"),
    ],
)


def test_a_page_as_text():
    assert as_text(PAGE, 40).splitlines() == [
        "Rate 0.1 [0.05, 0.2].",
        "A sentence of some words.",
        "",
        "Why <so>",
        "  - an item that is long enough to need",
        "    another line",
        "   α  rate",
        "   3  0.10 [0.05, 0.15]         x",
        "  30  cannot tell (at least 1)",
        "  n = 12 seeds",
        "",
        "    a = 1",
        "",
        "    b = a",
    ]


def test_a_table_too_wide_is_told_row_by_row_and_no_number_is_cut():
    told = as_text(PAGE, 28).splitlines()
    assert "  α 3, rate" in told
    assert "      0.10 [0.05, 0.15], x" in told
    assert max(map(len, told)) <= 28


def test_a_page_as_html_is_escaped():
    html = as_html(PAGE)
    assert "<h4>Why &lt;so&gt;</h4>" in html
    assert "<tr><td>3</td><td>0.10 [0.05, 0.15]</td><td>x</td></tr>" in html
    assert "<pre>a = 1\n\nb = a</pre>" in html


def test_an_answer_prints_and_shows_its_page():
    found = estimate_noise(200, 66, 10)
    assert str(found) == as_text(page(found))
    assert found._repr_html_() == as_html(page(found))


@pytest.mark.parametrize("answer", ["laws", 3, [], Estimate])
def test_what_is_no_answer_has_no_page_and_no_figure(answer):
    with pytest.raises(InputError, match=f"a page needs what predict .* returned.*; got {type(answer).__name__}"):
        page(answer)
    with pytest.raises(InputError, match=f"a plot needs what predict .* returned.*; got {type(answer).__name__}"):
        figures(answer)


def test_showing_loads_no_heavy_library():
    code = (
        "import sys\nfrom effbatch.audit import estimate_noise\nprint(estimate_noise(200, 66, 10))\n"
        "print(sorted({'torch', 'xarray', 'vl_convert', 'rich', 'statsmodels'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
