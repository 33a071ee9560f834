"""Every example in a docstring prints what it says."""

from __future__ import annotations

import ast
import doctest
import importlib
from pathlib import Path

import numpy as np
import pytest
import torch

import effbatch

ROOT = Path(effbatch.__file__).parent
MODULES = [
    ".".join(path.relative_to(ROOT.parent).with_suffix("").parts).removesuffix(".__init__")
    for path in sorted(ROOT.rglob("*.py"))
    if ">>> " in path.read_text(encoding="utf-8")
]
KNOWN = {"effbatch": effbatch, "np": np, "torch": torch}  # besides what a module has at its top


class Checker(doctest.OutputChecker):
    """Numbers may differ in their last digits, as machines round."""

    def check_output(self, want: str, got: str, optionflags: int) -> bool:
        if super().check_output(want, got, optionflags):
            return True
        try:
            return ast.literal_eval(got) == pytest.approx(ast.literal_eval(want), rel=1e-9)
        except (SyntaxError, ValueError, TypeError):
            return False


@pytest.mark.parametrize("name", MODULES)
def test_examples_of_docstrings_print_what_they_say(name, monkeypatch):
    monkeypatch.chdir(ROOT.parent)
    module = importlib.import_module(name)
    found = doctest.DocTestFinder(exclude_empty=True).find(module, extraglobs=KNOWN)
    runner, said = doctest.DocTestRunner(Checker(), optionflags=doctest.ELLIPSIS), []
    for example in found:
        runner.run(example, out=said.append)
    assert runner.summarize(verbose=False).attempted > 0
    assert not said, "".join(said)
