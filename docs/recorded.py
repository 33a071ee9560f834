"""Recorded runs -> the pages of gallery/ and results/, and of benchmarks, made while mkdocs builds the site."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

from effbatch.core.figures import Figure
from effbatch.core.pages import Code
from effbatch.plan.cube import open_cubes
from effbatch.show import charts
from effbatch.show.report import Chapter, Report
from effbatch.validation import document, scorecard
from effbatch.validation.judged import judge_all

ROOT = Path(__file__).parent.parent
RECORDED = ROOT / "simulations" / "results"
LINK = re.compile(r"\]\((?:\.\./)+((?:benchmarks|simulations)/results/[\w/-]+\.md)")


def _sources() -> dict[str, Path]:
    """Page of the site -> the file of the checkout that it shows."""
    benchmarks = ROOT / "benchmarks" / "results"
    records = {f"results/{folder.name}.md": folder / "README.md" for folder in sorted(RECORDED.iterdir())}
    names = {"benchmark": "prediction", "recipes": "advice", "theory-record": "theory"}
    names |= {
        name: name
        for name in (
            "advice_dense",
            "human_labels",
            "precision",
            "all_copies",
            "rivals",
            "staying_labels",
            "staying_labels_further",
            "staying_labels_further_10",
            "staying_labels_learnable",
            "staying_labels_learnable_10",
            "staying_labels_brought",
            "staying_labels_brought_10",
            "throughput",
        )
    }
    return {f"{page}.md": benchmarks / f"{file}.md" for page, file in names.items()} | records


def on_page_markdown(markdown: str, page: Page, **_: object) -> str:
    """Links to recorded files, which lead somewhere in a checkout, lead to the pages that show them."""
    shown = {str(file.relative_to(ROOT)): name for name, file in _sources().items()}
    up = "../" * page.file.src_uri.count("/")
    return LINK.sub(lambda link: f"]({up}{shown[link[1]]}" if link[1] in shown else link[0], markdown)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages: a gallery and a summary for each data set, and the benchmarks."""
    for folder in sorted(RECORDED.iterdir()):
        gallery = "\n\n".join(_gallery(folder, files, config)) + "\n"
        files.append(File.generated(config, f"gallery/{folder.name}.md", content=gallery))
    for name, source in _sources().items():
        files.append(File.generated(config, name, content=source.read_text(encoding="utf-8")))
    return files


def report_of(folder: Path) -> Report:
    """The recorded cubes of a folder, judged."""
    judged = judge_all(open_cubes(folder))
    return document.report(judged, scorecard.measure(judged))


def _gallery(folder: Path, files: Files, config: MkDocsConfig) -> list[str]:
    """Every figure of a folder of recorded cubes, drawn as `effbatch report --figure` draws it."""
    record = f"Every figure is drawn from the [recorded runs](../results/{folder.name}.md) when this site is built."
    page = [f"# Gallery: {folder.name}", record]
    for chapter in report_of(folder).chapters:
        if drawn := chapter.all(Figure):
            page += [f"## {chapter.title}", *_words(chapter)]
            for figure in drawn:
                page += _figure(figure, folder.name, files, config)
    return page


def _figure(figure: Figure, of: str, files: Files, config: MkDocsConfig) -> list[str]:
    file = f"figures/recorded/{of}/{figure.name}.svg"
    files.append(File.generated(config, file, content=charts.draw(figure).svg))
    return [f"![{figure.caption}](../{file})", f"*{figure.caption}* {charts.reading_key(figure)}"]


def _words(chapter: Chapter) -> Iterator[str]:
    if chapter.verdict is not None:
        yield f"**{chapter.verdict.capitalize()}.** {chapter.parts[0]}"
        yield f"```text\n{chapter.all(Code)[0].text}\n```"
