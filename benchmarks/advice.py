"""How good is the learning rate that `advise` gives for real recipes, at what cost? Its probe and rivals on one truth.

    python benchmarks/advice.py --data-dir DATA                          # every recorded recipe_* simulation
    python benchmarks/advice.py --data-dir DATA --dense                  # small dense networks at α = 0, 3, 15
    python benchmarks/advice.py --only recipe_mlp2ln --out /tmp/look     # one recipe, to look

A cell is a recorded recipe at one α and batch size. Truth: the optimal rate of half its seeds, whose accuracy is read
on the other half, and the other way round. Regret is that accuracy less the one at the rate a method gives,
interpolated in log η. Coverage counts the cells whose one-point plateau is at most two octaves wide. A law is anchored
at every other cell of its recipe in turn; the mean over anchors stands for the cell, and tuning the anchor costs
nothing. Intervals resample whole recipes. The probe's own answers are kept in --out: running again resumes.
"""

from __future__ import annotations

import argparse
import json
import os
import pickle
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import xarray as xr

from effbatch.data import datasets
from effbatch.data.sources import VARIABLE
from effbatch.fitting.peak import peak
from effbatch.laws import LAWS, Setting
from effbatch.networks.loading import load_network
from effbatch.plan.cube import open_cubes, resolved_spec, score
from effbatch.plan.recipe import Recipe
from effbatch.probe.runs import KnownLabels, probe

RECORDED = Path(__file__).parent.parent / "simulations" / "results"
RESULTS = Path(__file__).parent / "results"
LAW = {"sgd": "square_root_clean_count"}  # by optimiser, "adaptive" for the others
DENSE = ("learning_rate", "learning_rate_adam", "learning_rate_adadelta")
DENSE_NETWORKS = ("perceptron", "mlp1", "mlp2")
DENSE_ALPHAS = (0, 3, 15)
RESAMPLES = 2000


@dataclass(frozen=True, kw_only=True)
class Cell:
    """A recorded recipe at one α and batch size; `accuracy` (rates, seeds). Recipes differ by `simulation`."""

    simulation: str
    train: dict
    dataset: str
    alpha: float
    batch_size: int
    octaves: np.ndarray
    accuracy: np.ndarray

    def best(self, seeds: np.ndarray | slice = slice(None)) -> float:
        """log2 of the optimal rate of some seeds."""
        return float(peak(self.octaves, self.accuracy[:, seeds].mean(1)[None]).location[0])

    def at(self, octave: float, seeds: np.ndarray | slice = slice(None)) -> float:
        """Accuracy of some seeds at a rate; beyond the grid, at its end."""
        return float(np.interp(octave, self.octaves, self.accuracy[:, seeds].mean(1)))

    @property
    def halves(self) -> tuple[np.ndarray, np.ndarray]:
        """Every other seed, and the rest."""
        even = np.arange(self.accuracy.shape[1]) % 2 == 0
        return even, ~even

    @property
    def reachable(self) -> float:
        """Accuracy at the best rate of half the seeds, read on the others."""
        return float(np.mean([self.at(self.best(half), ~half) for half in self.halves]))

    def regret(self, octave: float) -> float:
        """Points of accuracy lost at a rate, against what is reachable."""
        return 100 * (self.reachable - float(np.mean([self.at(octave, ~half) for half in self.halves])))

    @property
    def plateau(self) -> float:
        """Octaves over which less than one point is lost."""
        fine = np.arange(self.octaves[0], self.octaves[-1], 0.05)
        return 0.05 * float(sum(self.at(x) > self.accuracy.mean(1).max() - 0.01 for x in fine))


@dataclass(frozen=True)
class Answer:
    """log2 of the rate, its interval, the accuracy promised, and the cost in full runs."""

    octave: float
    low: float = np.nan
    high: float = np.nan
    accuracy: float = np.nan
    cost: float = 0.0


Method = Callable[[Cell, Sequence[Cell]], list[Answer]]


def probed(cell: Cell, others: Sequence[Cell], effort: float | None = None) -> list[Answer]:
    """The probe, on the training data of the cell's data set; `seed` is one that the record does not have."""
    data, train = datasets.load(cell.dataset), cell.train
    momentum = train["momentum"]
    recipe = Recipe(
        optimizer="momentum" if train["optimizer"] == "sgd" and momentum else train["optimizer"],
        **({"momentum": momentum} if momentum else {}),
        schedule=train["schedule"],
        weight_decay=train["weight_decay"],
        steps=int(train["budget"]["steps"]),
        batch_size=cell.batch_size,
    )
    found = probe(
        lambda seed: load_network(train["network"], data.image_shape, data.num_classes, seed=seed),
        data,
        recipe,
        KnownLabels(alpha=cell.alpha),
        effort=effort,
        seed=1000,
    )
    rate, accuracy = found.learning_rate, found.accuracy
    if rate.value is None:
        return [Answer(np.nan, cost=found.full_runs)]
    return [Answer(*np.log2(rate.floats), accuracy=accuracy.floats.value, cost=found.full_runs)]


def carried(cell: Cell, others: Sequence[Cell]) -> list[Answer]:
    """The recommended law from every other tuned cell of the recipe."""
    law = LAWS[LAW.get(cell.train["optimizer"], "adaptive")]
    here = Setting(cell.alpha, cell.batch_size)
    factors = (law.factor(here, Setting(other.alpha, other.batch_size)) for other in others)
    return [Answer(other.best() + float(np.log2(factor))) for other, factor in zip(others, factors, strict=True)]


def unscaled(cell: Cell, others: Sequence[Cell]) -> list[Answer]:
    """The rate of every other tuned cell, as it is."""
    return [Answer(other.best()) for other in others]


METHODS: dict[str, Method] = {
    "probe": probed,
    "law, from a tuned cell": carried,
    "no scaling, from a tuned cell": unscaled,
}


def dense_cells(cubes: dict[str, xr.Dataset]) -> Iterator[tuple[str, list[Cell]]]:
    """The cells of dense networks among recorded cubes, by recipe: the name of the cube, and the network."""
    for name, whole in cubes.items():
        if name.split("-")[0] in DENSE:
            cube = whole.sel(alpha=list(DENSE_ALPHAS))
            for network in cube["network"].values if "network" in cube.dims else [None]:
                recipe, one = (f"{name}, {network}", cube.sel(network=network)) if network else (name, cube)
                cells = list(cells_of(recipe, one, network))
                if cells[0].train["network"] in DENSE_NETWORKS:
                    yield recipe, cells


def cells_of(name: str, cube: xr.Dataset, network: str | None = None) -> Iterator[Cell]:
    """The cells of a recorded recipe, at uniform noise; `network` where its grid has several."""
    spec = resolved_spec(cube)
    accuracy = score(cube)
    own = {} if network is None else {"network": str(network)}
    for alpha in cube["alpha"].values:
        for batch_size in cube["batch_size"].values:
            here = accuracy.sel(alpha=alpha, batch_size=batch_size).transpose("learning_rate", "seed")
            yield Cell(
                simulation=name,
                train={"momentum": 0.0, "weight_decay": 0.0, **spec["train"], **own},
                dataset=spec["data"]["dataset"],
                alpha=float(alpha),
                batch_size=int(batch_size),
                octaves=np.log2(cube["learning_rate"].values),
                accuracy=here.values,
            )


def measured(cell: Cell, others: Sequence[Cell], kept: Path) -> list[dict]:
    """A row for every method."""
    rows = []
    for name, method in METHODS.items():
        file = kept / f"{cell.simulation}-{cell.alpha:g}-{cell.batch_size}.pickle"
        if name == "probe" and file.exists():
            answers = pickle.loads(file.read_bytes())
        else:
            answers = method(cell, others)
            if name == "probe":
                file.write_bytes(pickle.dumps(answers))
        best = cell.best()
        known = [a for a in answers if np.isfinite(a.octave)]
        rows.append(
            {
                "method": name,
                "simulation": cell.simulation,
                "alpha": cell.alpha,
                "batch_size": cell.batch_size,
                "best": best,
                "plateau": cell.plateau,
                "answers": len(known),
                "octave": _mean([a.octave for a in known]),
                "error": _mean([abs(a.octave - best) for a in known]),
                "regret": _mean([cell.regret(a.octave) for a in known]),
                "inside": _mean([float(a.low <= best <= a.high) for a in known if np.isfinite(a.low)]),
                "accuracy_error": _mean([100 * (a.accuracy - cell.at(a.octave)) for a in known]),
                "cost": _mean([a.cost for a in answers]),
            }
        )
    return rows


def summary(rows: Sequence[dict]) -> dict:
    """The numbers of one method over its cells, each with its 95 % interval over recipes."""
    narrow = [row for row in rows if row["plateau"] <= 2]
    quantities = {
        "error, median": (rows, lambda some: np.nanmedian([r["error"] for r in some])),
        "error, 90th percentile": (rows, lambda some: np.nanquantile([r["error"] for r in some], 0.9)),
        "regret, mean": (rows, lambda some: np.nanmean([r["regret"] for r in some])),
        "regret, 95th percentile": (rows, lambda some: np.nanquantile([r["regret"] for r in some], 0.95)),
        "intervals that hold": (narrow, lambda some: np.nanmean([r["inside"] for r in some])),
        "accuracy, rms error": (rows, lambda some: np.sqrt(np.nanmean([r["accuracy_error"] ** 2 for r in some]))),
        "cost, full runs": (rows, lambda some: np.nanmean([r["cost"] for r in some])),
    }
    return {
        name: {"value": _finite(of(some)), "interval": interval(some, of), "n": len(some)}
        for name, (some, of) in quantities.items()
        if some
    }


def interval(rows: Sequence[dict], of: Callable[[Sequence[dict]], float]) -> list[float | None]:
    """95 % by resampling whole recipes."""
    rng = np.random.default_rng(0)
    groups: dict[str, list[dict]] = {}
    for row in rows:
        groups.setdefault(row["simulation"], []).append(row)
    names = list(groups)
    drawn = [
        of([row for i in rng.integers(len(names), size=len(names)) for row in groups[names[i]]])
        for _ in range(RESAMPLES)
    ]
    return [_finite(value) for value in np.nanquantile(drawn, [0.025, 0.975])]


def page(record: dict) -> str:
    """The record as Markdown."""
    command = record.get("command", "python benchmarks/advice.py")
    lines = [
        "# Learning rates for dense networks" if "--dense" in command else "# Learning rates for real recipes",
        "",
        f"`{command}`, {record['made'][:10]}, {record['device']}; n = {record['cells']} cells of "
        f"{len(record['simulations'])} recipes. Errors in powers of two, regret and accuracy in points, 95 % intervals "
        "over recipes.",
        "",
        "| method | " + " | ".join(next(iter(record["methods"].values()))) + " |",
        "|---|" + "---|" * len(next(iter(record["methods"].values()))),
    ]
    for name, numbers in record["methods"].items():
        lines.append(f"| {name} | " + " | ".join(shown(number) for number in numbers.values()) + " |")
    lines += ["", "| recipe | α | B | optimal η | plateau, octaves | " + " | ".join(METHODS) + " |"]
    lines.append("|---|---|---|---|---|" + "---|" * len(METHODS))
    for rows in _by_cell(record["rows"]):
        first = rows[0]
        found = " | ".join(f"{row['error']:.2f}, {row['regret']:.1f}" if row["answers"] else "?" for row in rows)
        lines.append(
            f"| {first['simulation']} | {first['alpha']:g} | {first['batch_size']} | {2 ** first['best']:.3g} | "
            f"{first['plateau']:.1f} | {found} |"
        )
    return "\n".join([*lines, "", "Each method: error in powers of two, regret in points.", ""])


def _by_cell(rows: Sequence[dict]) -> list[list[dict]]:
    cells: dict[tuple, list[dict]] = {}
    for row in rows:
        cells.setdefault((row["simulation"], row["alpha"], row["batch_size"]), []).append(row)
    return list(cells.values())


def line(cells: Iterable[str]) -> str:
    """A row of a Markdown table."""
    return f"| {' | '.join(cells)} |"


def shown(number: dict) -> str:
    """A number of a summary with its interval; nothing where there is none."""
    if number["value"] is None:
        return ""
    low, high = number["interval"]
    return f"{number['value']:.2f} [{low:.2f}, {high:.2f}]"


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if len(values) else float("nan")


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def parser_of(description: str | None) -> argparse.ArgumentParser:
    """What this script and that of the rivals are asked alike."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--only", action="append", default=[])
    parser.add_argument("--data-dir", type=Path)
    return parser


def prepared(options: argparse.Namespace) -> Path:
    """The folder that keeps answers, made; the data sets come from the folder asked for."""
    if options.data_dir:
        os.environ[VARIABLE] = str(options.data_dir)
    kept: Path = options.out / "advice"
    kept.mkdir(parents=True, exist_ok=True)
    return kept


def main() -> None:
    """Measure every cell, write advice.json and advice.md."""
    parser = parser_of(__doc__)
    parser.add_argument("--cubes", type=Path, action="append", default=[])
    parser.add_argument("--dense", action="store_true")
    options = parser.parse_args()
    kept, stem = prepared(options), "advice_dense" if options.dense else "advice"
    recipes: dict[str, list[Cell]] = {}
    for folder in options.cubes or [f for f in sorted(RECORDED.iterdir()) if (f / "cube.nc").exists()]:
        cubes = open_cubes(folder)
        if options.dense:
            recipes |= dict(dense_cells(cubes))
        else:
            recipes |= {name: list(cells_of(name, cube)) for name, cube in cubes.items() if name.startswith("recipe_")}
    rows, names = [], [name for name in recipes if not options.only or name in options.only]
    for name in names:
        cells = recipes[name]
        for cell in cells:
            rows += measured(cell, [other for other in cells if other is not cell], kept)
            print(
                name,
                cell.alpha,
                cell.batch_size,
                *(f"{r['error']:.2f} {r['regret']:.1f}" for r in rows[-3:]),
                flush=True,
            )
    record = {
        "command": "python benchmarks/advice.py" + (" --dense" if options.dense else ""),
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
        "device": "CPU",
        "cells": len(rows) // len(METHODS),
        "simulations": names,
        "methods": {m: summary([row for row in rows if row["method"] == m]) for m in METHODS},
        "rows": rows,
    }
    (options.out / f"{stem}.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    (options.out / f"{stem}.md").write_text(page(record), encoding="utf-8")
    print(page(record))


if __name__ == "__main__":
    main()
