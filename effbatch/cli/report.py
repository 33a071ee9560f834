"""`effbatch report`: render finished sweeps again, without training."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from effbatch.claims import Judgement


@click.command()
@click.argument("paths", nargs=-1, required=True, metavar="DIR|CUBE...")
@click.option(
    "--out", default="report.pdf", show_default=True, help="File to write: .pdf, .html or .md; .svg with --figure."
)
@click.option("--figure", help="Only this figure, as SVG.")
def command(paths: tuple[str, ...], out: str, figure: str | None) -> None:
    """Render the report of cubes that `effbatch validate` wrote.

    \b
    effbatch report out --out again.pdf
    effbatch report a/cube.nc b/cube.nc --out both.html
    effbatch report out --figure collapse --out collapse.svg
    """
    from effbatch import validation
    from effbatch.cube import open_cubes
    from effbatch.errors import InputError
    from effbatch.report import write_html, write_markdown, write_pdf

    target = Path(out)
    writers = {".pdf": write_pdf, ".html": write_html, ".md": write_markdown}
    endings = [".svg"] if figure else list(writers)
    if target.suffix not in endings:
        raise InputError(f"--out must end in {' or '.join(endings)}{' for a figure' * bool(figure)}; {out!r} came")
    cubes: dict = {}
    for path in paths:
        found = open_cubes(path)
        if twice := cubes.keys() & found.keys():
            raise InputError(f"{', '.join(sorted(twice))} came twice: name each simulation once")
        cubes |= found
    judgements = validation.judge_all(cubes)
    if figure:
        _write_figure(judgements.values(), figure, target)
    else:
        writers[target.suffix](validation.report(cubes, judgements), target)
    click.echo(target)


def _write_figure(judgements: Iterable[Judgement], name: str, target: Path) -> None:
    from effbatch.charts import draw
    from effbatch.errors import InputError, hint
    from effbatch.report import replace_file

    figures = {figure.name: figure for judged in judgements for figure in judged.figures}
    if name not in figures:
        raise InputError(f"figure {name!r} is not in this report; {hint(name, figures)}", name=name)
    replace_file(target, draw(figures[name]).svg.encode())
