"""Numbers and tables as text: columns that line up, mathematics in plain text, CSV that holds everything."""

import csv
import io

import pytest

from effbatch.core.estimate import Estimate, exact
from effbatch.core.figures import Axis, Figure, Heat, Number, Panel, Series, Table
from effbatch.core.formats import (
    FIGURE_SPACE,
    POINT_SPACE,
    TIME,
    aligned,
    duration,
    estimate_text,
    figure_csv,
    formatted,
    is_quantity,
    marked_up,
    numbers_table,
    table_csv,
    typeset,
)


def test_decimal_points_stand_below_each_other():
    cells = aligned(["1.25", "−30.5", "4", "–", "cannot tell"])
    assert cells == ["1.25", f"−30.5{FIGURE_SPACE}", f"4{POINT_SPACE}{FIGURE_SPACE * 2}", "–", "cannot tell"]
    after_the_point = {len(cell.replace(POINT_SPACE, ".").rpartition(".")[2]) for cell in cells[:3]}
    assert after_the_point == {2}


def test_a_limit_near_0_has_digits_of_its_own_unless_it_belongs_to_a_difference():
    found = Estimate(4.51, 0.0334, 11.1, n=10, level=0.9)
    assert estimate_text(found, "points", n=False) == "4.51 points [0.0334, 11.1]"
    assert estimate_text(found, "points", n=False, difference=True) == "5 points [0, 11]"


def test_whole_numbers_stay_as_they_are():
    assert aligned(["1,024", "8"]) == ["1,024", "8"]
    assert aligned(["mlp1", "8"]) == ["mlp1", "8"]


@pytest.mark.parametrize(
    ("cells", "answer"),
    [
        (["1.5", "–"], True),
        (["−2", "cannot tell"], True),
        (["1 h 12 min", "< 0.01 s"], True),
        (["–", ""], False),
        (["1.5", "B = 8"], False),
    ],
    ids=["numbers", "one cannot be told", "durations", "nothing", "words"],
)
def test_a_column_of_numbers_is_told_from_words(cells, answer):
    assert is_quantity(cells) is answer


@pytest.mark.parametrize(
    ("text", "html", "plain"),
    [
        ("(1+α)^-0.49 < B", "(1+α)<sup>−0.49</sup> &lt; B", "(1+α)⁻⁰·⁴⁹ < B"),
        ("n* ∝ (1+α)^β", "n* ∝ (1+α)<sup>β</sup>", "n* ∝ (1+α)ᵝ"),
        ("(1+α)^(−2/(1+s)) S_0", "(1+α)<sup>(−2/(1+s))</sup> S<sub>0</sub>", "(1+α)⁻²ᐟ⁽¹⁺ˢ⁾ S_0"),
        ("B^¼ (1+α)^−¾", "B<sup>¼</sup> (1+α)<sup>−¾</sup>", "B¹ᐟ⁴ (1+α)⁻³ᐟ⁴"),
        ("(1+α)^0.53, [0.4, 0.6]", "(1+α)<sup>0.53</sup>, [0.4, 0.6]", "(1+α)⁰·⁵³, [0.4, 0.6]"),
        ("L X^(1/L)", "L X<sup>(1/L)</sup>", "L X^(1/L)"),
        ("B_noise, square_root", "B<sub>noise</sub>, square_root", "B_noise, square_root"),
        ("n = 12, 95 %", "n\u00a0=\u00a012, 95\u00a0%", "n = 12, 95 %"),
        ("predicted: -2.1, 2011-12", "predicted: −2.1, 2011-12", "predicted: -2.1, 2011-12"),
        ("run `effbatch laws`", "run <code>effbatch laws</code>", "run `effbatch laws`"),
    ],
    ids=[
        "power",
        "symbol",
        "nested power",
        "fraction",
        "decimal",
        "no such letter",
        "index",
        "one line",
        "minus",
        "command",
    ],
)
def test_mathematics_is_typeset(text, html, plain):
    assert marked_up(text) == html
    assert typeset(text) == plain


def test_numbers_become_rows_with_value_interval_and_n():
    table = numbers_table(
        "t",
        "c",
        [
            Number("δ", Estimate(1.8312, 1.71, 1.95, n=12), note="bootstrap"),
            Number("loss", Estimate(None, n=3)),
            Number("B", exact(4), "labels"),
        ],
    )
    assert table.columns == ["quantity", "value", "95 % interval", "n", "note"]
    assert table.rows == [
        ["δ", "1.83", "[1.71, 1.95]", 12, "bootstrap"],
        ["loss", "cannot tell", "–", 3, ""],
        ["B, labels", "4", "exact", None, ""],
    ]


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (None, "unknown time"),
        (0, "0 s"),
        (1.3e-5, "< 0.01 s"),
        (0.034, "0.034 s"),
        (42.4, "42 s"),
        (600, "10 min"),
        (3599, "1 h 0 min"),
        (4320, "1 h 12 min"),
        (9000, "2 h 30 min"),
    ],
)
def test_durations_are_said_as_people_say_them(seconds, said):
    assert duration(seconds) == said


def test_a_column_of_seconds_is_read_as_durations_and_saved_as_seconds():
    table = Table("costs", "", ["simulation", "training"], [["a", 4320.5], ["b", None]], ("", TIME))
    assert formatted(table) == [["a", "b"], ["1 h 12 min", "–"]]
    assert table_csv(table).splitlines() == ['simulation,"training, s"', "a,4320.5", "b,"]


def test_csv_of_a_table_is_not_rounded():
    rows = list(csv.reader(io.StringIO(table_csv(Table("t", "", ["a", "b"], [["x, y", 1 / 3], [None, float("nan")]])))))
    assert rows == [["a", "b"], ["x, y", repr(1 / 3)], ["", ""]]


def test_csv_of_a_figure_has_every_point_and_every_tile():
    series = Series("measured", "measured", [1, 2], [3, 4], low=[2, None], high=[5, None])
    heat = Heat("accuracy", [1, 2], [0.1], [[0.5, float("nan")]], (0, 1))
    panel = Panel(Axis("α"), Axis("η"), [series], "net", heat)
    rows = list(csv.DictReader(io.StringIO(figure_csv(Figure("f", "", [panel])))))
    assert [(row["series"], row["x"], row["y"], row["low"], row["value"]) for row in rows] == [
        ("measured", "1", "3", "2", ""),
        ("measured", "2", "4", "", ""),
        ("accuracy", "1", "0.1", "", "0.5"),
        ("accuracy", "2", "0.1", "", ""),
    ]
