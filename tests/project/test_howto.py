"""The how-to for one's own data runs in an empty folder; that for additions, in a copy of the package."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from effbatch.cli import main

ROOT = Path(__file__).parents[2]
HOWTO = ROOT / "docs" / "howto"
PAGE = (HOWTO / "own-data.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(python|console)\n(.*?)```", PAGE, flags=re.DOTALL)


def test_every_block_runs_in_order(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    sys.modules.pop("my_nets", None)  # of another page
    names: dict = {}
    for kind, text in BLOCKS:
        if kind == "console":
            result = CliRunner().invoke(main, shlex.split(text.removeprefix("$ effbatch ")))
            assert result.exit_code == 0, result.output
        elif file := re.match(r"# (\w+\.py)\n", text):
            (tmp_path / file[1]).write_text(text)
        else:
            exec(compile(text, "own-data.md", "exec"), names)
    sys.modules.pop("my_nets")

    answer, *records = capsys.readouterr().out.splitlines()
    assert answer.startswith("64 ")  # at a fixed number of steps the larger batch wins
    assert len(records) == len(names["tracker"].history) > 0
    with names["torch"].no_grad():
        test = names["torch"].tensor(names["images"][1300:], dtype=names["torch"].float32)
        reached = (names["network"](test).argmax(1).numpy() == names["labels"][1300:]).mean()
    assert reached > 0.6  # with 60 % of the labels wrong; chance is 0.1


def test_each_addition_is_one_file_and_its_test(tmp_path):
    """Every file of extend.md in a copy of the package: its tests pass, and the claim is judged."""
    page = (HOWTO / "extend.md").read_text(encoding="utf-8")
    files = re.findall(r"```(?:python|toml)\n# (\S+)\n(.*?)```", page, flags=re.DOTALL)
    for folder in ("effbatch", "reports", "simulations"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__", "results"))
    for name, text in files:
        assert not (ROOT / name).exists()
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    tests = [name for name, _ in files if name.startswith("tests/")]
    added = [name for name, _ in files if name.startswith("effbatch/")]
    assert [Path(name).parts[1] for name in added] == ["laws", "networks", "data", "claims"]
    assert len(tests) == len(added)

    (command,) = re.findall(r"```console\n\$ effbatch (.*)\n```", page)
    paths = os.pathsep.join([str(tmp_path), str(ROOT / "tests")])
    for arguments in (["pytest", "-q", *tests], ["effbatch", *shlex.split(command)]):
        ran = subprocess.run(
            [sys.executable, "-m", *arguments],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": paths},
            capture_output=True,
            text=True,
        )
        assert ran.returncode == 0, ran.stdout + ran.stderr
    assert ran.stdout.startswith("SUPPORTED: ")
    assert "Clean labels are learned" in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("page", ["own-data.md", "extend.md"])
def test_links_lead_somewhere(page):
    for link in re.findall(r"\]\(((?!http)[^)]+)\)", (HOWTO / page).read_text(encoding="utf-8")):
        assert (HOWTO / link.partition("#")[0]).exists()
