"""Figures as drawn: where points lie, what is left out, and what a reader can tell apart."""

import io
import json
import re
from dataclasses import replace
from xml.etree import ElementTree

import numpy as np
import pytest
from fontTools.ttLib import TTFont

from effbatch.core.errors import InputError
from effbatch.core.figures import Axis, Figure, Heat, Panel, Series, noise_axis
from effbatch.core.resources import bundled
from effbatch.laws import LAWS
from effbatch.show.charts import Drawing, draw, png, reading_key
from effbatch.show.charts.axes import log_ticks, tick_label
from effbatch.show.charts.ends import LINE
from effbatch.show.charts.look import COLOURS, FONTS, PANEL_WIDTH

ALPHA = Axis("1 + α", "log2", ticks=[1, 2, 4, 8])
RATE = Axis("best learning rate η", "log")
X = np.array([1.0, 2.0, 4.0, 8.0])


def figure(*series: Series, y: Axis = RATE, name: str = "rates") -> Figure:
    return Figure(name, "The best rate falls; <script> stays text.", [Panel(ALPHA, y, series, "Best rate")])


def measured(**changes) -> Series:
    series = Series("measured", "measured", X, 0.1 / X, low=0.05 / X, high=0.2 / X, group="MLP")
    return replace(series, **changes)


@pytest.fixture(scope="module")
def drawing() -> Drawing:
    return draw(
        figure(
            measured(),
            Series("theory", "predicted", X, 0.11 / X, group="MLP"),
            Series("clean count", "rival", X, 0.1 / X**2),
        )
    )


def rows(part: object) -> list[dict]:
    """Measured points as they stand in the data of a spec, wherever Altair put the data."""
    if isinstance(part, dict):
        return [part] if part.get("role") == "measured" else rows(list(part.values()))
    return [row for item in part for row in rows(item)] if isinstance(part, list) else []


def points(svg: str) -> np.ndarray:
    """Centres (x, y) of the filled symbols of the first group; legend, names and unseen points left out."""
    paths = ElementTree.fromstring(svg).iter("{http://www.w3.org/2000/svg}path")
    drawn = [p for p in paths if p.get("fill") == COLOURS[0] and p.get("opacity") == "1" and not p.get("stroke")]
    return np.array([re.findall(r"[-\d.]+", path.get("transform", "")) for path in drawn[: len(X)]], dtype=float)


def test_svg_is_well_formed_and_says_what_it_shows(drawing):
    root = ElementTree.fromstring(drawing.svg)
    title = root.find("{http://www.w3.org/2000/svg}title")
    assert title is not None
    assert title.text == "The best rate falls; <script> stays text."
    assert 'font-family="Inter,' in drawing.svg


def test_powers_of_two_are_evenly_spaced_on_both_log_axes(drawing):
    dx, dy = np.diff(points(drawing.svg), axis=0).T
    assert dx == pytest.approx([dx[0]] * 3)
    assert dy == pytest.approx([dy[0]] * 3)
    assert dx[0] > 0
    assert dy[0] > 0  # the rate halves, and svg counts down the page


def test_one_group_has_one_colour_and_a_rival_its_own_dashes(drawing):
    stroked = [tag for tag in re.findall(r"<path[^>]*>", drawing.svg) if "stroke-width" in tag]
    assert sum(f'stroke="{COLOURS[0]}"' in tag and 'stroke-width="2"' in tag for tag in stroked) == 1
    dashed = [tag for tag in stroked if "stroke-dasharray" in tag]
    assert [COLOURS[1] in tag for tag in dashed] == [True]


def test_two_rivals_differ_by_their_dashes():
    rivals = [Series(name, "rival", X, X) for name in ("linear", "square root")]
    dashes = re.findall(r'stroke-dasharray="([^"]+)"', draw(figure(*rivals)).svg)
    assert len(set(dashes)) == 2


def test_tick_labels_are_those_given(drawing):
    texts = [element.text for element in ElementTree.fromstring(drawing.svg).iter("{http://www.w3.org/2000/svg}text")]
    assert [text for text in texts if text in {"1", "2", "4", "8"}] == ["1", "2", "4", "8"]
    assert "best learning rate η" in texts


def test_points_without_a_value_are_left_out():
    kept = rows(draw(figure(measured(y=[0.1, None, float("nan"), 0.0125]))).spec)
    assert [row["x"] for row in kept] == [1.0, 8.0]


def test_an_interval_that_reaches_zero_reaches_the_edge_of_a_log_axis():
    low, high = [0.05, -1.0, 0.0125, 0.00625], [0.2, 0.1, float("inf"), None]
    axis = replace(RATE, domain=(1e-3, 1.0))
    kept = rows(draw(figure(measured(low=low, high=high), y=axis)).spec)
    assert [(row.get("low"), row.get("high")) for row in kept] == [
        (0.05, 0.2),
        (1e-3, 0.1),
        (0.0125, 1.0),
        (None, None),
    ]
    assert [row["interval"] for row in kept] == ["0.05 to 0.2", "−1 to 0.1", "0.0125 to ∞", "none"]


def test_ids_of_two_figures_never_meet_and_a_figure_is_drawn_alike_twice(drawing):
    def ids(svg: str) -> set[str]:
        return set(re.findall(r'id="([^"]+)"', svg))

    one, other = draw(figure(measured(), name="a b")), draw(figure(measured(), name="c"))
    assert ids(one.svg)
    assert not ids(one.svg) & ids(other.svg)
    assert set(re.findall(r"url\(#([^)]+)\)", one.svg)) == ids(one.svg)
    assert draw(figure(measured(), name="a b")) == one


def test_panels_of_a_row_share_their_size():
    panel = figure(measured()).panels[0]
    spec = draw(Figure("two", "", [panel, panel])).spec
    assert spec["columns"] == 2
    assert len({(p["width"], p["height"]) for p in spec["concat"]}) == 1


def texts_at(svg: str) -> dict[str, float]:
    """How far down the page each text begins."""
    places = re.findall(r"<text[^>]*translate\([-\d.]+,([-\d.]+)\)[^>]*>([^<]*)", svg)
    return {text: float(y) for y, text in places}


def test_few_curves_have_their_names_at_their_ends_and_no_legend():
    curves = [Series(name, "measured", X, scale * X, group=name) for name, scale in (("low", 1), ("high", 4))]
    drawn = draw(figure(*curves, y=Axis("steps", "log")))
    assert "role-legend" not in drawn.svg
    at, ends = texts_at(drawn.svg), points(drawn.svg)[-1]
    assert at["high"] < at["low"]
    assert at["low"] == pytest.approx(ends[1], abs=5)


def test_names_that_would_touch_are_pushed_apart_as_little_as_that_takes():
    close = [Series(name, "measured", X, X + 0.01 * i, group=name) for i, name in enumerate(("one", "two", "three"))]
    at = texts_at(draw(figure(*close, y=Axis("steps", domain=(0, 16)))).svg)
    assert at["one"] - at["two"] == pytest.approx(LINE)
    assert at["two"] - at["three"] == pytest.approx(LINE)


@pytest.mark.parametrize(
    "curves",
    [
        [Series(f"curve {i}", "measured", X, X + 0.01 * i) for i in range(6)],
        [Series("all", "measured", X, X), Series("half", "measured", X[:2], X[:2])],
        [Series("a name that is longer than any place beside it", "measured", X, X), Series("b", "measured", X, 2 * X)],
    ],
    ids=["too many at one place", "one ends early", "too long"],
)
def test_a_legend_stays_where_names_find_no_place_at_the_ends(curves):
    assert "role-legend" in draw(figure(*curves, y=Axis("steps", domain=(0, 20)))).svg


def test_the_axis_of_noise_has_a_place_for_none_and_equal_steps_for_equal_factors_of_labels():
    alphas = np.array([0.0, 1.0, 3.0, 7.0])
    drawn = draw(Figure("noise", "", [Panel(noise_axis(alphas), RATE, [measured(x=alphas)])]))
    dx = np.diff(points(drawn.svg)[:, 0])
    assert dx == pytest.approx([dx[0]] * 3)
    assert dx[0] > 0


def test_reading_key_names_only_what_is_there():
    theory = Series("theory", "predicted", X, X)
    assert reading_key(figure(measured(), theory)) == (
        "Points, joined by thin lines, measured (bars: interval); solid lines, predicted."
    )
    assert reading_key(figure(theory)) == "Solid lines, predicted."
    unknown = Series("theory", "predicted", X, np.full_like(X, np.nan, dtype=float))
    rivals = [Series(name, "rival", X, X) for name in "ab"]
    assert reading_key(figure(theory, rivals[0])) == "Solid lines, predicted; dashed lines, for comparison."
    assert reading_key(figure(unknown, *rivals)) == "Dashed and dotted lines, for comparison."


def test_bars_at_one_place_stand_beside_each_other():
    def x(another):
        return points(draw(figure(measured(), replace(another, name="another", group="conv"))).svg)[:, 0]

    assert x(measured(low=None, high=None)) - x(measured()) == pytest.approx(2.5)


@pytest.mark.parametrize(
    ("value", "scale", "text"),
    [
        (1 / 128, "log2", "1/128"),
        (128.0, "log2", "128"),
        (0.3, "log2", "0.3"),
        (5000, "log", "5,000"),
        (1e5, "log", "10⁵"),
        (2e-4, "log", "0.0002"),
        (2e-5, "log", "2×10⁻⁵"),
        (-0.5, "linear", "−0.5"),
        (0, "linear", "0"),
    ],
)
def test_tick_label(value, scale, text):
    assert tick_label(value, scale) == text


@pytest.mark.parametrize(
    ("low", "high", "base", "ticks"),
    [
        (0.9, 2000, 10, [1, 10, 100, 1000]),
        (1.5, 60, 10, [2, 5, 10, 20, 50]),
        (31, 62, 10, [40, 50, 60]),
        (0.2, 9, 2, [0.25, 0.5, 1, 2, 4, 8]),
        (1, 2**13, 2, [1, 4, 16, 64, 256, 1024, 4096]),
    ],
)
def test_log_ticks_are_round_few_and_inside(low, high, base, ticks):
    assert log_ticks(low, high, base) == pytest.approx(ticks)


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        (lambda: Figure("none", "", []), "figure 'none' needs at least one panel"),
        (lambda: figure(measured(y=[0.1, -0.2, 0.1, 0.1])), r"'best learning rate η' needs positive .* -0\.2"),
        (lambda: figure(Series("s", "measured", X, [None] * 4)), "at least one finite value to show"),
    ],
    ids=["no panels", "negative on a log axis", "nothing to show"],
)
def test_bad_figures_say_what_is_wrong(bad, words):
    with pytest.raises(InputError, match=words):
        draw(bad())


def test_a_map_covers_its_grid_without_gaps_and_leaves_out_what_was_not_run():
    values = [[0.1, 0.2, 0.3], [0.4, float("nan"), 0.6]]
    heat = Heat("accuracy", [1.0, 2.0, 4.0], [0.1, 0.4], values, (0.0, 1.0))
    ridge = Series("theory", "predicted", [1.0, 4.0], [0.1, 0.4])
    drawn = draw(Figure("map", "", [Panel(ALPHA, RATE, [ridge], heat=heat)]))
    tiles = {(row["x"], row["y"]): row for row in drawn.spec["datasets"]["heat0"]}
    assert set(tiles) == {(1, 0.1), (2, 0.1), (4, 0.1), (1, 0.4), (4, 0.4)}
    assert tiles[1, 0.1]["right"] == pytest.approx(tiles[2, 0.1]["left"]) == pytest.approx(2**0.5)
    assert tiles[1, 0.1]["top"] == pytest.approx(tiles[1, 0.4]["bottom"]) == pytest.approx(0.2)
    assert len(re.findall(r"<path[^>]*rgb\([^>]*stroke-width=\"0.6\"", drawn.svg)) == 5
    found = Series("found", "measured", [1.0], [0.1], low=[0.05], high=[0.2])
    assert reading_key(Figure("map", "", [Panel(ALPHA, RATE, [ridge, found], heat=heat)])) == (
        "Shades, measured; white points, measured (bars: interval); white line, predicted."
    )


def test_an_interval_along_x_is_drawn_along_x_and_categories_have_names():
    laws = Axis("", ticks=[0, 1], names=["√B", "linear in B"], domain=(-0.5, 1.5))
    series = Series("laws", "measured", [2.0, 5.0], [0, 1], low=[1.0, 4.0], high=[3.0, None], interval="x")
    drawn = draw(Figure("regret", "", [Panel(Axis("points lost", domain=(0, 10)), laws, [series])]))
    texts = [element.text for element in ElementTree.fromstring(drawn.svg).iter("{http://www.w3.org/2000/svg}text")]
    assert {"√B", "linear in B"} <= set(texts)
    (bar,) = re.findall(r'<line transform="[^"]*" x2="([-\d.]+)" y2="0" stroke="#0072B2"', drawn.svg)
    assert abs(float(bar)) == pytest.approx(PANEL_WIDTH[1] * 0.2)


def test_a_reader_who_zooms_in_finds_more_ticks():
    (panel,) = draw(figure(Series("wide", "measured", X, [1e-4, 1e-2, 1.0, 100.0]))).spec["concat"]
    ticks = panel["layer"][0]["encoding"]["y"]["axis"]["values"]
    fine, coarse = (json.loads(part) for part in ticks["expr"].split("?")[1].split(":"))
    assert set(coarse) < set(fine)
    assert "panel0_y" in ticks["expr"]


def test_on_paper_there_are_no_points_to_hover_over(drawing):
    assert 'opacity="0"' not in drawing.svg
    assert "graphics-symbol" not in drawing.svg


def test_a_png_is_dark_on_white_at_three_pixels_a_point(drawing):
    from PIL import Image

    image = Image.open(io.BytesIO(png(figure(measured()))))
    width = float(ElementTree.fromstring(draw(figure(measured())).svg).get("width", "0"))
    assert image.width == pytest.approx(3 * width, abs=3)
    assert image.convert("RGB").getpixel((1, 1)) == (255, 255, 255)
    assert image.convert("L").getextrema()[0] < 80


def test_powers_are_raised_wherever_a_chart_has_words():
    axes = Axis("(1+α)^−¾", "log"), Axis("laws, B^b", ticks=(0, 1), names=("n^0.53", "n^(−s/(1+s))"), domain=(-1, 2))
    curves = [Series(law.formula, "rival", X, [0, 1, 0, 1]) for law in LAWS.values()]
    shown = Figure("powers", "S ∝ (1+α)^β", [Panel(*axes, curves, "B/(1+α)^δ")])
    drawn = draw(shown, alone=True)
    assert "^" not in drawn.svg
    assert "^" not in json.dumps(drawn.spec, ensure_ascii=False)
    for words in (
        "(1+α)⁻³ᐟ⁴",
        "laws, Bᵇ",
        "n⁰·⁵³",
        "n⁻ˢᐟ⁽¹⁺ˢ⁾",
        "η ∝ B¹ᐟ⁴ (1+α)⁻³ᐟ⁴",
        "S ∝ (1+α)ᵝ",
        "B/(1+α)ᵟ",
    ):
        assert words in drawn.svg
    regular, bold, _ = (TTFont(bundled("templates") / "fonts" / file).getBestCmap().keys() for file in FONTS)
    assert {ord(letter) for letter in drawn.svg if letter > "~"} <= regular & bold
