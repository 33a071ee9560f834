"""Whether training in bfloat16 moves best rates and accuracies by more than the seeds do: three grids in both.

    python benchmarks/precision.py             # writes results/precision.json and .md; half an hour on one core

The seeds of both precisions are the same, so they share images, labels and initial weights. Beside the differences
between precisions stand those between two halves of the seeds in float32, each other's repetition.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import xarray as xr

from effbatch.claims.shared.seed_mean import seed_means
from effbatch.core.estimate import Estimate
from effbatch.fitting import FitOutcome, best_learning_rates
from effbatch.fitting.honest import honest_best
from effbatch.plan import spec as specs
from effbatch.plan.cube import score
from effbatch.sweep.provenance import environment
from effbatch.sweep.runner import simulate

RESULTS = Path(__file__).parent / "results"
GRIDS: Sequence[dict[str, Any]] = (
    {"network": "conv2", "dataset": "digits", "start": 0.03125, "steps": 200},
    {"network": "conv2", "dataset": "mnist", "start": 0.015625, "steps": 60},
    {"network": "resnet8bn", "dataset": "digits", "start": 0.03125, "steps": 100},
)
SPEC = """
[simulation]
name = "precision"
[data]
dataset = "{dataset}"
[train]
network = "{network}"
budget = {{ steps = {steps} }}
evaluations = 1
[grid]
precision = ["float32", "bfloat16"]
alpha = [0, 2, 8]
batch_size = [64]
learning_rate = {{ start = {start}, stop = {stop}, factor = 2 }}
seed = {seeds}
"""


def measured(grid: dict[str, Any], *, seeds: int = 8, octaves: int = 5) -> dict[str, Any]:
    """One row: how far precisions, and halves of the seeds, differ in best rate and in accuracy."""
    text = SPEC.format(**grid, stop=grid["start"] * 2**octaves, seeds=seeds)
    with tempfile.TemporaryDirectory() as folder:
        cube = simulate(specs.parse(text), folder).load()
    exact, rough = (cube.sel(precision=name, drop=True) for name in ("float32", "bfloat16"))
    halves = [exact.isel(seed=slice(first, None, 2)) for first in (0, 1)]
    lost = honest_best(score(rough), judged_on=score(exact)) - honest_best(score(exact))
    (difference,) = seed_means(lost.mean(["alpha", "batch_size"]).expand_dims("all"), "all")
    return {
        "network": grid["network"],
        "dataset": grid["dataset"],
        "steps": grid["steps"],
        "seeds": seeds,
        "octaves": _apart(exact, rough),
        "octaves_between_halves": _apart(*halves),
        "points": difference.times(100).to_json(),
        "points_of_a_seed": 100 * float(honest_best(score(exact)).std("seed", ddof=1).mean()),
    }


def _apart(one: xr.Dataset, other: xr.Dataset) -> list[float]:
    """|log2| of the ratio of the best rates, of every cell whose best rate lies inside the grid in both."""
    best = [best_learning_rates(cube) for cube in (one, other)]
    inside = np.logical_and(*(found["outcome"].values == int(FitOutcome.INTERIOR) for found in best))
    ratio = np.log2(best[0]["best_learning_rate"].values / best[1]["best_learning_rate"].values)
    return [round(float(value), 3) for value in np.abs(ratio[inside])]


def as_markdown(result: dict[str, Any]) -> str:
    """The JSON as a page."""
    made = result["environment"]
    lines = [
        "# bfloat16 beside float32",
        "",
        f"`python benchmarks/precision.py`, {made['made'][:10]}, {made['device']}. Plain SGD, B = 64, α = 0, 2, 8. "
        "Best rates in powers of two apart, median and largest over the cells whose best rate lies inside the grid "
        "with both; accuracy in points at the rate that is best in float32 for the seeds before, mean over α with its "
        "95 % interval.",
        "",
        "| network | data | steps | seeds | rates of the precisions apart | of two halves of the seeds "
        "| accuracy, bfloat16 minus float32 | standard deviation of a seed |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in result["rows"]:
        apart = [
            f"{np.median(values):.2f}, {max(values):.2f} (n = {len(values)})" if values else "–"
            for values in (row["octaves"], row["octaves_between_halves"])
        ]
        value, low, high = Estimate.from_json(row["points"]).floats
        points = f"{value:.2f} [{low:.2f}, {high:.2f}]".replace("-", "−")
        cells = [row["network"], row["dataset"], row["steps"], row["seeds"], *apart, points]
        lines.append("| " + " | ".join(map(str, cells)) + f" | {row['points_of_a_seed']:.1f} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Train, and write both files."""
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.parse_args()
    made = environment(torch.device("cpu"))
    result = {"environment": made, "rows": [measured(grid) for grid in GRIDS]}
    (RESULTS / "precision.json").write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    (RESULTS / "precision.md").write_text(as_markdown(result), encoding="utf-8")


if __name__ == "__main__":
    main()
