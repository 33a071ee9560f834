"""A report -> one offline HTML file, and the same as a PDF or Markdown.

The templates know the parts of a chapter, not what they are about. The page is complete without JavaScript: every
figure is in it as SVG, and a script, where one runs, puts the interactive chart in its place.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import count
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from effbatch.claims import Verdict
from effbatch.core import durable
from effbatch.core.errors import InputError, RunError
from effbatch.core.figures import Figure, Table
from effbatch.core.formats import aligned, formatted, is_quantity, marked_up
from effbatch.core.pages import Code, Heading, Note, Part, Terms
from effbatch.core.resources import bundled, data_url, font_url
from effbatch.laws.bibliography import readable
from effbatch.show import charts
from effbatch.show.charts.look import FONTS
from effbatch.show.markdown import cells, code_span, markdown_text, slug
from effbatch.show.report import SHORT, VERDICTS, Chapter, Report

PAPERS = ("a4", "letter")
WIDE = 72  # characters of a row that half a page cannot hold

_FONTS = FONTS | {"JetBrainsMono-Regular.ttf": ("JetBrains Mono", 400)}
_KINDS = {Terms: "terms", Figure: "figure", Table: "table", Code: "code", Note: "note", str: "sentence"}


@dataclass(frozen=True)
class Block:
    """A part as the templates take it: figures and tables with their number, items of a list in one.

    kind    sentence, list, terms, figure, table or code
    """

    kind: str
    of: Any
    number: int = 0

    @property
    def columns(self) -> list[list[str]]:
        """Of a table, its cells as text."""
        return formatted(self.of)

    @property
    def quantities(self) -> list[bool]:
        """Of a table, which columns are flush right."""
        return [is_quantity(column) for column in self.columns]

    @property
    def rows(self) -> list[tuple[str, ...]]:
        """Of a table, its rows; the points of numbers stand below each other."""
        return list(zip(*map(aligned, self.columns), strict=True))

    @property
    def wide(self) -> bool:
        """Of a table, whether it needs the width of a page."""
        columns = zip(self.of.columns, self.columns, strict=True)
        return sum(max(map(len, (*heading.split(), *cells))) + 2 for heading, cells in columns) > WIDE

    @property
    def plain_rows(self) -> list[tuple[str, ...]]:
        return list(zip(*self.columns, strict=True))


@dataclass(frozen=True)
class Stretch:
    """Blocks up to the next heading, below their own; none at the start of a chapter."""

    heading: str = ""
    blocks: list[Block] = field(default_factory=list)


@dataclass(frozen=True)
class Cut:
    """A chapter cut at its headings, what stands in its place and what in the appendix; a claim's number."""

    chapter: Chapter
    stretches: Sequence[Stretch]
    further: Sequence[Stretch]
    number: int | str = ""

    @property
    def more(self) -> list[Block]:
        """Its tables in the appendix."""
        return [block for stretch in self.further for block in stretch.blocks if block.kind == "table"]

    @property
    def wide(self) -> list[Block]:
        """Those that need the width of a page."""
        return [block for block in self.more if block.wide]

    @property
    def narrow(self) -> list[Stretch]:
        """What else is in the appendix, for columns."""
        return [
            Stretch(stretch.heading, [one for one in stretch.blocks if one.kind != "table" or not one.wide])
            for stretch in self.further
        ]

    @property
    def last_table(self) -> int:
        """The number of the last table in its place, whose caption names those in the appendix; 0 without one."""
        numbers = [block.number for stretch in self.stretches for block in stretch.blocks if block.kind == "table"]
        return numbers[-1] if numbers else 0


def _cut(report: Report) -> list[Cut]:
    """First page and chapters; figures and tables are numbered through the report, those of the appendix last."""
    numbers = {"figure": count(1), "table": count(1)}
    claims = {chapter.name: i for i, chapter in enumerate(report.claims, 1)}
    chapters = sorted([report.front, *report.chapters], key=lambda chapter: chapter.kind == "appendix")
    placed = {one.name: _stretches(one.parts, numbers) for one in chapters if one.kind != "appendix"}
    further = {one.name: _stretches(one.further, numbers) for one in chapters}
    placed |= {one.name: _stretches(one.parts, numbers) for one in chapters if one.kind == "appendix"}
    return [Cut(one, placed[one.name], further[one.name], claims.get(one.name, "")) for one in chapters]


def _stretches(parts: Sequence[Part], numbers: Mapping[str, Iterator[int]]) -> list[Stretch]:
    stretches = [Stretch()]
    for part in parts:
        blocks = stretches[-1].blocks
        if isinstance(part, Heading):
            stretches.append(Stretch(part.text))
        elif isinstance(part, str) and part.startswith("- "):
            if not blocks or blocks[-1].kind != "list":
                blocks.append(Block("list", []))
            blocks[-1].of.append(part.removeprefix("- "))
        else:
            kind = _KINDS[type(part)]
            blocks.append(Block(kind, part, next(numbers[kind]) if kind in numbers else 0))
    return [stretch for stretch in stretches if stretch.heading or stretch.blocks]


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
        raise InputError(f"the paper must be {' or '.join(PAPERS)}, got {paper!r}: take one", paper=paper)
    page = weasyprint.HTML(
        string=_render(report, interactive=False, paper=paper), base_url=f"{bundled('templates').as_uri()}/"
    )
    replace_file(Path(path), page.write_pdf(pdf_variant="pdf/ua-1"))


def write_markdown(report: Report, path: str | Path) -> None:
    """Write `report` without its figures, costs and specs as Markdown to `path`, replacing it at once."""
    environment = _environment(autoescape=False)
    environment.finalize = markdown_text
    text = environment.get_template("report.md.j2").render(
        report=report,
        cuts=_cut(report),
        verdicts=VERDICTS,
        references=[readable(reference).text for reference in report.references],
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
        "math": marked_up,
        "key": charts.reading_key,
        "image": lambda drawing: data_url("image/svg+xml", drawing.svg.encode()),
    }
    return environment


def _render(report: Report, *, interactive: bool, paper: str = "a4") -> str:
    templates = bundled("templates")
    sheets = ["common.css", "screen.css" if interactive else "print.css"]
    style = "\n".join((templates / sheet).read_text(encoding="utf-8") for sheet in sheets)
    return (
        _environment(autoescape=True)
        .get_template("report.html.j2")
        .render(
            report=report,
            cuts=_cut(report),
            verdicts=((VERDICTS, SHORT), {str(verdict) for verdict in Verdict}),
            anchors={chapter.title: chapter for chapter in report.chapters},
            sources=report.references,
            references=[readable(reference) for reference in report.references],
            interactive=interactive,
            # the bytes of a font for the one-file page, its place beside the templates for the PDF
            fonts=[
                (family, weight, Markup(font_url(file) if interactive else f"fonts/{file}"))
                for file, (family, weight) in _FONTS.items()
            ],
            style=Markup(f"{style}\n@page {{ size: {paper}; }}"),
            script=Markup(_javascript()) if interactive and report.figures else None,
        )
    )


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
