"""What a convolutional network is left with on MNIST, given all n(1+α) labelled copies in one pass, or in two.

    python benchmarks/all_copies.py --data-dir DATA --out FOLDER      # five core hours; resumes from FOLDER
    python benchmarks/all_copies.py --out FOLDER --row 2 --seed 0     # one run alone, and others beside it
    python benchmarks/all_copies.py --out FOLDER --finished           # records the rows that are finished there

Nothing is tuned: the rates are carried over from shorter runs of the same data, by √(B/(1+α)) and the power of the
steps that is recorded for dense networks. So what a row says is what these rates reach, not the best there is.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import xarray as xr

from effbatch.data.sources import VARIABLE
from effbatch.fitting.student import MIN_SEEDS, student_quantile
from effbatch.plan import spec as specs
from effbatch.plan.cube import score
from effbatch.sweep.provenance import environment
from effbatch.sweep.runner import simulate

RESULTS = Path(__file__).parent / "results"


@dataclass(frozen=True)
class Row:
    """Runs of a few seeds, and the accuracy that was predicted before any of them ran."""

    optimizer: str
    alpha: int
    learning_rate: float
    predicted: tuple[float, float]
    seeds: int
    passes: int = 1


ROWS = (
    Row("sgd", 0, 0.125, (0.97, 0.99), seeds=5),
    Row("sgd", 5, 0.25, (0.955, 0.985), seeds=5),
    Row("sgd", 20, 0.125, (0.91, 0.97), seeds=5),
    Row("sgd", 50, 0.09, (0.87, 0.94), seeds=2),
    Row("sgd", 100, 0.0625, (0.65, 0.90), seeds=2),
    Row("adadelta", 100, 0.25, (0.65, 0.90), seeds=2),
    Row("adadelta", 100, 0.19, (0.88, 0.94), seeds=1, passes=2),
)
SCORES = ("test_accuracy", "test_accuracy_history")
SPEC = """
[simulation]
name = "all_copies"
[data]
dataset = "{dataset}"
noise = "uniform"
copies = "fixed"
[train]
network = "conv4"
optimizer = "{optimizer}"
schedule = "cosine"
precision = "bfloat16"
budget = {{ epochs = {passes} }}
evaluations = 12
[grid]
alpha = [{alpha}]
batch_size = [128]
learning_rate = [{learning_rate}]
seed = [{seed}]
"""


def kept(row: Row, seed: int, folder: Path) -> Path:
    """Where one run is kept, below `folder`."""
    return folder / (f"{row.optimizer}_{row.alpha}_{seed}" + f"_{row.passes}_passes" * (row.passes > 1))


def trained(row: Row, seed: int, folder: Path, *, dataset: str = "mnist") -> xr.Dataset:
    """The cube of one run, kept in a folder of its own."""
    said = SPEC.format(**asdict(row), dataset=dataset, seed=seed)
    return simulate(specs.parse(said), kept(row, seed, folder))


def measured(row: Row, cubes: Sequence[xr.Dataset]) -> dict[str, Any]:
    """One row: accuracy of every run at the end and along the pass, steps, and seconds of training."""
    cube = xr.concat(cubes, "seed", combine_attrs="override")
    ends, along = (score(cube, name).squeeze(["alpha", "batch_size", "learning_rate"]) for name in SCORES)
    return asdict(row) | {
        "steps": int(cube["step"].max()),
        "accuracy": ends.values.round(4).tolist(),
        "along": along.mean("seed").values.round(4).tolist(),
        "at": cube["step"].values.tolist(),
        "seconds": round(sum(float(one.attrs["train_seconds"]) for one in cubes)),
    }


def as_markdown(result: dict[str, Any]) -> str:
    """The JSON as a page."""
    made = result["environment"]
    lines = [
        "# A convolutional network and all copies",
        "",
        f"`python benchmarks/all_copies.py`, {made['made'][:10]}, {made['device']}. `conv4` on MNIST, n = 60,000 clean "
        "labels and α noisy ones with each, every copy seen once or, if said so, twice; B = 128, cosine, bfloat16. "
        "Accuracy on the test set in percent, with a 95 % interval over seeds where there are five; fewer are a look, "
        "and get none. The predictions were written down before.",
        "",
        "| optimiser | passes | α | η | steps | predicted | measured | halfway | minutes a run, on a shared core |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in result["rows"]:
        low, high = (f"{100 * end:.0f}" for end in row["predicted"])
        halfway = max(k for k, step in enumerate(row["at"]) if step <= row["steps"] / 2)
        cells = [
            row["optimizer"],
            row["passes"],
            row["alpha"],
            row["learning_rate"],
            f"{row['steps']:,}",
            f"{low} to {high}",
            _accuracy(row["accuracy"]),
            f"{100 * row['along'][halfway]:.1f} at step {row['at'][halfway]:,}",
            f"{row['seconds'] / 60 / len(row['accuracy']):.0f}",
        ]
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    for row in result["not_run"]:
        low, high = (f"{100 * end:.0f}" for end in row["predicted"])
        start = " | ".join(str(row[name]) for name in ("optimizer", "passes", "alpha", "learning_rate"))
        lines.append(f"| {start} | | {low} to {high} | not run | | |")
    return "\n".join(lines) + "\n"


def _accuracy(by_seed: list[float]) -> str:
    """In percent: every seed where there are few, else their mean with its interval."""
    percent = 100 * np.array(by_seed)
    if len(percent) < MIN_SEEDS:
        return ", ".join(f"{value:.1f}" for value in percent)
    mean = float(percent.mean())
    half = student_quantile(len(percent) - 1) * percent.std(ddof=1) / len(percent) ** 0.5
    return f"{mean:.1f} [{mean - half:.1f}, {mean + half:.1f}], n = {len(percent)}"


def _finished(row: Row, folder: Path) -> bool:
    return all((kept(row, seed, folder) / "cube.nc").exists() for seed in range(row.seeds))


def main() -> None:
    """Train, and write both files."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path)
    parser.add_argument("--out", type=Path, required=True, help="keeps finished runs")
    parser.add_argument("--row", type=int, choices=range(len(ROWS)), help="trains this one alone, and writes nothing")
    parser.add_argument("--finished", action="store_true", help="trains nothing")
    parser.add_argument("--seed", type=int, default=0, help="of that row")
    asked = parser.parse_args()
    if asked.data_dir:
        os.environ[VARIABLE] = str(asked.data_dir)
    if asked.row is not None:
        trained(ROWS[asked.row], asked.seed, asked.out)
        return
    made = environment(torch.device("cpu"))
    rows = [row for row in ROWS if not asked.finished or _finished(row, asked.out)]
    result = {
        "environment": made,
        "rows": [measured(row, [trained(row, seed, asked.out) for seed in range(row.seeds)]) for row in rows],
        "not_run": [asdict(row) for row in ROWS if row not in rows],
    }
    (RESULTS / "all_copies.json").write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    (RESULTS / "all_copies.md").write_text(as_markdown(result), encoding="utf-8")


if __name__ == "__main__":
    main()
