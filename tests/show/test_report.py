"""A made-up report, rendered to both formats and read back."""

import html
import logging
import re
from dataclasses import replace
from html.parser import HTMLParser

import pypdf
import pytest

from effbatch.claims import Verdict
from effbatch.core.errors import InputError, RunError
from effbatch.core.estimate import Estimate, exact
from effbatch.core.figures import Axis, Figure, Number, Panel, Series, Table
from effbatch.core.formats import cell_text, number_text, numbers_table
from effbatch.core.pages import Code, Heading, Terms
from effbatch.core.resources import bundled
from effbatch.laws.bibliography import ROLNICK_2017
from effbatch.show import rendering as module
from effbatch.show.rendering import render_html, write_html, write_markdown, write_pdf
from effbatch.show.report import Chapter, Report

HOSTILE = "<script>alert('α')</script>"
VOID = {"meta", "link", "br", "img", "hr", "input"}


def sample_figure(name: str) -> Figure:
    x = [1, 2, 4, 8, 16]
    series = [
        Series(
            f"measured on {HOSTILE}",
            "measured",
            x,
            [8, 5, 3, 2, None],
            low=[7, 4, 2, 1, None],
            high=[9, 6, 4, 3, None],
            group="net",
        ),
        Series("linearised", "predicted", x, [8.5, 5.5, 3.3, 2.1, 1.3], group="net"),
        Series("clean count", "rival", x, [8, 4, 2, 1, 0.5]),
    ]
    panel = Panel(Axis("1 + α", "log2", ticks=x), Axis("η ∝ rate", "log2"), series)
    return Figure(name, "The rate falls as (1 + α)^−0.7.", [panel, panel])


@pytest.fixture(scope="module")
def sample() -> Report:
    first = Number("exponent", Estimate(-0.68, -0.74, -0.61, n=12), note="bootstrap over seeds")
    numbers = [first, Number("noise scale", Estimate(None, n=3))]
    rate = Chapter(
        name="rate",
        title="The best rate falls with α",
        parts=[
            "It falls as predicted.",
            Terms(
                {"Question": f"Does η fall on {HOSTILE}?", "Predicted": "η ∝ (1 + α)^−0.7, stored 2026-11-22 16:01 UTC"}
            ),
            sample_figure("rates"),
            numbers_table("numbers", "Exponent: −0.68.", numbers),
            Table("fits", "Fits.", ["data", "δ"], [[HOSTILE, 1.98765], ["digits", None]], ["", ".2f"]),
            Heading("Limits"),
            "- α ≪ 1 was left out.",
            Heading("Reproduce"),
            Code("effbatch validate rate"),
            "One network of it again:",
            Code("effbatch simulate rate --out cell --only seed=0"),
            "Here it had a test accuracy of 95.2 %.",
        ],
        verdict=Verdict.SUPPORTED,
        headline="δ = 2",
        result=first,
        references=["McCandlish et al. (2018), arXiv 1812.06162."],
    )
    labels = Chapter(
        name="labels",
        title="Labels needed",
        parts=[
            "Three seeds cannot tell.",
            Terms({"Question": "Do they grow linearly?", "Predicted": "linear in α"}),
            sample_figure("labels-needed"),
        ],
        verdict=Verdict.UNDECIDED,
        headline="δ = 2",
        references=["McCandlish et al. (2018), arXiv 1812.06162.", "Green & Swets (1966)."],
    )
    scaling = Table("r", "Factors.", ["α", "factor"], [[0, 1.0], [50, 0.14]], ["", ".2f"])
    recommended = Chapter(
        name="recommended-scaling",
        title="Recommended scaling",
        parts=["Scale by √(B/(1 + α)).", scaling],
        kind="recommendation",
    )
    spec = [Heading("Specification: rate"), Code("effbatch validate rate"), Code(f'[data]\ndataset = "{HOSTILE}"\n')]
    made = Terms({"device": "2 CPU cores", "cost": "412 s"})
    appendix = Chapter(name="reproduction", title="Reproduction", parts=[made, *spec], kind="appendix")
    return Report(
        title="Rates under label noise",
        asked="Which rate, when most labels are wrong?",
        created="2026-11-22T16:48:00+00:00",
        chapters=[recommended, rate, labels, appendix],
        findings=["Findings come first."],
        advice=["Scale by √(B/(1 + α))."],
    )


@pytest.fixture(scope="module")
def page(sample) -> str:
    return render_html(sample)


@pytest.fixture(scope="module")
def pdf(sample, tmp_path_factory) -> tuple[pypdf.PdfReader, list[str]]:
    """The PDF, and what WeasyPrint complained of while making it."""
    complaints: list[str] = []
    handler = logging.Handler(logging.WARNING)
    handler.emit = lambda record: complaints.append(record.getMessage())  # type: ignore[method-assign]
    logger = logging.getLogger("weasyprint")
    logger.addHandler(handler)
    path = tmp_path_factory.mktemp("pdf") / "report.pdf"
    write_pdf(sample, path)
    logger.removeHandler(handler)
    return pypdf.PdfReader(path), complaints


class Outline(HTMLParser):
    """Tags with attributes, and whether every element that opens also closes in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def alternatives(element: object) -> list[str]:
    """Alternative texts of the figures below an element of the tag tree."""
    element = element.get_object()  # type: ignore[attr-defined]
    if isinstance(element, list):
        return [text for child in element for text in alternatives(child)]
    if not isinstance(element, dict):
        return []
    own = [element["/Alt"]] if element.get("/S") == "/Figure" else []
    return own + (alternatives(element["/K"]) if "/K" in element else [])


def test_html_is_balanced_and_asks_the_network_for_nothing(page):
    outline = Outline(page)
    assert outline.open == []
    sources = [
        value for _, attrs in outline.tags for key, value in attrs.items() if key in {"src", "href", "xlink:href"}
    ]
    assert sources
    assert all(source.startswith("#") for source in sources)
    styles = "".join(re.findall(r"<style>(.*?)</style>", page, re.S))
    assert "@import" not in styles
    assert set(re.findall(r'url\("(\w+):', styles)) == {"data"}
    (policy,) = (attrs["content"] for _, attrs in outline.tags if attrs.get("http-equiv") == "Content-Security-Policy")
    assert policy.split("; ")[0] == "default-src 'none'"
    assert "connect-src" not in policy


def test_every_drawing_has_a_caption_and_a_name_for_those_who_do_not_see_it(page, sample):
    drawings = [attrs for _, attrs in Outline(page).tags if attrs.get("class") == "drawing"]
    captions = [figure.caption for figure in sample.figures.values()]
    assert [drawing["aria-label"] for drawing in drawings if drawing["role"] == "img"] == captions
    below = [re.sub("<[^>]+>", "", text) for text in re.findall("<figcaption>(.*?)</figcaption>", page, re.DOTALL)]
    for number, (text, caption) in enumerate(zip(below, captions, strict=True), start=1):
        assert html.unescape(text).startswith(f"Figure {number}. {caption.replace('^', '')}")  # raised instead


def test_every_table_can_be_read_aloud_scrolled_by_keys_and_compared_by_eye(page):
    outline = Outline(page)
    assert {attrs["scope"] for tag, attrs in outline.tags if tag == "th"} <= {"col", "row"}
    regions = [attrs for _, attrs in outline.tags if attrs.get("class") == "scroll"]
    assert regions
    assert all(region["tabindex"] == "0" and region["role"] == "region" for region in regions)
    tables = re.findall(r'<table class="data".*?</table>', page, re.DOTALL)
    assert len(tables) == len(regions)
    assert any(re.search(r'<th scope="col" class="quantity">.*<td class="quantity">', t, re.DOTALL) for t in tables)


def test_html_holds_the_script_once_and_a_drawing_and_a_spec_for_every_figure(page):
    assert page.count(module._javascript()) == 1
    tags = Outline(page).tags
    assert sum(tag == "script" and attrs.get("type") == "application/json" for tag, attrs in tags) == 2
    assert sum(tag == "script" for tag, _ in tags) == 3
    assert sum(tag == "svg" for tag, _ in tags) == 2


def test_names_stay_text_in_html(page):
    assert "&lt;script&gt;alert(&#39;α&#39;)&lt;/script&gt;" in page
    assert HOSTILE not in page.replace(module._javascript(), "")


def test_html_without_figures_needs_no_script(sample):
    bare = replace(sample, chapters=[replace(one, parts=one.parts[:1]) for one in sample.chapters])
    assert "<script" not in render_html(bare)


def test_pdf_says_the_verdicts_first(pdf):
    reader, complaints = pdf
    assert complaints == []
    first = " ".join(reader.pages[0].extract_text().split())
    assert first.index("Which rate, when most labels are wrong?") < first.index("supported")
    for words in ("supported", "undecided", "−0.68 [−0.74, −0.61], n = 12", "1 supported, 0 refuted, 1 undecided"):
        assert words in first
    assert first.index("Findings come first.") < first.index("Of 2 claims") < first.index("What to do")
    assert len(reader.pages) == 4  # the answer, one page for each claim, scaling; the last with all else


def test_the_first_page_of_many_claims_holds_the_answer(sample, tmp_path):
    """Sixteen claims with long titles, a figure of two panels, findings and advice."""
    rate = next(one for one in sample.chapters if one.name == "rate")
    title = "Whether noise raises or lowers the best batch"
    claims = [replace(rate, name=f"claim-{i}", title=f"{title}, {i}", parts=rate.parts[:2]) for i in range(16)]
    sentence = "With noise, the lead in accuracy of the largest batch over the smallest changes by 34.7 points (fresh)."
    sentences = [f"{sentence} Predicted were {30 + i} points, at the best rate of every batch." for i in range(5)]
    many = replace(sample, chapters=claims, findings=sentences, advice=sentences[:4], message=sample_figure("message"))
    write_pdf(many, tmp_path / "many.pdf")
    pages = [" ".join(one.extract_text().split()) for one in pypdf.PdfReader(tmp_path / "many.pdf").pages]
    words = [*(one.title for one in claims), "16 supported", "−0.68 [−0.74, −0.61], n = 12", "Figure 1.", *sentences]
    assert not [said for said in words if said not in pages[0]]
    assert pages[0].index("Figure 1.") < pages[0].index("What to do")
    assert "δ = 2" not in pages[0]  # what was predicted is in the whole table, in the appendix
    assert any("δ = 2" in one and "Appendix" in one for one in pages[1:])
    write_markdown(many, tmp_path / "many.md")
    text = (tmp_path / "many.md").read_text(encoding="utf-8")
    assert text.count("| claim | predicted | measured | p | verdict |") == 1
    assert "| claim | measured | verdict |" not in text
    assert text.index("δ = 2") < text.index("What to do")


def test_in_the_pdf_figures_are_images_apart_and_not_elements_of_the_page(sample):
    tags = [tag for tag, _ in Outline(module._render(sample, interactive=False)).tags]
    assert (tags.count("img"), tags.count("svg")) == (2, 0)


def test_pdf_contents_tell_the_pages(pdf):
    contents = pdf[0].pages[0].extract_text()
    scaling = ("Recommended scaling", 2)
    for title, page in (scaling, ("1 The best rate falls with α", 3), ("2 Labels needed", 4), ("References", 4)):
        assert re.search(rf"{re.escape(title)}[ .]*{page}\b", contents)
        assert title in pdf[0].pages[page - 1].extract_text()


def test_every_page_of_the_pdf_tells_its_number(pdf):
    pages = pdf[0].pages
    for number, page in enumerate(pages, start=1):
        assert f"{number} / {len(pages)}" in page.extract_text()


def test_pdf_text_is_extractable(pdf):
    text = "\n".join(page.extract_text() for page in pdf[0].pages)
    for words in (HOSTILE, "α ≪ 1", "cannot tell", "Figure 1.", "Figure 2.", "η ∝ rate", "1.99", "Green & Swets"):
        assert words in text


def test_every_format_says_how_to_run_one_network_again(sample, page, pdf, tmp_path):
    write_markdown(sample, tmp_path / "report.md")
    texts = {
        "Markdown": (tmp_path / "report.md").read_text(encoding="utf-8"),
        "HTML": page,
        "PDF": "".join(one.extract_text() for one in pdf[0].pages),
    }
    for kind, text in texts.items():
        words = " ".join(text.split())
        assert "effbatch simulate rate --out cell --only seed=0" in words, kind
        assert "Here it had a test accuracy of 95.2 %." in words, kind


def test_pdf_has_metadata_bookmarks_tags_and_alternative_texts(pdf):
    reader, _ = pdf
    assert reader.metadata.title == "Rates under label noise"
    assert reader.metadata.creation_date.isoformat() == "2026-11-22T16:48:00+00:00"
    assert reader.trailer["/Root"]["/Lang"] == "en"
    (top, below) = reader.outline
    assert top.title == "Rates under label noise"
    titles = [item.title for item in below if not isinstance(item, list)]
    assert titles == [
        "Recommended scaling",
        "1 The best rate falls with α",
        "2 Labels needed",
        "References",
        "Reproduction",
    ]
    assert reader.trailer["/Root"]["/MarkInfo"]["/Marked"]
    assert re.search(r"pdfuaid:part\W+1\b", reader.trailer["/Root"]["/Metadata"].get_data().decode())
    assert reader.trailer["/Root"]["/ViewerPreferences"]["/DisplayDocTitle"]
    assert reader.metadata.author == "The effbatch developers"
    assert alternatives(reader.trailer["/Root"]["/StructTreeRoot"]["/K"]) == ["The rate falls as (1 + α)^−0.7."] * 2


def test_every_table_of_the_pdf_is_tagged_with_its_headings(pdf):
    def tags(element) -> list[str]:
        element = element.get_object()
        if isinstance(element, list):
            return [tag for child in element for tag in tags(child)]
        if not isinstance(element, dict):
            return []
        return [element.get("/S", "")] + (tags(element["/K"]) if "/K" in element else [])

    found = tags(pdf[0].trailer["/Root"]["/StructTreeRoot"]["/K"])
    text = "\n".join(page.extract_text() for page in pdf[0].pages)
    numbers = [int(number) for number in re.findall(r"Table (\d+)\.", text)]
    assert numbers == [1, 2, 3, 4]  # verdicts, scaling, numbers, fits
    assert found.count("/Table") == 4
    assert found.count("/TH") >= 4 * 2
    assert {"/H1", "/H2", "/Figure", "/Link", "/L"} <= set(found)


def test_letter_paper_and_no_other(sample, tmp_path):
    bare = replace(sample, chapters=[])
    write_pdf(bare, tmp_path / "letter.pdf", paper="letter")
    box = pypdf.PdfReader(tmp_path / "letter.pdf").pages[0].mediabox
    assert (float(box.width), float(box.height)) == (612, 792)
    with pytest.raises(InputError, match="paper must be a4 or letter, got 'a5'"):
        write_pdf(bare, tmp_path / "a5.pdf", paper="a5")


def test_pdf_uses_only_the_bundled_fonts(pdf):
    fonts = {
        font["/BaseFont"].split("+")[-1]
        for page in pdf[0].pages
        for font in (f.get_object() for f in page["/Resources"]["/Font"].values())
    }
    assert fonts == {"Inter", "Inter-Semi-Bold", "JetBrains-Mono", "Noto-Sans-Math"}


def test_a_bibtex_reference_is_written_out_and_leads_to_its_page(sample):
    chapter = replace(sample.claims[0], references=[ROLNICK_2017.bibtex])
    page = render_html(replace(sample, chapters=[chapter]))
    assert "Rolnick, D., Veit, A., Belongie, S., Shavit, N. (2017). Deep Learning is Robust" in page
    assert 'href="https://arxiv.org/abs/1705.10694"' in page
    assert 'href="#reference-1"' in page


def test_figures_and_tables_are_found_by_name(sample):
    assert set(sample.figures) == {"rates", "labels-needed"}
    assert set(sample.tables) == {"verdicts", "r", "fits", "rate.numbers"}
    rate, labels = sample.claims
    twice = replace(labels, parts=rate.all(Table))
    tables = replace(sample, chapters=[rate, twice]).tables
    assert {"rate.fits", "labels.fits"} <= set(tables)


def test_references_are_numbered_once(sample):
    assert sample.references == ["McCandlish et al. (2018), arXiv 1812.06162.", "Green & Swets (1966)."]


def test_writing_replaces_the_file_and_leaves_nothing_else(sample, page, tmp_path):
    path = tmp_path / "report.html"
    path.write_text("old")
    write_html(sample, path)
    assert path.read_text(encoding="utf-8") == page
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_that_cannot_be_written_is_named(sample, tmp_path):
    bare = replace(sample, chapters=[])
    with pytest.raises(RunError, match=r"no-folder.report\.html and cannot \(No such file"):
        write_html(bare, tmp_path / "no-folder" / "report.html")


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (Number("δ", Estimate(1.8312, 1.71, 1.95, n=12)), "1.83 [1.71, 1.95], n = 12"),
        (Number("accuracy", Estimate(71.234, 70.1, 72.3), "%"), "71.2 % [70.1, 72.3]"),
        (Number("copies", Estimate(27134.0, 25900.0, 28400.0, n=5)), "27,100 [25,900, 28,400], n = 5"),
        (Number("δ", exact(2)), "2 (exact)"),
        (Number("share", exact(1 / 3)), "0.333333 (exact)"),
        (Number("scale", Estimate(None, n=3)), "cannot tell, n = 3"),
        (Number("scale", Estimate(float("nan"), 0.1, 3.0), "copies"), "cannot tell [0.100, 3]"),
        (Number("scale", Estimate(120.4, low=15.0)), "120 (at least 15)"),
        (Number("scale", Estimate(120.4, 15.0, float("inf"))), "120 (at least 15)"),
        (Number("rate", Estimate(-0.0432)), "−0.0432 (no interval)"),
        (Number("error", Estimate(3.21e-9)), "3.21 × 10⁻⁹ (no interval)"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_number_text(number, text):
    assert number_text(number) == text


@pytest.mark.parametrize(
    ("cell", "form", "text"),
    [
        ("a", ".2f", "a"),
        (None, ".2f", "–"),
        (120, ".2f", "120"),
        (-0.4312, ".2f", "−0.43"),
        (0.4312, "", "0.431"),
        (float("nan"), ".2f", "cannot tell"),
    ],
)
def test_cell_text(cell, form, text):
    assert cell_text(cell, form) == text


def test_bundled_folders_are_found_in_a_checkout_and_in_an_installed_wheel(tmp_path, monkeypatch):
    assert (bundled("templates") / "report.html.j2").is_file()
    assert (bundled("templates") / "fonts" / "OFL.txt").is_file()
    assert bundled("simulations").is_dir()
    monkeypatch.setattr("effbatch.core.resources._PACKAGE", tmp_path)
    with pytest.raises(RunError, match="needs its folder of templates; neither"):
        bundled("templates")
    (tmp_path / "bundled" / "templates").mkdir(parents=True)
    assert bundled("templates") == tmp_path / "bundled" / "templates"
