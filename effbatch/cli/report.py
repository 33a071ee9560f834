"""`effbatch report`: render finished sweeps again, without training; or one of their charts or tables alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from effbatch.cli.options import Name, was_given
from effbatch.core.errors import InputError, hint

if TYPE_CHECKING:
    from effbatch.show.report import Report

Exhibit = TypeVar("Exhibit")


@click.command()
@click.argument("paths", nargs=-1, required=True, metavar="DIR|CUBE...")
@click.option(
    "--out",
    multiple=True,
    help="File to write: .pdf, .html or .md; .svg, .pdf, .png or .csv with --figure, .csv with --table; repeatable.  "
    "[default: report.pdf]",
)
@click.option("--figure", metavar="NAME", help="Write only this figure; an unknown name lists them.")
@click.option("--table", metavar="NAME", help="Write only this table; an unknown name lists them.")
@click.option(
    "--width",
    type=Name(("one-column", "two-columns")),
    help="With --figure, for .svg and .pdf: as wide as a column of a paper, 85 mm, or two, 175 mm.",
)
@click.option("--paper", type=Name(("a4", "letter")), default="a4", show_default=True, help="Paper size of the PDF.")
def command(
    paths: tuple[str, ...],
    out: tuple[str, ...],
    figure: str | None,
    table: str | None,
    width: str | None,
    paper: str,
) -> None:
    """Render the report of cubes that `effbatch validate` wrote.

    \b
    effbatch report out --out again.pdf --paper letter
    effbatch report a/cube.nc b/cube.nc --out both.pdf --out both.html
    effbatch report out --figure collapse --out collapse.svg
    effbatch report out --figure collapse --out collapse.pdf --width one-column
    effbatch report out --table scorecard --out scorecard.csv
    """
    from effbatch.plan.cube import open_cubes
    from effbatch.validation import document, scorecard
    from effbatch.validation.judged import judge_all

    targets, kind = _targets(out or ("report.pdf",), figure, table)
    if was_given("paper") and not any(target.suffix == ".pdf" for target in targets):
        raise InputError(f"--paper needs a PDF, got {', '.join(map(str, targets))}: leave it out, or end --out in .pdf")
    if was_given("paper") and kind == "figure":
        raise InputError("--paper is for a whole report, got it with --figure: leave it out, or give --width")
    if width and (odd := [one for one in targets if kind != "figure" or one.suffix not in (".svg", ".pdf")]):
        raise InputError(f"--width is for a --figure as .svg or .pdf, got {odd[0]}: leave it out, or name a --figure")
    cubes: dict = {}
    for path in paths:
        found = open_cubes(path)
        if twice := cubes.keys() & found.keys():
            raise InputError(f"a report needs each simulation once, got {', '.join(sorted(twice))} twice: leave one")
        cubes |= found
    judged = judge_all(cubes)
    report = document.report(judged, scorecard.measure(judged))
    for target in targets:
        _WRITERS[kind, target.suffix](report, target, figure or table or "", width if figure else paper)
        click.echo(target)


def _targets(out: tuple[str, ...], figure: str | None, table: str | None) -> tuple[list[Path], str]:
    """The files to write, and what they show: figure, table or report. InputError for what does not fit together."""
    if figure and table:
        raise InputError("a report takes one of --figure and --table, got both: leave one")
    kind = "figure" if figure else "table" if table else "report"
    endings = [ending for what, ending in _WRITERS if what == kind]
    targets = [Path(name) for name in dict.fromkeys(out)]
    if odd := [target for target in targets if target.suffix not in endings]:
        told = f" for a {kind}" * (kind != "report")
        raise InputError(
            f"--out needs a name that ends in {' or '.join(endings)}{told}, got {str(odd[0])!r}: add the ending"
        )
    return targets, kind


def _named(exhibits: Mapping[str, Exhibit], kind: str, name: str) -> Exhibit:
    if name not in exhibits:
        raise InputError(f"{kind} {name!r} is not in this report; {hint(name, exhibits)}", name=name)
    return exhibits[name]


def _report(report: Report, target: Path, name: str, paper: str | None) -> None:
    from effbatch.show.rendering import write_html, write_markdown, write_pdf

    if target.suffix == ".pdf":
        write_pdf(report, target, paper=paper or "a4")
    else:
        {".html": write_html, ".md": write_markdown}[target.suffix](report, target)


def _figure(report: Report, target: Path, name: str, width: str | None) -> None:
    from effbatch.show.charts import written
    from effbatch.show.rendering import replace_file

    replace_file(target, written(_named(report.figures, "figure", name), target.suffix, width))


def _table(report: Report, target: Path, name: str, _: str | None) -> None:
    from effbatch.core.formats import table_csv
    from effbatch.show.rendering import replace_file

    name = {"yardsticks": "scorecard"}.get(name, name)  # as it was called until 0.1
    replace_file(target, table_csv(_named(report.tables, "table", name)).encode())


_WRITERS: dict[tuple[str, str], Callable[[Report, Path, str, str | None], None]] = {
    **{("report", ending): _report for ending in (".pdf", ".html", ".md")},
    **{("figure", ending): _figure for ending in (".svg", ".pdf", ".png", ".csv")},
    ("table", ".csv"): _table,
}
