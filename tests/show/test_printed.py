"""Figures for papers: as wide as a column or two, type of one size, fonts embedded, in SVG and PDF."""

import re
from io import BytesIO
from xml.etree import ElementTree

import numpy as np
import pytest
from pypdf import PdfReader

from effbatch.core.errors import InputError
from effbatch.core.figures import Axis, Figure, Heat, Panel, Series, noise_axis
from effbatch.show.charts import WIDTHS, pdf, printed_svg

SVG = "{http://www.w3.org/2000/svg}"
MM = 72 / 25.4  # points
X = np.array([0.0, 1.0, 3.0, 7.0, 15.0])
RATES = [
    Series(f"network {i}", "measured", X, 0.1 / (i + X), low=0.05 / (i + X), high=0.2 / (i + X)) for i in (1, 2, 3)
]
CURVES = Panel(noise_axis(X), Axis("best learning rate η", "log"), RATES, "rates")
SHADES = Heat("test accuracy, %", X, [0.1, 0.2], [[20, 30, 40, 60, 80], [90, 80, 70, 60, 95]], (10, 100))
FIGURES = {
    "one panel": Figure("one", "It falls.", [CURVES]),
    "three panels": Figure("three", "They fall.", [CURVES, CURVES, CURVES]),
    "maps": Figure("maps", "Shades.", [Panel(noise_axis(X), Axis("rate", "log"), [], "map", SHADES)] * 2),
}


def type_sizes(svg: str) -> set[str]:
    return set(re.findall(r'font-size="([^"]+)"', svg))


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("kind", FIGURES)
def test_a_figure_is_as_wide_as_asked_and_its_type_keeps_its_size(kind, width):
    figure = FIGURES[kind]
    drawn = printed_svg(figure, width)
    root = ElementTree.fromstring(drawn)
    across, unit = float(root.get("width")[:-2]), root.get("width")[-2:]
    box = [float(part) for part in root.get("viewBox").split()]
    assert (across, unit) == (pytest.approx(WIDTHS[width], abs=0.01), "mm")
    assert box[2] / across == pytest.approx(96 / 25.4, rel=1e-4)  # a px of type is a px on paper
    assert type_sizes(drawn) == {"11px"}
    panels = [part for part in root.iter(f"{SVG}text") if part.text in ("rates", "map")]
    assert len(panels) == len(figure.panels)
    page = PdfReader(BytesIO(pdf(figure, width))).pages[0]
    assert float(page.mediabox.width) == pytest.approx(WIDTHS[width] * MM, abs=0.1)
    assert "noisy labels per clean one, α" in page.extract_text()


def test_one_column_stacks_its_panels_and_two_columns_set_them_side_by_side():
    def size(width: str) -> tuple[float, float]:
        box = PdfReader(BytesIO(pdf(FIGURES["three panels"], width))).pages[0].mediabox
        return float(box.width), float(box.height)

    (narrow, tall), (wide, low) = size("one-column"), size("two-columns")
    assert narrow < wide / 2
    assert tall > 2 * low


@pytest.mark.parametrize("groups", [("recommended", "other laws"), ("laws, one anchor", "theory, no anchor")])
def test_names_of_laws_and_the_legend_above_them_fit_one_column(groups):
    names = ("square_root_clean_count, n = 36", "signal_to_noise, n = 36")
    bars = [
        Series(group, "measured", [i + 1], [i], low=[i + 0.5], high=[i + 2], interval="x")
        for i, group in enumerate(groups)
    ]
    axis = Axis("", ticks=(0, 1), domain=(-0.5, 1.5), names=names)
    drawn = printed_svg(Figure("laws", "", [Panel(Axis("accuracy lost, points"), axis, bars)]), "one-column")
    assert [part.text for part in ElementTree.fromstring(drawn).iter(f"{SVG}text") if part.text in groups] == [*groups]


def test_fonts_travel_with_the_file():
    figure = FIGURES["one panel"]
    for made in (pdf(figure, "one-column"), pdf(figure)):
        fonts = PdfReader(BytesIO(made)).pages[0]["/Resources"]["/Font"].values()
        descriptors = [font.get_object()["/DescendantFonts"][0].get_object()["/FontDescriptor"] for font in fonts]
        assert descriptors
        assert all("Inter" in font["/FontName"] for font in descriptors)
        assert all(any(key.startswith("/FontFile") for key in font.get_object()) for font in descriptors)
    assert printed_svg(figure, "one-column").count("@font-face { font-family: 'Inter'") == 2


def test_a_figure_whose_words_are_wider_than_the_column_is_refused():
    names = Axis("", ticks=(0, 1), domain=(-0.5, 1.5), names=("a" * 60, "b" * 60))
    bars = [Series("c" * 70, "predicted", [0.5], [0], low=[0.4], high=[0.6], interval="x", dots=True)]
    with pytest.raises(InputError, match=r"'wide' needs .* mm, got one-column of 85 mm: give a wider one"):
        pdf(Figure("wide", "", [Panel(Axis("x"), names, bars)]), "one-column")
