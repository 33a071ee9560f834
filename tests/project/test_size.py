"""A function fits a screen and takes few parameters; a dataclass of many fields is built by name."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import effbatch

ROOT = Path(effbatch.__file__).parent
MOST_PARAMETERS = 8  # named ones; what comes in `**given` are fields of objects that travel whole
MOST_LINES = 50  # without decorators and docstring
MOST_FIELDS, BY_PLACE = 6, 4  # of a dataclass; of more, so many at most are given by their place
EXCEPTIONS = {
    "measure/gradients.py: measure_moments takes 9 parameters",  # labels and their number of classes, or neither
}


def too_large(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            if (many := parameters(node.args)) > MOST_PARAMETERS:
                yield f"{node.name} takes {many} parameters"
            if (many := lines(node)) > MOST_LINES:
                yield f"{node.name} has {many} lines"
        elif isinstance(node, ast.ClassDef) and (many := by_place(node)) > BY_PLACE:
            yield f"{node.name} takes {many} fields by place"


def parameters(taken: ast.arguments) -> int:
    named = [one.arg for one in (*taken.posonlyargs, *taken.args, *taken.kwonlyargs)]
    return len(named) - (named[:1] in (["self"], ["cls"]))


def lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    first = function.body[0]
    docstring = ast.get_docstring(function) is not None
    return function.end_lineno - function.lineno + 1 - docstring * (first.end_lineno - first.lineno + 1)


def by_place(one: ast.ClassDef) -> int:
    """How many fields of a dataclass of more than six can be given by their place; 0 of any other class."""
    how = [ast.unparse(decorator) for decorator in one.decorator_list]
    dataclass = next((text for text in how if text.startswith("dataclass")), "kw_only=True")
    notes = [ast.unparse(field.annotation) for field in one.body if isinstance(field, ast.AnnAssign)]
    fields = [note for note in notes if not note.startswith("ClassVar")]
    names = [note for note in fields if note != "KW_ONLY"]
    if "kw_only=True" in dataclass or len(names) <= MOST_FIELDS:
        return 0
    return fields.index("KW_ONLY") if "KW_ONLY" in fields else len(fields)


def test_nothing_takes_more_than_a_screen_or_a_handful_of_parameters():
    found = {f"{file.relative_to(ROOT).as_posix()}: {what}" for file in ROOT.rglob("*.py") for what in too_large(file)}
    assert found == EXCEPTIONS
