"""`effbatch report`: render finished sweeps again, without training."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.argument("paths", nargs=-1, required=True, metavar="DIR|CUBE...")
@click.option("--out", default="report.pdf", show_default=True, help="File to write: .pdf or .html.")
def command(paths: tuple[str, ...], out: str) -> None:
    """Render the report of cubes that `effbatch validate` wrote.

    \b
    effbatch report out --out again.pdf
    effbatch report a/cube.nc b/cube.nc --out both.html
    """
    from effbatch import validation
    from effbatch.cube import open_cubes
    from effbatch.errors import InputError
    from effbatch.report import write_html, write_pdf

    writers = {".pdf": write_pdf, ".html": write_html}
    target = Path(out)
    if target.suffix not in writers:
        raise InputError(f"--out must end in .pdf or .html; {out!r} came")
    cubes: dict = {}
    for path in paths:
        found = open_cubes(path)
        if twice := cubes.keys() & found.keys():
            raise InputError(f"{', '.join(sorted(twice))} came twice: name each simulation once")
        cubes |= found
    judgements = {name: validation.judge(cube) for name, cube in cubes.items()}
    writers[target.suffix](validation.report(cubes, judgements), target)
    click.echo(target)
