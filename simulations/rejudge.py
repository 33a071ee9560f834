"""The recorded cubes -> all that is made of them: verdicts, summaries, tables, law scores, two figures.

python simulations/rejudge.py              # after a cube was recorded, or a fit, a claim or a report changed
"""

from __future__ import annotations

import json
import runpy
import subprocess
import sys

from make_readme import HERE, RESULTS, judged_folders, page

from effbatch.show import charts
from effbatch.show.rendering import write_markdown
from effbatch.validation import document, scorecard

ROOT = HERE.parent
FIGURE = ROOT / "docs" / "figures" / "collapse.svg"


def main() -> None:
    """Write every file that the tests compare with the recorded cubes."""
    folders = judged_folders()
    for name, judged in folders.items():
        folder = RESULTS / name
        card = scorecard.measure(judged)
        text = json.dumps(document.verdicts(judged, card), indent=2, allow_nan=False)
        (folder / "verdicts.json").write_text(text + "\n", encoding="utf-8")
        write_markdown(document.report(judged, card), folder / "README.md")
        if "effective_batch" in judged and (found := judged["effective_batch"].judgement):
            (figure,) = (one for one in found.figures if one.name == FIGURE.stem)
            FIGURE.write_text(charts.draw(figure).svg, encoding="utf-8")
    chain = runpy.run_path(str(ROOT / "docs" / "theory_chain.py"))
    chain["FILE"].write_text(chain["svg"](folders["digits"]), encoding="utf-8")
    (HERE / "README.md").write_text(page(folders), encoding="utf-8")
    for script in ("benchmarks/law_scores.py", "docs/paper_record.py"):
        subprocess.run([sys.executable, script], cwd=ROOT, capture_output=True, check=True)


if __name__ == "__main__":
    main()
