"""What was asked, found and left open -> one offline HTML file, and the same as a PDF or Markdown.

`Report` is everything that the templates may show, as plain data. The page is complete without JavaScript: every
figure is in it as SVG, and a script, where one runs, puts the interactive chart in its place.
"""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from effbatch.claims import Verdict
from effbatch.core import durable
from effbatch.core.errors import InputError, RunError
from effbatch.core.estimate import Estimate
from effbatch.core.figures import Figure, Number, Table
from effbatch.core.formats import (
    aligned,
    cell_text,
    formatted,
    is_quantity,
    marked_up,
    number_text,
    numbers_table,
    p_text,
)
from effbatch.core.resources import bundled
from effbatch.laws.bibliography import readable
from effbatch.show import charts
from effbatch.show.markdown import cells, code_span, markdown_text, slug

PAPERS = ("a4", "letter")

_FONTS = {  # file -> CSS family, weight
    "Inter-Regular.otf": ("Inter", 400),
    "Inter-SemiBold.otf": ("Inter", 600),
    "JetBrainsMono-Regular.ttf": ("JetBrains Mono", 400),
    "NotoSansMath-Regular.ttf": ("Noto Sans Math", 400),
}


@dataclass(frozen=True)
class Section:
    """One claim: what was asked and predicted, what was found, and where it fails; or a sweep that nothing judges.

    `headline` (what must come out, in a few words) and the first of `numbers` stand side by side on the first page.
    `p_value` is corrected for all claims of the report; None where there was no test.
    `prediction` says what was predicted before the run and when that was stored; `spec` is the simulation's TOML.
    `references` are BibTeX entries, or plain text.
    `reproduce` is the command that runs the simulation again, `one_cell` the one that runs a single network of it, and
    `one_cell_gives` what that should come to.
    """

    name: str
    title: str
    question: str
    headline: str
    prediction: str
    verdict: Verdict | None
    finding: str
    p_value: float | None = None
    numbers: Sequence[Number] = ()
    figures: Sequence[Figure] = ()
    tables: Sequence[Table] = ()
    limits: Sequence[str] = ()
    reproduce: str = ""
    one_cell: str = ""
    one_cell_gives: str = ""
    references: Sequence[str] = ()
    spec: str = ""

    def __post_init__(self) -> None:
        if self.verdict not in (None, *Verdict):
            raise InputError(
                f"the verdict of {self.name!r} needs to be one of {', '.join(Verdict)}; "
                f"{self.verdict!r} came: give one of them",
                verdict=self.verdict,
            )

    @property
    def numbers_table(self) -> Table:
        """The numbers; the caption is the one that the rule looked at, with what came of it."""
        first = self.numbers[0]
        caption = f"{first.label}: {number_text(first)}; {self.verdict}. Rule: {self.headline}."
        return numbers_table("numbers", f"{caption[:1].upper()}{caption[1:]}", self.numbers)


@dataclass(frozen=True)
class Report:
    """The whole document; `environment` maps words (device, versions, cost, command) to what they were.

    `scorecard` and `scorecard_figures` judge the package as a whole, `costs` says what each simulation took.
    """

    title: str
    asked: str
    created: str
    sections: Sequence[Section]
    recommendation: str = ""
    recommended: Table | None = None
    scorecard: Table | None = None
    scorecard_figures: Sequence[Figure] = ()
    costs: Table | None = None
    environment: Mapping[str, object] = field(default_factory=dict)

    def __post_init__(self) -> None:
        try:
            datetime.fromisoformat(self.created)
        except ValueError as error:
            raise InputError(
                f"a report needs the ISO date and time it was created; {self.created!r} came: "
                "give datetime.now(UTC).isoformat()",
                created=self.created,
            ) from error
        for kind, names in (
            ("section", [section.name for section in self.sections]),
            ("figure", [figure.name for figure in self._figures()]),
        ):
            twice = sorted({name for name in names if names.count(name) > 1})
            if twice:
                raise InputError(
                    f"every {kind} of a report needs its own name; {', '.join(twice)} came twice: rename one",
                    twice=twice,
                )

    def _figures(self) -> list[Figure]:
        return [*(figure for section in self.sections for figure in section.figures), *self.scorecard_figures]

    @cached_property
    def drawings(self) -> dict[str, charts.Drawing]:
        """Every figure as drawn, by its name: HTML and PDF show the same."""
        return {figure.name: charts.draw(figure) for figure in self._figures()}

    @property
    def figures(self) -> dict[str, Figure]:
        """Every figure by its name."""
        return {figure.name: figure for figure in self._figures()}

    @property
    def tables(self) -> dict[str, Table]:
        """Every table by its name; SECTION.NAME where several sections have one of that name."""
        whole = [table for table in (self.recommended, self.scorecard, self.costs) if table is not None]
        named = [("", table) for table in (*[self.verdicts_table] * bool(self.judged), *whole)]
        for section in self.sections:
            named += [(section.name, table) for table in section.tables]
            named += [(section.name, section.numbers_table)] if section.numbers else []
        times = Counter(table.name for _, table in named)
        return {
            table.name if times[table.name] == 1 and table.name != "numbers" else f"{section}.{table.name}": table
            for section, table in named
        }

    @property
    def judged(self) -> list[Section]:
        """The sections with a verdict."""
        return [section for section in self.sections if section.verdict is not None]

    @property
    def verdicts_table(self) -> Table:
        """Claim, prediction, what was measured, p and verdict, one row per claim."""
        columns = ("claim", "predicted", "measured", "value", "low", "high", "n", "p", "verdict")
        rows: list[list[str | int | float | None]] = []
        for section in self.judged:
            first = section.numbers[0] if section.numbers else Number("", Estimate(None))
            one = first.estimate
            numbers = [first.label, one.value, one.low, one.high, one.n]
            rows.append([section.title, section.headline, *numbers, section.p_value, section.verdict])
        return Table("verdicts", self.counts, columns, rows)

    @property
    def counts(self) -> str:
        """How many claims ended how, in a sentence."""
        ended = Counter(section.verdict for section in self.judged)
        told = ", ".join(f"{ended[verdict]} {verdict}" for verdict in Verdict)
        return f"Of {len(self.judged)} claims: {told}."

    @property
    def references(self) -> list[str]:
        """Sources of all sections, each once, in order of first use."""
        return list(dict.fromkeys(reference for section in self.sections for reference in section.references))


@dataclass(frozen=True)
class _Drawn:
    """A numbered figure with its two drawings."""

    number: int
    figure: Figure
    key: str
    svg: Markup
    spec: dict[str, Any]

    @property
    def image(self) -> str:
        """The static drawing as the address of an image."""
        return _data_url("image/svg+xml", self.svg.encode())


@dataclass(frozen=True)
class _Shown:
    """A numbered table as text; `quantities` says which columns are flush right."""

    number: int
    table: Table
    quantities: Sequence[bool]
    rows: Sequence[Sequence[str]]


def render_html(report: Report) -> str:
    """`report` as one HTML file that asks the network for nothing."""
    return _render(report, interactive=True)


def write_html(report: Report, path: str | Path) -> None:
    """Write `render_html(report)` to `path`, replacing it at once; RunError where that is impossible."""
    replace_file(Path(path), render_html(report).encode())


def write_pdf(report: Report, path: str | Path, *, paper: str = "a4") -> None:
    """Write `report` as a tagged PDF (PDF/UA-1) on a4 or letter to `path`, replacing it at once.

    RunError where that is impossible, InputError for another `paper`.
    """
    import weasyprint

    if paper not in PAPERS:
        raise InputError(f"the paper must be {' or '.join(PAPERS)}; {paper!r} came", paper=paper)
    page = weasyprint.HTML(
        string=_render(report, interactive=False, paper=paper), base_url=f"{bundled('templates').as_uri()}/"
    )
    replace_file(Path(path), page.write_pdf(pdf_variant="pdf/ua-1"))


def write_markdown(report: Report, path: str | Path) -> None:
    """Write the claims of `report`, their tables and the scorecard as Markdown to `path`, replacing it at once."""
    environment = _environment(autoescape=False)
    environment.finalize = markdown_text
    text = environment.get_template("report.md.j2").render(
        report=report, references=[readable(reference).text for reference in report.references]
    )
    replace_file(Path(path), text.encode())


def _environment(*, autoescape: bool) -> jinja2.Environment:
    """The bundled templates with our filters."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(bundled("templates")),
        autoescape=autoescape,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {
        "cells": cells,
        "code": code_span,
        "slug": slug,
        "number": number_text,
        "cell": cell_text,
        "p": p_text,
        "math": marked_up,
    }
    return environment


def _render(report: Report, *, interactive: bool, paper: str = "a4") -> str:
    templates = bundled("templates")
    environment = _environment(autoescape=True)
    drawn = _draw(report)
    sheets = ["common.css", "screen.css" if interactive else "print.css"]
    style = "\n".join((templates / sheet).read_text(encoding="utf-8") for sheet in sheets)
    return environment.get_template("report.html.j2").render(
        report=report,
        drawn=drawn,
        shown=_show(report),
        keys=report.references,
        references=[readable(reference) for reference in report.references],
        interactive=interactive,
        fonts=[(family, weight, _font(templates, file, interactive)) for file, (family, weight) in _FONTS.items()],
        style=Markup(f"{style}\n@page {{ size: {paper}; }}"),
        script=Markup(_javascript()) if interactive and any(drawn.values()) else None,
    )


def _draw(report: Report) -> dict[str, list[_Drawn]]:
    """Figures of every section and of the scorecard, numbered through the report."""
    parts = {section.name: section.figures for section in report.sections} | {"scorecard": report.scorecard_figures}
    numbers = iter(range(1, 1 + len(report.figures)))

    def draw(figures: Sequence[Figure]) -> Iterator[_Drawn]:
        for figure in figures:
            drawing = report.drawings[figure.name]
            yield _Drawn(next(numbers), figure, charts.reading_key(figure), Markup(drawing.svg), drawing.spec)

    return {name: list(draw(figures)) for name, figures in parts.items()}


def _show(report: Report) -> dict[str, list[_Shown]]:
    """Tables of every part, numbered through the report; that of the verdicts, if any, is 1 and has its own form."""
    parts = {"recommended": [report.recommended]}
    for section in report.sections:
        parts[section.name] = [section.numbers_table] if section.numbers else []
        parts[section.name] += section.tables
    parts |= {"scorecard": [report.scorecard], "costs": [report.costs]}
    shown: dict[str, list[_Shown]] = {}
    number = int(bool(report.judged))
    for name, tables in parts.items():
        shown[name] = []
        for table in filter(None, tables):
            number += 1
            columns = formatted(table)
            quantities = [is_quantity(column) for column in columns]
            rows = list(zip(*map(aligned, columns), strict=True))
            shown[name].append(_Shown(number, table, quantities, rows))
    return shown


def _font(templates: Path, file: str, embed: bool) -> Markup:
    """URL of a font: its bytes for the one-file page, its place beside the templates for the PDF."""
    path = templates / "fonts" / file
    if not embed:
        return Markup(f"fonts/{file}")
    return Markup(_data_url(f"font/{path.suffix[1:]}", path.read_bytes()))


def _data_url(kind: str, content: bytes) -> str:
    """An address that holds what it points to."""
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


@cache
def _javascript() -> str:
    """Vega, Vega-Lite and Vega-Embed in one script, with the few lines that use them."""
    import vl_convert

    snippet = (bundled("templates") / "charts.js").read_text(encoding="utf-8")
    return vl_convert.javascript_bundle(snippet, vl_version=charts.vega_lite_version())


def replace_file(path: Path, content: bytes) -> None:
    """Write a file of the report in one step: readers see the old one or the new; RunError where that is impossible."""
    try:
        durable.write(path, content)
    except OSError as error:
        raise RunError(
            f"the report needs to be written to {path} and cannot ({error.strerror}): give a writable folder",
            path=str(path),
        ) from error
