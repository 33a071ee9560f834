"""Imports only go down the layers of docs/architecture.md; torch stays under training/, other heavy ones are lazy."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import effbatch

ROOT = Path(effbatch.__file__).parent
# A module may import what stands above it, and its own package.
LAYERS = [
    "errors", "durable", "netcdf", "jsonable", "estimate", "resources", "npyfile", "exhibits", "notebook",
    "noise", "moments",
    "schedules", "dynamics", "refinement", "detection", "audit", "laws", "prediction", "cube", "fitting", "claims",
    "views", "training", "integrations", "tables", "charts", "plots", "advice", "markdown", "report", "yardsticks",
    "validation", "time_left", "progress", "cli",
]  # fmt: skip
LAZY = {
    "torch",
    "statsmodels",
    "weasyprint",
    "vl_convert",
    "sklearn",
    "rich",
    "distributed",
    "PIL",
    "lightning",
    "transformers",
    "IPython",
}


def imports(path: Path, *, top_level_only: bool) -> list[str]:
    """Dotted names that a file imports, skipping what only type checkers see."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    typing_only = {
        id(node)
        for test in ast.walk(tree)
        if isinstance(test, ast.If) and ast.unparse(test.test) == "TYPE_CHECKING"
        for node in ast.walk(test)
    }
    nodes = tree.body if top_level_only else ast.walk(tree)
    found = []
    for node in nodes:
        if id(node) in typing_only:
            continue
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            found += [f"{node.module}.{alias.name}" for alias in node.names]
    return found


FILES = sorted(path for path in ROOT.rglob("*.py") if path.parent != ROOT or path.stem not in ("__init__", "__main__"))


def layer_of(path: Path) -> str:
    return path.relative_to(ROOT).with_suffix("").parts[0]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_go_down_the_layers(path):
    place = LAYERS.index(layer_of(path))
    for name in imports(path, top_level_only=False):
        parts = name.split(".")
        if parts[0] == "effbatch" and len(parts) > 1:
            assert LAYERS.index(parts[1]) <= place, f"{path.name} imports {name}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_heavy_libraries_are_imported_where_they_are_used(path):
    lazy = LAZY - {"torch"} if layer_of(path) == "training" else LAZY
    heavy = {name.split(".")[0] for name in imports(path, top_level_only=True)} & lazy
    assert not heavy


def test_every_module_has_its_layer():
    assert {layer_of(path) for path in FILES} == set(LAYERS)


@pytest.mark.parametrize(
    "arguments", [["--help"], ["predict", "--alpha", "50", "--batch", "128"], ["laws"]], ids=" ".join
)
def test_the_command_line_starts_without_heavy_libraries(arguments):
    code = (
        "import sys\nfrom effbatch.cli import main\n"
        f"try:\n    main({arguments!r})\nexcept SystemExit as stop:\n    assert not stop.code, stop.code\n"
        "heavy = {'torch', 'statsmodels', 'weasyprint', 'sklearn', 'xarray'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
