"""The recorded cubes -> simulations/README.md: every simulation with its claim, prediction, measurement, verdict, cost.

python simulations/make_readme.py > simulations/README.md      # `rejudge.py` makes it and all else
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from effbatch import claims
from effbatch.core.formats import number_text
from effbatch.plan import cube, spec
from effbatch.validation import run as validation

HERE = Path(__file__).parent
RESULTS = HERE / "results"
INTRO = """# Simulations

One TOML file each: what to train, on which grid, and a claim whose prediction is stored before training and whose
rule is fixed in the file ([keys](../docs/spec.md)). `effbatch validate NAME` runs one, `--quick` on its small grid,
`--dataset DATA` on other images. The recorded runs, full grids on CPU, are in [results](results), one folder a data
set; `effbatch report simulations/results/digits` makes the report again without training. The claims on a data set are
judged together: p is corrected for their number (Holm 1979). This page is made by `python simulations/rejudge.py`.
"""
HEADER = ("simulation", "figure", "claim", "predicted", "measured", "verdict", "p", "networks", "training")


def judged_folders() -> dict[str, validation.Judged]:
    """The recorded cubes of every data set, judged."""
    folders = sorted(RESULTS.iterdir())
    return {folder.name: validation.judge_all(cube.open_cubes(folder)) for folder in folders}


def page(folders: Mapping[str, validation.Judged]) -> str:
    """The page as Markdown: every recorded simulation, then those that are not."""
    parts, recorded = [INTRO], set()
    for dataset, judged in folders.items():
        cubes = judged.cubes
        made = max(str(swept.attrs["made"])[:10] for swept in cubes.values())
        devices = ", ".join(dict.fromkeys(str(swept.attrs["device"]) for swept in cubes.values()))
        rows = [_row(cubes[name], found) for name, found in judged.judgements.items()]
        parts += [f"## {dataset}", f"Recorded on {devices}; the last on {made}.", _table(rows)]
        recorded |= {str(swept.attrs["arguments"]).split()[0] for swept in cubes.values()}
    missing = [path for path in sorted(HERE.glob("*.toml")) if path.stem not in recorded]
    if missing:
        parts += ["## Not recorded", "\n".join(f"* `{path.stem}`: {spec.load(path).claim_text}" for path in missing)]
    return "\n\n".join(parts) + "\n"


def _row(swept, judged) -> list[str]:
    resolved = cube.resolved_spec(swept)
    claim = claims.get(resolved["claim"]["kind"])
    trained = int((swept["outcome"] != 0).sum())
    return [
        f"`{swept.attrs['arguments']}`",
        resolved["simulation"]["figure"],
        resolved["simulation"]["claim"],
        claim.headline(resolved["claim"]),
        f"{judged.numbers[0].label}: {number_text(judged.numbers[0])}",
        f"**{judged.verdict}**",
        "" if judged.p_value_corrected is None else f"{judged.p_value_corrected:.2g}",
        f"{trained:,}",
        f"{float(swept.attrs['train_seconds']):,.0f} s",
    ]


def _table(rows: list[list[str]]) -> str:
    lines = ["| " + " | ".join(HEADER) + " |", "|---" * len(HEADER) + "|"]
    return "\n".join(lines + ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows])


if __name__ == "__main__":
    print(page(judged_folders()), end="")
