"""How far δ of B/(1+α)^δ moves with the test images that it is read off: the same runs, seen by disjoint sets of them.

Trains the simulation `effective_batch` on Fashion-MNIST once and takes its accuracy on twenty sets of 500 test images
each, then on what unions of them say. The intervals that a report shows come from the seeds alone.

python benchmarks/image_sets.py            # writes results/image_sets.json and .md; ten minutes on two cores
"""

from __future__ import annotations

import json
from pathlib import Path
from unittest.mock import patch

import numpy as np
import torch
import xarray as xr

from effbatch.core import resources
from effbatch.data import datasets
from effbatch.engine.members import Members
from effbatch.engine.train import train_unit
from effbatch.fitting import best_steps, collapse_exponent
from effbatch.plan import spec as specs
from effbatch.plan.units import units
from effbatch.sweep.assembly import assemble, to_block
from effbatch.sweep.provenance import environment

RESULTS = Path(__file__).parent / "results"
DATASET, SETS = "fashion-mnist-14", 20
TARGETS = (0.6, 0.65, 0.7, 0.72)


class Seen(Members):
    """The engine's members, whose accuracy is also kept by set of images."""

    def evaluate(self, steps: int) -> dict[str, np.ndarray]:
        images = np.random.default_rng(0).permutation(len(self.dataset.x_test))
        sets = torch.as_tensor(images).chunk(SETS)
        seen = {f"set{i}": self.evaluation.scores(self.network, chosen)[0].numpy() for i, chosen in enumerate(sets)}
        return super().evaluate(steps) | seen


def trained(dataset: str, *, quick: bool = False) -> tuple[xr.Dataset, list[xr.DataArray]]:
    """The cube, and the accuracy histories by set of images."""
    spec = specs.load(resources.bundled("simulations") / "effective_batch.toml", dataset=dataset, quick=quick)
    data = datasets.load(dataset)
    with patch("effbatch.engine.train.Members", Seen):
        blocks = [
            (unit, to_block(unit, train_unit(unit, data, device=torch.device("cpu"))))
            for unit in units(spec, {dataset: len(data.x_train)})
        ]
    cube = assemble(spec, blocks).assign_attrs(test_images=len(data.x_test), num_classes=data.num_classes)
    sets = [
        [(unit, block.assign(test_accuracy_history=block[f"set{i}_history"])) for unit, block in blocks]
        for i in range(SETS)
    ]
    return cube, [assemble(spec, of_set)["test_accuracy_history"] for of_set in sets]


def spread(cube: xr.Dataset, sets: list[xr.DataArray], target: float, together: int) -> dict:
    """δ from every union of so many sets: mean and standard deviation, and the mean half-width of its intervals."""
    found = []
    for first in range(0, SETS, together):
        accuracy = sum(sets[first : first + together]) / together
        steps = best_steps(cube.assign(test_accuracy_history=accuracy), target)["seed_steps"]
        fitted = collapse_exponent(steps).base
        if fitted is not None:
            found.append((fitted.delta.value, (fitted.delta.high - fitted.delta.low) / 2))
    values, widths = np.array(found).T
    return {
        "target": target, "images": together * cube.attrs["test_images"] // SETS, "sets": len(found),
        "delta": float(values.mean()), "sd": float(values.std(ddof=1)) if len(found) > 1 else None,
        "half_width": float(widths.mean()),
    }  # fmt: skip


def as_markdown(result: dict) -> str:
    facts = result["environment"]
    lines = ["# Sets of test images", ""]
    lines += [
        f"Written by `python benchmarks/image_sets.py`, {facts['made'][:10]}, torch {facts['versions']['torch']}, "
        f"{facts['device']}. Simulation `effective_batch` on {result['dataset']}, {result['seeds']} seeds, the first "
        "of which only chooses rates."
    ]
    lines += ["", "| target | test images | sets | δ, mean | sd over sets | half-width of the interval over seeds |"]
    lines += ["|--:|--:|--:|--:|--:|--:|"]
    for row in result["rows"]:
        sd = "" if row["sd"] is None else f"{row['sd']:.3f}"
        lines.append(
            f"| {row['target']:.2f} | {row['images']:,} | {row['sets']} | {row['delta']:.3f} | {sd} "
            f"| {row['half_width']:.3f} |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    """Train and write the tables."""
    cube, sets = trained(DATASET)
    rows = [spread(cube, sets, target, n) for target in TARGETS for n in (1, 2, 4, 10, SETS)]
    facts = {"environment": environment(torch.device("cpu")), "dataset": DATASET, "seeds": cube.sizes["seed"]}
    result = facts | {"rows": rows}
    (RESULTS / "image_sets.json").write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    (RESULTS / "image_sets.md").write_text(as_markdown(result), encoding="utf-8")


if __name__ == "__main__":
    main()
