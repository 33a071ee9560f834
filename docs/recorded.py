"""Recorded runs -> the pages gallery.md, results.md and benchmark.md, made while mkdocs builds the site."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

from effbatch import charts, validation
from effbatch.cube import open_cubes
from effbatch.exhibits import Figure
from effbatch.report import Section

ROOT = Path(__file__).parent.parent
RECORDED = ROOT / "simulations" / "results"


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages; figures are drawn from the cubes, as `effbatch report --figure` draws them."""
    cubes = open_cubes(RECORDED)
    report = validation.report(cubes, {name: validation.judge(cube) for name, cube in cubes.items()})
    page = ["# Gallery", "Every figure is drawn from the [recorded runs](results.md) when this site is built."]
    for section in report.sections:
        page += _words(section)
        for figure in section.figures:
            page += _figure(figure, files, config)
    page.append("## Yardsticks")
    for figure in report.yardstick_figures:
        page += _figure(figure, files, config)
    files.append(File.generated(config, "gallery.md", content="\n\n".join(page) + "\n"))
    for name, source in (
        ("results.md", RECORDED / "README.md"),
        ("benchmark.md", ROOT / "benchmarks" / "results" / "prediction.md"),
    ):
        files.append(File.generated(config, name, content=source.read_text(encoding="utf-8")))
    return files


def _figure(figure: Figure, files: Files, config: MkDocsConfig) -> list[str]:
    file = f"figures/recorded/{figure.name}.svg"
    files.append(File.generated(config, file, content=charts.draw(figure).svg))
    return [f"![{figure.caption}]({file})", f"*{figure.caption}* {charts.reading_key(figure)}"]


def _words(section: Section) -> Iterator[str]:
    yield f"## {section.title}"
    yield f"**{section.verdict.capitalize()}.** {section.finding}"
    yield f"```text\n{section.reproduce}\n```"
