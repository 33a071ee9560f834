"""A folder tells what its modules may import: its own folder and those above it; heavy libraries load when used."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

import effbatch

ROOT = Path(effbatch.__file__).parent
# A module may import from its own folder and from folders that stand earlier. docs/architecture.md says what is where.
FOLDERS = [
    "core", "data", "networks", "noise", "theory", "audit", "laws", "plan", "fitting", "claims", "measure", "engine",
    "probe", "sweep", "advice", "integrations", "show", "validation", "cli",
]  # fmt: skip
PLUG_INS = {"laws", "claims", "data/builtin", "networks/builtin", "cli"}  # one small file each, as many as there are
MOST_MODULES = 15
COMMON_NAMES = {"__init__", "base", "figures"}  # every folder may have one
LOADS_TORCH = {"networks", "measure", "engine", "probe", "sweep"}  # import it at the top of their modules
DOORS = {"core.dispatch -> show"}  # by its name, when an answer is first shown
LAZY = {
    "torch", "statsmodels", "weasyprint", "vl_convert", "sklearn", "rich", "distributed", "PIL", "lightning",
    "transformers", "IPython", "datasets",
}  # fmt: skip


def name_of(path: Path) -> str:
    """`effbatch/data/builtin/digits.py` is data.builtin.digits; a folder's `__init__` has the folder's name."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {
    name_of(path): ast.parse(path.read_text(encoding="utf-8"))
    for path in sorted(ROOT.rglob("*.py"))
    if path.parent != ROOT or path.stem not in ("__init__", "__main__")
}


def imported(nodes: Iterator[ast.AST]) -> Iterator[str]:
    """Dotted names that these nodes import, also by a string such as `importlib.import_module("effbatch.laws")`."""
    for node in nodes:
        match node:
            case ast.Import(names=names):
                yield from (alias.name for alias in names)
            case ast.ImportFrom(module=module, names=names, level=0):
                yield from (f"{module}.{alias.name}" for alias in names)
            case ast.ImportFrom():
                raise AssertionError(f"name the whole module: {ast.unparse(node)}")
            case ast.Constant(value=str(text)) if text.removeprefix("effbatch.") in MODULES and "." in text:
                yield text


def neighbours(module: str) -> set[str]:
    """The modules of effbatch that one imports, wherever in its file, for type checkers too."""
    found = set()
    for name in imported(ast.walk(MODULES[module])):
        package, _, inside = name.partition(".")
        if package == "effbatch":
            found.add(inside if inside in MODULES else inside.rpartition(".")[0])
    return found & MODULES.keys() - {module}


IMPORTS = {module: neighbours(module) for module in MODULES}


def folder(module: str) -> str:
    return module.partition(".")[0]


def upwards() -> Iterator[str]:
    for module, targets in IMPORTS.items():
        for target in targets:
            if FOLDERS.index(folder(target)) > FOLDERS.index(folder(module)):
                yield f"{module} -> {target}"


def circles() -> Iterator[str]:
    reached = {module: reachable(module) for module in IMPORTS}
    seen: set[str] = set()
    for module in IMPORTS:
        circle = {other for other in reached[module] if module in reached[other]}
        if circle and module not in seen:
            seen |= circle
            yield f"circle: {', '.join(sorted(circle))}"


def reachable(module: str) -> set[str]:
    found: set[str] = set()
    waiting = [module]
    while waiting:
        new = IMPORTS[waiting.pop()] - found
        found |= new
        waiting += new
    return found


def at_the_top(tree: ast.Module) -> Iterator[ast.AST]:
    """Nodes that run when the module loads: no bodies of functions, nothing that only type checkers see."""
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        typing_only = isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        if not typing_only and not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            yield node
            waiting += ast.iter_child_nodes(node)


def heavy_imports() -> Iterator[str]:
    for module, tree in MODULES.items():
        lazy = LAZY - {"torch"} if folder(module) in LOADS_TORCH else LAZY
        heavy = {name.partition(".")[0] for name in imported(at_the_top(tree))} & lazy
        yield from (f"{module} imports {library}" for library in heavy)


def plug_in(path: Path) -> bool:
    return path.parent.relative_to(ROOT).as_posix() in PLUG_INS


FILES = [path for path in sorted(ROOT.rglob("*.py")) if path.parent != ROOT]


def long_folders() -> Iterator[str]:
    lengths = Counter(path.parent for path in FILES if path.stem != "__init__" and not plug_in(path))
    for place, length in lengths.items():
        if length > MOST_MODULES:
            yield f"{place.relative_to(ROOT).as_posix()}/ has more than {MOST_MODULES} modules"


def shared_names() -> Iterator[str]:
    names = Counter(path.stem for path in FILES if path.stem not in COMMON_NAMES and not plug_in(path))
    yield from (f"two modules are called {name}" for name, times in names.items() if times > 1)


def test_the_layout_holds():
    violated = {*upwards(), *circles(), *heavy_imports(), *long_folders(), *shared_names()}
    assert violated == DOORS


def test_every_module_stands_in_a_folder_of_the_list():
    assert {folder(module) for module in MODULES} == set(FOLDERS)


def test_the_architecture_lists_the_folders_in_this_order():
    page = (ROOT.parent / "docs" / "architecture.md").read_text(encoding="utf-8")
    assert re.findall(r"^\| `(\w+)/` \|", page, flags=re.MULTILINE) == FOLDERS


@pytest.mark.parametrize(
    "arguments", [["--help"], ["predict", "--alpha", "50", "--batch", "128"], ["laws"]], ids=" ".join
)
def test_the_command_line_starts_without_heavy_libraries(arguments):
    run = f"try:\n    main({arguments!r})\nexcept SystemExit as stop:\n    assert not stop.code, stop.code\n"
    assert loaded_by(f"from effbatch.cli import main\n{run}") <= {"rich", "numpy"}  # rich draws the tables


@pytest.mark.parametrize("place", ["core", "noise", "theory", "laws"])
def test_what_needs_only_numpy_loads_only_numpy(place):
    modules = [f"effbatch.{name}" for name in MODULES if folder(name) == place and name != "core.netcdf"]
    assert loaded_by(f"import {', '.join(modules)}") == {"numpy"}


def loaded_by(code: str) -> set[str]:
    """The heavy libraries, and numpy, that a fresh interpreter has loaded after running the code."""
    code = f"import sys\n{code}\nprint()\nprint(*{ ({*LAZY, 'xarray', 'numpy'})!r} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.splitlines()[-1].split())
