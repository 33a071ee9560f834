"""The recorded cubes -> simulations/README.md: every simulation with its claim, prediction, measurement, verdict, cost.

python simulations/make_readme.py > simulations/README.md      # `rejudge.py` makes it and all else
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from effbatch.core.formats import number_text
from effbatch.plan import cube, spec
from effbatch.validation.document import Judged
from effbatch.validation.judged import JudgedCube, judge_all

HERE = Path(__file__).parent
RESULTS = HERE / "results"
INTRO = """# Simulations

One TOML file each: what to train, on which grid, and a claim whose prediction is stored before training and whose
rule is fixed in the file ([keys](../docs/spec.md)). `effbatch validate NAME` runs one, `--quick` on its small grid,
`--dataset DATA` on other images. The recorded runs, full grids on CPU, are in [results](results), one folder a data
set; `effbatch report simulations/results/digits` makes the report again without training. The claims of a folder are
judged together: p is corrected for their number (Holm 1979). `digits_theory` is a family of its own, the tests of
[why the laws hold](../docs/theory.md#why-a-power-law-and-which): they came after the other claims on digits had been
judged, and must not change their p. This page is made by `python simulations/rejudge.py`.

The CIFAR-10 of these runs comes from JPEG copies, whose pixels differ slightly from the original ones. `human_noise`
uses the labels of CIFAR-10N (Wei et al. 2022), licensed CC BY-NC 4.0, for non-commercial use only.
"""
HEADER = ("simulation", "figure", "claim", "predicted", "measured", "verdict", "p", "networks", "training")


def judged_folders() -> dict[str, Judged]:
    """The recorded cubes of every data set, judged."""
    folders = sorted(RESULTS.iterdir())
    return {folder.name: judge_all(cube.open_cubes(folder)) for folder in folders}


def page(folders: Mapping[str, Judged]) -> str:
    """The page as Markdown: every recorded simulation, then those that are not."""
    parts, recorded = [INTRO], set()
    for dataset, judged in folders.items():
        attrs = [one.cube.attrs for one in judged.values()]
        made = max(str(one["made"])[:10] for one in attrs)
        devices = ", ".join(dict.fromkeys(str(one["device"]) for one in attrs))
        rows = [_row(one) for one in judged.values()]
        parts += [f"## {dataset}", f"Recorded on {devices}; the last on {made}.", _table(rows)]
        recorded |= {one.arguments.split()[0] for one in judged.values()}
    missing = [path for path in sorted(HERE.glob("*.toml")) if path.stem not in recorded]
    if missing:
        claims = [f"* `{path.stem}`: {spec.load(path).about['claim']}" for path in missing]
        parts += ["## Not recorded", "\n".join(claims)]
    return "\n\n".join(parts) + "\n"


def _row(one: JudgedCube) -> list[str]:
    found, claim, simulation = one.judgement, one.claim, one.spec["simulation"]
    assert found is not None
    assert claim is not None
    return [
        f"`{one.arguments}`",
        simulation["figure"],
        simulation["claim"],
        claim.headline,
        f"{found.numbers[0].label}: {number_text(found.numbers[0])}",
        f"**{found.verdict}**",
        "" if found.p_value_corrected is None else f"{found.p_value_corrected:.2g}",
        f"{one.networks:,}",
        f"{float(one.cube.attrs['train_seconds']):,.0f} s",
    ]


def _table(rows: list[list[str]]) -> str:
    lines = ["| " + " | ".join(HEADER) + " |", "|---" * len(HEADER) + "|"]
    return "\n".join(lines + ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows])


if __name__ == "__main__":
    print(page(judged_folders()), end="")
