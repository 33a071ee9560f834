"""Every code block of README and docs/ runs and says what stands below it; the site builds without a warning."""

from __future__ import annotations

import contextlib
import io
import json
import re
import shlex
import sys
import tomllib
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
import records
from click.testing import CliRunner

import effbatch
from effbatch.cli import COMMANDS, main
from effbatch.core import npyfile
from effbatch.data import sources
from effbatch.data.dataset import MAX_CLASSES, MAX_PIXEL
from effbatch.noise import matrixfile, transition
from effbatch.plan import options, spec

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "effbatch"
OWN_TEST = {"own-data.md", "extend.md"}  # tests/project/test_howto.py runs these pages and looks at what comes out
PAGES = [ROOT / "README.md", *(page for page in sorted((ROOT / "docs").rglob("*.md")) if page.name not in OWN_TEST)]
FENCE = re.compile(r"(<!-- not run: [^\n]+ -->\n)?^```(\w*)\n(.*?)^```$", flags=re.MULTILINE | re.DOTALL)


class Block(NamedTuple):
    kind: str
    text: str
    not_run: bool


def blocks(page: Path) -> list[Block]:
    found = FENCE.findall(page.read_text(encoding="utf-8"))
    return [Block(kind, text, bool(marker)) for marker, kind, text in found]


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page)], ids=name_of)
def test_every_block_runs_and_says_what_the_page_says(page, tmp_path, monkeypatch):
    """In order, in one folder and one Python namespace, as a reader would; what begins `# name.py` is a file."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    for module in {"my_nets"} & sys.modules.keys():
        monkeypatch.delitem(sys.modules, module)
    namespace: dict[str, object] = {}
    said = ""
    for block in blocks(page):
        match block:
            case Block(not_run=True):
                pass
            case Block("python", code) if file := re.match(r"# (\w+\.py)\n", code):
                (tmp_path / file[1]).write_text(code, encoding="utf-8")
            case Block("python", code):
                said = run_python(code, namespace)
            case Block("console", session):
                run_session(session)
            case Block("toml", text):
                tomllib.loads(text)
                if name := re.match(r"# (\w+\.toml)\n", text):
                    (tmp_path / name[1]).write_text(text, encoding="utf-8")
            case Block("text", expected):  # below Python, what it prints; elsewhere, no code
                assert not said or said == expected
                said = ""
            case _:
                pytest.fail(f"{block.kind or 'a block without a language'} is not run: give a reason above it")


def run_python(code: str, namespace: dict[str, object]) -> str:
    """What the code prints and no comment told; `print(x)  # 3` has to print 3."""
    with contextlib.redirect_stdout(io.StringIO()) as out:
        exec(compile(code, "a page", "exec"), namespace)
    comments = re.findall(r"^print\(.*  # (.*)$", code, flags=re.MULTILINE)
    if not comments:
        return out.getvalue()
    assert out.getvalue().splitlines() == comments
    return ""


def run_session(session: str) -> None:
    """Run each `$ effbatch ... | effbatch ...`; the lines below it are its output, ... stands for anything."""
    for part in re.split(r"^\$ ", session.replace("\\\n", ""), flags=re.MULTILINE)[1:]:
        line, _, expected = part.partition("\n")
        said = ""
        for command in line.split("|"):
            program, *arguments = shlex.split(command)
            assert program == "effbatch"
            result = CliRunner(env={"COLUMNS": "80"}).invoke(main, arguments, input=said)
            assert result.exit_code == 0, result.output
            said = result.stdout
        pattern = re.escape(squeezed(expected)).replace(re.escape("...\n"), ".*").replace(re.escape("..."), ".*")
        assert not expected or re.fullmatch(pattern, squeezed(said), flags=re.DOTALL), said


def squeezed(text: str) -> str:
    """Without spaces at the ends of lines, and with one empty line about it."""
    return "\n" + "\n".join(line.rstrip() for line in text.splitlines()).strip() + "\n"


def test_blocks_of_all_kinds_are_found():
    kinds = {block.kind for page in PAGES for block in blocks(page) if not block.not_run}
    assert {"python", "console", "toml", "text"} <= kinds
    fences = sum(page.read_text(encoding="utf-8").count("\n```") for page in PAGES)
    assert fences == 2 * sum(len(blocks(page)) for page in PAGES)


def commands() -> Iterator[str]:
    for page in PAGES:
        yield from re.findall(r"(?:`|\$ |\| )effbatch ([a-z]+)", page.read_text(encoding="utf-8"))


def test_every_command_named_exists():
    assert set(commands()) <= set(COMMANDS)


def test_every_file_of_the_code_named_exists():
    """`plan/spec.py` is in the package, `tests/project/test_docs.py` in the repository; `spec.py` alone is neither."""
    text = {page: page.read_text(encoding="utf-8") for page in PAGES}
    named = {(name_of(page), name) for page in PAGES for name in re.findall(r"`([\w/]+/(?:\w+\.\w+)?)`", text[page])}
    assert {name for _, name in named} >= {"plan/spec.py", "core/"}
    assert not {(page, name) for page, name in named if not any((top / name).exists() for top in (ROOT, PACKAGE))}


def test_every_make_target_named_exists():
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE))
    text = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
    assert {"validate", "test"} <= set(re.findall(r"^make (\w+)", text, flags=re.MULTILINE)) <= targets
    assert set(re.findall(r"`make (\w+)`", text)) <= targets


README = (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("link", re.findall(r"\]\(((?!http)[^)]+)\)", README))
def test_links_of_readme_lead_somewhere(link):
    assert (ROOT / link).exists()


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_somewhere_in_a_checkout(page):
    links = re.findall(r"\]\(((?!http|#)[^)\s#]+)", page.read_text(encoding="utf-8"))
    assert not [link for link in links if not (page.parent / link).exists()]


def test_links_to_recorded_files_lead_to_their_pages_in_the_site(site):
    page = (site / "findings" / "index.html").read_text(encoding="utf-8")
    assert all(f'href="../{target}/"' in page for target in ("results/digits", "benchmark"))


def test_package_project_citation_and_changelog_agree_on_the_version():
    version = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert f"\nversion: {version}\n" in citation
    assert "1705.10694" in citation
    assert effbatch.__version__ == version
    assert re.search(r"^## \[(.*?)\]", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)[1] == version


def test_every_dependency_is_pinned():
    """`make` installs what was tested: of each name that pyproject asks for, constraints.txt says which version."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    asked = {*project["dependencies"], *(one for extra in project["optional-dependencies"].values() for one in extra)}
    names = {re.match(r"[\w.-]+", one)[0].lower() for one in asked} - {"effbatch"}
    pinned = re.findall(r"^([\w.-]+)==", (ROOT / "constraints.txt").read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert len(names) > 15
    assert not names - {name.lower() for name in pinned}


def test_the_versions_of_python_declared_are_those_that_readme_says_ran_the_tests():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    declared = re.findall(r"Programming Language :: Python :: (3\.\d+)", "\n".join(project["classifiers"]))
    ran = re.search(r"The whole test suite has run on .*?\n\n", README, flags=re.DOTALL)[0]
    assert declared == re.findall(r"\b(3\.\d+)\.\d+", ran)
    assert project["requires-python"] == f">={declared[0]}"


def test_what_the_comparison_says_of_the_benchmark_is_recorded():
    tables = json.loads((ROOT / "benchmarks" / "results" / "prediction.json").read_text(encoding="utf-8"))["tables"]
    error = {name: {row["method"]: row["median_error"] for row in rows} for name, rows in tables.items()}
    page = (ROOT / "docs" / "comparison.md").read_text(encoding="utf-8")
    held_out, same = error["Held-out cases"], error["Held-out cases of plain SGD, the same cells for every method"]
    optuna, short = "Optuna, 20 runs", "short runs"
    assert f"on the held-out cases of our benchmark by {held_out[optuna]:.2f} powers of two" in page
    assert f"plain SGD, by {same[optuna]:.2f} against their {same[short]:.2f}" in page
    assert f"any other method: {held_out['LR range test']:.1f} powers of two on the held-out cases" in page
    assert sorted(held_out, key=held_out.get)[:2] == [short, optuna]
    assert "missed the best rate of whole noisy runs by more than any other method" in page
    assert max(error["Held-out cases"], key=error["Held-out cases"].get) == "LR range test"
    assert max(error["All cases"], key=error["All cases"].get) == "LR range test"


def build(file: Path, site: Path) -> None:
    """As `make docs`, but in this process: the recorded cubes are judged once for all tests. Abort for a warning."""
    pytest.importorskip("mkdocs", reason="pip install 'effbatch[docs]'")
    from mkdocs.commands.build import build
    from mkdocs.config import load_config

    with warnings.catch_warnings(), pytest.MonkeyPatch.context() as patch:
        warnings.simplefilter("ignore")  # of the libraries; those of mkdocs itself are log records
        config = load_config(str(file), site_dir=str(site))
        for hook in config.hooks.values():
            patch.setattr(hook, "report_of", records.report)
        config.plugins.on_startup(command="build", dirty=False)
        build(config)


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    build(ROOT / "mkdocs.yml", folder)
    return folder


@pytest.mark.parametrize("link", ["#here-α", "#nowhere", "nowhere.md"])
def test_a_link_to_no_anchor_or_page_fails_the_build(tmp_path, link):
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "index.md").write_text(f"# Here α\n\n[there]({link})\n", encoding="utf-8")
    (tmp_path / "mkdocs.yml").write_text(
        f"INHERIT: {ROOT / 'mkdocs.yml'}\ndocs_dir: docs\nnav:\nhooks: []\nplugins: []\n"
    )
    if link == "#here-α":
        build(tmp_path / "mkdocs.yml", tmp_path / "site")
    else:
        with pytest.raises(SystemExit, match="1 warning"):
            build(tmp_path / "mkdocs.yml", tmp_path / "site")


@pytest.mark.parametrize("data", sorted(path.name for path in (ROOT / "simulations" / "results").iterdir()))
def test_the_gallery_shows_every_figure_of_the_recorded_runs(site, data):
    page = (site / "gallery" / data / "index.html").read_text(encoding="utf-8")
    figures = re.findall(r'<img[^>]+src="[./]+(figures/recorded/[\w/.-]+\.svg)"', page)
    verdicts = ROOT / "simulations" / "results" / data / "verdicts.json"
    claims = json.loads(verdicts.read_text(encoding="utf-8"))["verdicts"]
    assert len(figures) == len(set(figures)) >= len(claims)
    assert all((site / figure).read_text(encoding="utf-8").startswith("<svg") for figure in figures)


def test_the_figure_of_readme_is_that_of_the_recorded_runs(site):
    current = (site / "figures" / "recorded" / "digits" / "collapse.svg").read_text(encoding="utf-8")
    drawn = (ROOT / "docs" / "figures" / "collapse.svg").read_text(encoding="utf-8")
    assert drawn == current, "python simulations/rejudge.py"


def test_the_reference_has_the_public_functions(site):
    page = (site / "reference" / "index.html").read_text(encoding="utf-8")
    for name in ("predict", "GradientMoments", "measure_moments", "estimate_noise", "open_cube", "fit"):
        assert re.search(rf'<h3 id="effbatch\.[\w.]*\.{name}"', page), name


def test_no_page_asks_the_network_for_anything(site):
    loading = re.compile(r'<(?:script|link|img|iframe)\b[^>]*(?:src|href)="(?:https?:)?//')
    for page in site.rglob("*.html"):
        assert not loading.search(page.read_text(encoding="utf-8")), page


LIMITS = [  # page, words of the row, the limit as it stands there
    ("spec", "size of the TOML file", f"{spec.MAX_SPEC_BYTES:,} bytes"),
    ("spec", "what `--dataset` puts", f"{options.MAX_NAME} characters"),
    ("spec", "cells of the grid", f"{spec.MAX_CELLS:,}"),
    ("spec", "combinations", f"{spec.MAX_POINTS:,}"),
    ("spec", "steps that a budget", f"{options.MAX_BUDGET:g}"),
    ("data", "one array", f"{npyfile.MAX_BYTES:,} bytes"),
    ("data", "pixels of the training", f"{sources.MAX_PIXELS:,}"),
    ("data", "classes |", f"2 to {MAX_CLASSES:,}"),
    ("data", "classes of a noise matrix", f"{transition.MAX_CLASSES:,}"),
    ("data", "file with a noise matrix", f"{matrixfile.MAX_BYTES:,} bytes"),
    ("data", "numbers, as", f"within ±{MAX_PIXEL:,.0f}"),
]


@pytest.mark.parametrize(("page", "what", "limit"), LIMITS, ids=[f"{page}: {what}" for page, what, _ in LIMITS])
def test_the_limits_told_are_those_enforced(page, what, limit):
    text = (ROOT / "docs" / f"{page}.md").read_text(encoding="utf-8").partition("## Limits\n")[2].partition("\n## ")[0]
    (row,) = (line for line in text.splitlines() if line.startswith(f"| {what}"))
    assert re.search(rf"\| {re.escape(limit)}(?!,?\d)", row)
