"""The HTML report in a real browser: no violation that axe-core knows, no sideways scrolling, light and dark."""

import axe
import pytest

from effbatch.claims import Verdict
from effbatch.core.figures import Axis, Figure, Heat, Panel, Series, Table
from effbatch.core.pages import Code, Heading, Terms
from effbatch.show.rendering import render_html
from effbatch.show.report import Chapter, Report

pytestmark = pytest.mark.skipif(bool(axe.MISSING), reason=axe.MISSING)


@pytest.fixture(scope="module")
def page() -> str:
    x = [1, 2, 4, 8]
    series = [
        Series(
            "measured", "measured", x, x, low=[0.5, 1, 2, 4], high=[2, 4, 8, 16], group="a network with a long name"
        ),
        Series("predicted", "predicted", x, x, group="a network with a long name"),
        Series("rival", "rival", x, [1, 1, 1, 1], group="another law, which has a long name too"),
    ]
    axes = Axis("1 + α", "log2", ticks=x), Axis("best learning rate", "log")
    heat = Heat("accuracy, %", x, x, [[10, 20, 30, 40]] * 4, (10, 100))
    panel = Panel(*axes, series)
    figures = [
        Figure("rates", "The rate falls.", [panel] * 3),
        Figure("map", "The map shows it.", [Panel(*axes, series, heat=heat)]),
    ]
    columns = [f"a wide column, {i}" for i in range(12)]
    table = Table("wide", "Wide, and it scrolls.", columns, [[1.5] * 12, ["words that stay together"] * 12])
    command = "effbatch validate rate --out a/folder/with/a/very/long/name/that/does/not/fit/on/a/telephone"
    terms = Terms({"Question": "Does it?", "Predicted": "It does."})
    limits = [Heading("Limits"), "- One of them.", Heading("Reproduce"), Code(command)]
    chapter = Chapter(
        name="rate",
        title="The best rate falls",
        parts=["It falls as (1+α)^-0.5.", terms, *figures, table, *limits],
        verdict=Verdict.SUPPORTED,
        headline="δ = 2",
        references=["Green and Swets 1966"],
    )
    others = [
        Chapter(name=verdict, title=verdict, parts=["It is not known.", terms], verdict=verdict, headline="δ")
        for verdict in (Verdict.REFUTED, Verdict.UNDECIDED)
    ]
    return render_html(
        Report(title="Rates", asked="Which rate?", created="2026-11-22T16:48:00+00:00", chapters=[chapter, *others])
    )


@pytest.mark.parametrize("scheme", axe.SCHEMES)
def test_a_browser_finds_nothing_to_complain_of(page, tmp_path, scheme):
    found = axe.findings(page, tmp_path, scheme=scheme)
    assert set(found) == {400, 1000}
    for width, what in found.items():
        assert what["drawn"], "the interactive charts took the place of the drawings"
        assert what["violations"] == []
        assert what["wide"] == []
        assert what["width"] <= width
        red = int(what["ink"].removeprefix("rgb(").split(",")[0])
        assert (red > 128) is (scheme == "dark")
