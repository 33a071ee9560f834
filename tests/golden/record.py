"""The code as it is now -> what changed in tests/golden/recorded, beyond tolerance; review it as a diff.

python tests/golden/record.py              # after a change of behaviour that is meant, and is in the CHANGELOG
"""

from __future__ import annotations

import json
import shutil
from typing import Any

import commands
import public
from commands import CASES, RECORDED, RESULTS, TRAINED
from difference import first_difference


def write(name: str, content: Any, tolerance: float = 0.0) -> None:
    """Write a file anew where the answer has changed: last digits of numbers that torch computed always do."""
    file = RECORDED / f"{name}.json"
    if file.exists() and not first_difference(json.loads(file.read_text(encoding="utf-8")), content, tolerance):
        return
    text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False)
    file.write_text(f"{text}\n", encoding="utf-8")


def main() -> None:
    for name in sorted(CASES, key=lambda name: not name.startswith("estimate")):  # a prediction reads an estimate
        write(name, commands.answer(CASES[name]), CASES[name].tolerance)
    write("options", commands.options())
    write("datasets", commands.built_in_data())
    write("doctor", commands.checks())
    write("public_signatures", public.signatures())
    write("public_answers", public.answers(), TRAINED)
    (RECORDED / "report.md").write_text(commands.report(), encoding="utf-8")
    for folder in RESULTS.iterdir():  # simulations/rejudge.py makes them
        shutil.copy(folder / "verdicts.json", RECORDED / f"verdicts_{folder.name}.json")


if __name__ == "__main__":
    main()
