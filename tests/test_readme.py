"""README's examples run and print what README says."""

from __future__ import annotations

import re
import shlex
import tomllib
from pathlib import Path

import pytest
from click.testing import CliRunner

from effbatch.cli import COMMANDS, main

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
CONSOLE = re.findall(r"```console\n\$ effbatch (.*?)\n```", README)
PYTHON = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)


@pytest.mark.parametrize("line", CONSOLE)
def test_console_examples_run(line):
    result = CliRunner().invoke(main, shlex.split(line))
    assert result.exit_code == 0, result.output


@pytest.mark.parametrize("code", PYTHON)
def test_python_examples_print_what_their_comments_say(code, capsys):
    exec(compile(code, "README.md", "exec"), {})
    said = [line.split("  # ")[1] for line in code.splitlines() if line.startswith("print(")]
    assert capsys.readouterr().out.splitlines() == said


def test_there_are_examples_of_both_kinds():
    assert CONSOLE
    assert PYTHON


def test_every_command_named_in_readme_exists():
    named = set(re.findall(r"`effbatch (\w+)", README))
    assert named <= set(COMMANDS)


def test_the_two_make_commands_exist():
    targets = re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert {"validate", "test"} <= set(targets)
    assert "make validate" in README
    assert "make test" in README


@pytest.mark.parametrize("link", re.findall(r"\]\(((?!http)[^)]+)\)", README))
def test_links_lead_somewhere(link):
    assert (ROOT / link).exists()


def test_citation_and_project_agree_on_the_version():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert f"version: {project['version']}" in citation
    assert "1705.10694" in citation
