"""Runs a command in this process and says whether its answer is one that a user may get."""

from __future__ import annotations

import json
from typing import Any

from click.testing import CliRunner, Result

from effbatch.cli import main


def run(*arguments: object, **options: Any) -> Result:
    """Standard output and error apart, in a terminal of 80 columns."""
    return CliRunner(env={"COLUMNS": "80"}).invoke(main, [str(a) for a in arguments], **options)


def refused(*arguments: object, usage: bool = False, code: int = 2, **options: Any) -> str:
    """The sentence with which bad input is refused: one line on stderr, nothing on stdout; click's own has a usage."""
    result = run(*arguments, **options)
    assert result.exit_code == code, (result.exit_code, result.output, result.exception)
    assert result.stdout == ""
    *before, sentence = result.stderr.splitlines()
    assert sentence.startswith("effbatch: ") or (sentence.startswith("Error: ") and before[0].startswith("Usage: "))
    assert usage or not before or before[0].startswith("Usage: "), result.stderr
    assert "Traceback" not in result.stderr
    return sentence


def answered(*arguments: object, **options: Any) -> Any:
    """What --json prints, with finite numbers alone; None where the input is refused."""
    result = run(*arguments, **options)
    if result.exit_code != 0:
        refused(*arguments, **options)
        return None
    return json.loads(result.stdout, parse_constant=_no_number)


def _no_number(token: str) -> None:
    raise AssertionError(f"{token} is no JSON")
