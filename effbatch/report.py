"""What was asked, found and left open -> one offline HTML file, and the same as a PDF or Markdown.

`Report` is everything that the templates may show, as plain data. The page is complete without JavaScript: every
figure is in it as SVG, and a script, where one runs, puts the interactive chart in its place.
"""

from __future__ import annotations

import base64
import math
import os
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from numbers import Integral
from pathlib import Path
from typing import Any, Literal, get_args

import jinja2
from markupsafe import Markup

from effbatch import charts
from effbatch.errors import InputError, RunError
from effbatch.exhibits import Figure, Number, Table
from effbatch.markdown import cells, code_span, markdown_text, slug
from effbatch.resources import bundled

Verdict = Literal["supported", "refuted", "undecided"]

_FONTS = {  # file -> CSS family, weight
    "Inter-Regular.otf": ("Inter", 400),
    "Inter-SemiBold.otf": ("Inter", 600),
    "JetBrainsMono-Regular.ttf": ("JetBrains Mono", 400),
    "NotoSansMath-Regular.ttf": ("Noto Sans Math", 400),
}
_SHORT_RANGE = re.compile(r"\S*\d\S* (to|\[\S+) \S*\d\S*")  # an interval, to stay on one line
_SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


@dataclass(frozen=True)
class Section:
    """One claim: what was asked and predicted, what was found, and where it fails.

    `headline` (what must come out, in a few words) and the first of `numbers` stand side by side on the first page.
    `p_value` is corrected for all claims of the report; None where there was no test.
    `prediction` says what was predicted before the run and when that was stored; `spec` is the simulation's TOML.
    """

    name: str
    title: str
    question: str
    headline: str
    prediction: str
    verdict: Verdict
    finding: str
    p_value: float | None = None
    numbers: Sequence[Number] = ()
    figures: Sequence[Figure] = ()
    tables: Sequence[Table] = ()
    limits: Sequence[str] = ()
    reproduce: str = ""
    references: Sequence[str] = ()
    spec: str = ""

    def __post_init__(self) -> None:
        if self.verdict not in get_args(Verdict):
            raise InputError(
                f"the verdict of {self.name!r} needs to be one of {', '.join(get_args(Verdict))}; "
                f"{self.verdict!r} came: give one of them",
                verdict=self.verdict,
            )


@dataclass(frozen=True)
class Report:
    """The whole document; `environment` maps words (device, versions, cost, command) to what they were."""

    title: str
    asked: str
    created: str
    sections: Sequence[Section]
    recommendation: str = ""
    recommended: Table | None = None
    yardsticks: Table | None = None
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
            ("figure", [figure.name for section in self.sections for figure in section.figures]),
        ):
            twice = sorted({name for name in names if names.count(name) > 1})
            if twice:
                raise InputError(
                    f"every {kind} of a report needs its own name; {', '.join(twice)} came twice: rename one",
                    twice=twice,
                )

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


def render_html(report: Report) -> str:
    """`report` as one HTML file that asks the network for nothing."""
    return _render(report, interactive=True)


def write_html(report: Report, path: str | Path) -> None:
    """Write `render_html(report)` to `path`, replacing it at once; RunError where that is impossible."""
    replace_file(Path(path), render_html(report).encode())


def write_pdf(report: Report, path: str | Path) -> None:
    """Write `report` as a tagged A4 PDF to `path`, replacing it at once; RunError where that is impossible."""
    import weasyprint

    page = weasyprint.HTML(string=_render(report, interactive=False), base_url=f"{bundled('templates').as_uri()}/")
    # A WeasyPrint from before tags were an option writes the same pages untagged.
    tags = {"pdf_tags": True} if "pdf_tags" in weasyprint.DEFAULT_OPTIONS else {}
    replace_file(Path(path), page.write_pdf(**tags))


def write_markdown(report: Report, path: str | Path) -> None:
    """Write the words, numbers and tables of `report` as Markdown to `path`, replacing it at once; no figures."""
    environment = _environment(autoescape=False)
    environment.finalize = markdown_text
    text = environment.get_template("report.md.j2").render(report=report)
    replace_file(Path(path), text.encode())


def value_text(value: float | None, decimals: int | None = None) -> str:
    """A number for readers: `decimals` places, else three digits or a whole number; None, NaN: "cannot tell"."""
    if value is None or math.isnan(value):
        return "cannot tell"
    if math.isinf(value):
        text = "∞" if value > 0 else "-∞"
    elif isinstance(value, Integral) or (decimals is None and value == int(value) and abs(value) < 1e15):
        text = f"{int(value):,}"
    elif value != 0 and not 1e-4 <= abs(value) < 1e6:
        factor, exponent = f"{value:.2e}".split("e")
        text = f"{factor} × 10{str(int(exponent)).translate(_SUPERSCRIPT)}"
    else:
        if decimals is None:
            decimals = 2 - _magnitude(value)
        text = f"{round(value, decimals):,.{max(decimals, 0)}f}"
    return text.replace("-", "−")


def number_text(number: Number) -> str:
    """Value with unit, interval and n: "1.83 [1.71, 1.95], n = 12", "4 (exact)" or "cannot tell"."""
    low, high = (None if bound is None or math.isnan(bound) else bound for bound in (number.low, number.high))
    width = 0.0 if low is None or high is None else high - low
    # Two significant digits of the interval's width: the value shows what is known of it, no more.
    decimals = 1 - _magnitude(width) if 0 < width < math.inf else None
    text = cell_text(number.value, ".6g") if number.exact else value_text(number.value, decimals)
    if number.unit and text != "cannot tell":
        text += f" {number.unit}"
    if number.exact:
        text += " (exact)"
    elif low is not None and high is not None:
        text += f" [{value_text(low, decimals)}, {value_text(high, decimals)}]"
    elif low is not None:
        text += f" (at least {value_text(low)})"
    elif high is not None:
        text += f" (at most {value_text(high)})"
    elif text != "cannot tell":
        text += " (no interval)"
    return text if number.n is None else f"{text}, n = {number.n:,}"


def p_text(p_value: float | None) -> str:
    """A p-value with three decimals: "0.012", "< 0.001", or a dash where there was no test."""
    if p_value is None:
        return "–"
    return "< 0.001" if p_value < 0.001 else f"{p_value:.3f}"


def cell_text(cell: str | int | float | None, form: str = "") -> str:
    """A table cell: text as it is, None as a dash, a float by its format spec or with three digits."""
    if isinstance(cell, str):
        return cell.replace(" ", "\u00a0") if _SHORT_RANGE.fullmatch(cell) else cell
    if cell is None:
        return "–"
    if form and not isinstance(cell, Integral) and math.isfinite(cell):
        return format(cell, form).replace("-", "−")
    return value_text(cell)


def _magnitude(value: float) -> int:
    return math.floor(math.log10(abs(value)))


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
    }
    environment.tests["text"] = lambda cell: isinstance(cell, str)
    return environment


def _render(report: Report, *, interactive: bool) -> str:
    templates = bundled("templates")
    environment = _environment(autoescape=True)
    drawn = _draw(report)
    sheets = ["common.css", "screen.css" if interactive else "print.css"]
    return environment.get_template("report.html.j2").render(
        report=report,
        drawn=drawn,
        references=report.references,
        interactive=interactive,
        fonts=[(family, weight, _font(templates, file, interactive)) for file, (family, weight) in _FONTS.items()],
        style=Markup("\n".join((templates / sheet).read_text(encoding="utf-8") for sheet in sheets)),
        script=Markup(_javascript()) if interactive and any(drawn.values()) else None,
    )


def _draw(report: Report) -> dict[str, list[_Drawn]]:
    """Drawings of every section, numbered through the report."""
    numbers = iter(range(1, 1 + sum(len(section.figures) for section in report.sections)))

    def draw(section: Section) -> Iterator[_Drawn]:
        for figure in section.figures:
            drawing = charts.draw(figure)
            yield _Drawn(next(numbers), figure, charts.reading_key(figure), Markup(drawing.svg), drawing.spec)

    return {section.name: list(draw(section)) for section in report.sections}


def _font(templates: Path, file: str, embed: bool) -> Markup:
    """URL of a font: its bytes for the one-file page, its place beside the templates for the PDF."""
    path = templates / "fonts" / file
    if not embed:
        return Markup(f"fonts/{file}")
    return Markup(f"data:font/{path.suffix[1:]};base64,{base64.b64encode(path.read_bytes()).decode()}")


@cache
def _javascript() -> str:
    """Vega, Vega-Lite and Vega-Embed in one script, with the few lines that use them."""
    import vl_convert

    snippet = (bundled("templates") / "charts.js").read_text(encoding="utf-8")
    return vl_convert.javascript_bundle(snippet, vl_version=charts.vega_lite_version())


def replace_file(path: Path, content: bytes) -> None:
    """Write `content` beside `path` under a temporary name, then rename: readers see the old file or the new."""
    try:
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
            os.chmod(temporary, 0o644)
            os.replace(temporary, path)
        except BaseException:
            os.unlink(temporary)
            raise
    except OSError as error:
        raise RunError(
            f"the report needs to be written to {path} and cannot ({error.strerror}): give a writable folder",
            path=str(path),
        ) from error
