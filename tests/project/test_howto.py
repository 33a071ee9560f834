"""The how-to for one's own data runs from its first block to its last, in an empty folder."""

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path

from click.testing import CliRunner

from effbatch.cli import main

PAGE = (Path(__file__).parents[2] / "docs" / "howto" / "own-data.md").read_text(encoding="utf-8")
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


def test_links_lead_somewhere():
    for link in re.findall(r"\]\(((?!http)[^)]+)\)", PAGE):
        assert (Path(__file__).parents[2] / "docs" / "howto" / link.partition("#")[0]).exists()
