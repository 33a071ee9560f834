"""The code as it is now -> every file in tests/golden/recorded; review what changed as a diff.

python tests/golden/record.py              # after a change of behaviour that is meant, and is in the CHANGELOG
"""

from __future__ import annotations

import json
import shutil
from typing import Any

import commands
import public
from commands import CASES, RECORDED, RESULTS


def write(name: str, content: Any) -> None:
    text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False)
    (RECORDED / f"{name}.json").write_text(f"{text}\n", encoding="utf-8")


def main() -> None:
    for name in sorted(CASES, key=lambda name: not name.startswith("estimate")):  # a prediction reads an estimate
        write(name, commands.answer(CASES[name]))
    write("options", commands.options())
    write("datasets", commands.built_in_data())
    write("doctor", commands.checks())
    write("public_signatures", public.signatures())
    write("public_answers", public.answers())
    (RECORDED / "report.md").write_text(commands.report(), encoding="utf-8")
    for folder in RESULTS.iterdir():  # simulations/rejudge.py makes them
        shutil.copy(folder / "verdicts.json", RECORDED / f"verdicts_{folder.name}.json")


if __name__ == "__main__":
    main()
