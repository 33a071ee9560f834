"""Recorded runs -> the pages of gallery/ and results/, and benchmark.md, made while mkdocs builds the site."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

from effbatch.core.figures import Figure
from effbatch.plan.cube import open_cubes
from effbatch.show import charts
from effbatch.show.report import Section
from effbatch.validation import document, scorecard
from effbatch.validation.judged import judge_all

ROOT = Path(__file__).parent.parent
RECORDED = ROOT / "simulations" / "results"


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages: a gallery and a summary for each data set, and the benchmark."""
    sources = {"benchmark.md": ROOT / "benchmarks" / "results" / "prediction.md"}
    for folder in sorted(RECORDED.iterdir()):
        gallery = "\n\n".join(_gallery(folder, files, config)) + "\n"
        files.append(File.generated(config, f"gallery/{folder.name}.md", content=gallery))
        sources[f"results/{folder.name}.md"] = folder / "README.md"
    for name, source in sources.items():
        files.append(File.generated(config, name, content=source.read_text(encoding="utf-8")))
    return files


def _gallery(folder: Path, files: Files, config: MkDocsConfig) -> list[str]:
    """Every figure of a folder of recorded cubes, drawn as `effbatch report --figure` draws it."""
    judged = judge_all(open_cubes(folder))
    report = document.report(judged, scorecard.measure(judged))
    record = f"Every figure is drawn from the [recorded runs](../results/{folder.name}.md) when this site is built."
    page = [f"# Gallery: {folder.name}", record]
    for section in report.sections:
        page += _words(section)
        for figure in section.figures:
            page += _figure(figure, folder.name, files, config)
    page.append("## Scorecard")
    for figure in report.scorecard_figures:
        page += _figure(figure, folder.name, files, config)
    return page


def _figure(figure: Figure, of: str, files: Files, config: MkDocsConfig) -> list[str]:
    file = f"figures/recorded/{of}/{figure.name}.svg"
    files.append(File.generated(config, file, content=charts.draw(figure).svg))
    return [f"![{figure.caption}](../{file})", f"*{figure.caption}* {charts.reading_key(figure)}"]


def _words(section: Section) -> Iterator[str]:
    yield f"## {section.title}"
    yield f"**{section.verdict.capitalize()}.** {section.finding}"
    yield f"```text\n{section.reproduce}\n```"
