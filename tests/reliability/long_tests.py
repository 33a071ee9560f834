"""The other tests of this folder, with many more examples and draws than `make test` takes, counted file by file."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree

HERE = Path(__file__).parent
ELSEWHERE = ("test_faults.py", "test_record.py")  # what the other tables of the record tell
FILES = sorted(path.name for path in HERE.glob("test_*.py") if path.name not in ELSEWHERE)
OUTCOMES = ("passed", "failed", "skipped")


def counted(folder: Path) -> dict[str, Counter[str]]:
    """How many tests of every file passed, failed or were skipped; `folder` is for what pytest writes."""
    report = folder / "long_tests.xml"
    subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--junitxml={report}"]
        + [str(HERE / name) for name in FILES],
        cwd=HERE.parents[1],
        env={**os.environ, "EFFBATCH_TORTURE": "1"},
        stdout=sys.stderr,
        check=False,  # failures are counted
    )
    if not report.exists():  # pytest itself has failed
        return {name: Counter(failed=1) for name in FILES}
    return outcomes(report.read_text(encoding="utf-8"))


def outcomes(junit: str) -> dict[str, Counter[str]]:
    """The same from the text of a JUnit report."""
    counts: dict[str, Counter[str]] = {name: Counter() for name in FILES}
    for case in ElementTree.fromstring(junit).iter("testcase"):
        place = case.attrib["classname"] or case.attrib["name"]  # a file that cannot be imported has but a name
        (name,) = (name for name in FILES if Path(name).stem in place.split("."))
        found = {child.tag for child in case}
        counts[name]["failed" if found & {"failure", "error"} else "skipped" if "skipped" in found else "passed"] += 1
    return counts


def title(name: str) -> str:
    """The first line of a file's docstring."""
    docstring = ast.get_docstring(ast.parse((HERE / name).read_text(encoding="utf-8"))) or name
    return docstring.partition("\n")[0].replace("|", "/")
