"""How far δ of B/(1+α)^δ moves with the test images that it is read off: the same runs, seen by disjoint sets of them.

Trains the simulation `effective_batch` on Fashion-MNIST once and takes its accuracy on twenty sets of 500 test images
each, then on what unions of them say. The intervals that a report shows come from the seeds alone.

python benchmarks/image_sets.py            # writes results/image_sets.json and .md; ten minutes on two cores
"""

from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
import xarray as xr

from effbatch.core import resources
from effbatch.data import datasets
from effbatch.engine import train as engine
from effbatch.fitting import best_steps, collapse_exponent
from effbatch.plan import spec as specs
from effbatch.plan.units import units
from effbatch.sweep import runner
from effbatch.sweep.provenance import environment
from effbatch.sweep.store import Store

RESULTS = Path(__file__).parent / "results"
DATASET, SETS = "fashion-mnist-14", 20
TARGETS = (0.6, 0.65, 0.7, 0.72)


class Seen(engine._Run):
    """The engine's run, whose accuracies are also kept by set of images."""

    def _test(self, images: int) -> tuple[torch.Tensor, torch.Tensor]:
        order, scores = self.test_order, []
        for chosen in order.chunk(SETS):
            self.test_order = chosen
            scores.append(torch.stack(super()._test(len(chosen))))
        self.test_order = order
        self.by_set = [*getattr(self, "by_set", []), torch.stack([accuracy for accuracy, _ in scores]).numpy()]
        accuracy, loss = torch.stack(scores).mean(0)
        return accuracy, loss

    def _by_cell(self, at_end: dict, records: list[dict]) -> engine.Trained:  # type: ignore[override]
        sets = [{f"set{i}": accuracy for i, accuracy in enumerate(seen)} for seen in self.by_set]
        return super()._by_cell(at_end, [record | seen for record, seen in zip(records, sets, strict=True)])


def trained(folder: Path) -> tuple[xr.Dataset, list[xr.DataArray]]:
    """The cube, and the accuracy histories by set of images."""
    spec = specs.load(resources.bundled("simulations") / "effective_batch.toml", dataset=DATASET)
    engine._Run = Seen  # type: ignore[misc]
    engine.test_order = lambda images, first: np.random.default_rng(0).permutation(images)
    cube = runner.simulate(spec, folder, device="cpu")
    sets = [xr.full_like(cube["test_accuracy_history"], np.nan) for _ in range(SETS)]
    store = Store(folder)
    finished = store.finished()
    for unit in units(spec, {DATASET: len(datasets.load(DATASET).x_train)}):
        block = store.read(finished[unit.key])
        where = {"batch_size": unit.batch_size, "alpha": list(unit.alphas), "seed": list(unit.seeds)}
        for i, history in enumerate(sets):
            own = block[f"set{i}_history"].transpose(*(dim for dim in history.dims if dim != "batch_size"))
            history.loc[where] = own.values
    return cube, sets


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


def markdown(result: dict) -> str:
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
    with TemporaryDirectory() as folder:
        cube, sets = trained(Path(folder))
    rows = [spread(cube, sets, target, n) for target in TARGETS for n in (1, 2, 4, 10, SETS)]
    facts = {"environment": environment(torch.device("cpu")), "dataset": DATASET, "seeds": cube.sizes["seed"]}
    result = facts | {"rows": rows}
    (RESULTS / "image_sets.json").write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    (RESULTS / "image_sets.md").write_text(markdown(result), encoding="utf-8")


if __name__ == "__main__":
    main()
