"""Best rates of networks whose kernel moves: what the theory says before they train, and what training says.

    python benchmarks/theory_moving.py predict             # adds to results/theory_moving_predicted.json what it lacks
    python benchmarks/theory_moving.py train --out DIR     # eight minutes of one core; writes results/theory_moving.nc

`theory.py` makes the tables: errors of the rate in powers of two, points of accuracy lost by it, and root mean square
errors of the accuracies over the whole grid of rates.

A case is a network with L layers of weights on a data set, at T steps of SGD. Nothing was worked out on `CASES`; the
theory was worked out on those of results/prediction.json.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from effbatch.data import datasets
from effbatch.fitting import FitOutcome, best_learning_rates
from effbatch.fitting.regret import lost_score
from effbatch.plan import spec
from effbatch.plan.cube import open_cubes, resolved_spec, save, score
from effbatch.sweep import runner
from effbatch.theory.dynamics import best_learning_rate, learning_curve
from effbatch.theory.moving import moving_accuracy, moving_rate
from effbatch.validation.setup import initial_spectrum

RESULTS = Path(__file__).parent / "results"
RECORDED = Path(__file__).parent.parent / "simulations" / "results"
DATASETS = {"digits": "digits", "fashion-mnist-14": "Fashion-MNIST 14×14", "mnist": "MNIST"}
TOLD = RESULTS / "theory_moving_predicted.json"
ALPHAS, BATCHES = (0, 1, 4, 15), (16, 64)
RATES = 2.0 ** np.arange(-8, 4)
CUBE = RESULTS / "theory_moving.nc"
DEPTHS = {"perceptron": 1, "mlp1": 2, "mlp2": 3, "mlp4": 5}  # of the built-in networks
THEORIES = ("linearised", "moving")


@dataclass(frozen=True)
class Case:
    """A network of `depth` layers with weights, and how it is trained."""

    network: str
    depth: int
    dataset: str = "digits"
    steps: int = 400
    schedule: str = "constant"
    momentum: float = 0.0
    seeds: int = 5
    ends: int = 0  # rates left out at either end of the grid

    @property
    def name(self) -> str:
        how = "_momentum" * bool(self.momentum) + f"_{self.schedule}" * (self.schedule != "constant")
        return f"moving_{self.network}_{self.dataset}{how}"

    @property
    def path(self) -> str:
        """The network as a spec names it."""
        return f"{'benchmarks/untried_networks.py:' * (self.network not in DEPTHS)}{self.network}"

    @property
    def how(self) -> dict[str, Any]:
        return {"schedule": self.schedule, "momentum": self.momentum}

    @property
    def label(self) -> str:
        """As tables name it."""
        return f"{self.network}, {DATASETS[self.dataset]}{_how(self.how)}"

    @property
    def rates(self) -> np.ndarray:
        return RATES * (1 - self.momentum)

    @property
    def trained(self) -> slice:
        """Those of the rates that are."""
        return slice(self.ends, len(RATES) - self.ends)

    def spec(self) -> spec.Spec:
        """The sweep that trains it."""
        return spec.parse(f"""
            [simulation]
            name = "{self.name}"
            [data]
            dataset = "{self.dataset}"
            [train]
            network = "{self.path}"
            momentum = {self.momentum}
            schedule = "{self.schedule}"
            budget = {{ steps = {self.steps} }}
            evaluations = 1
            [grid]
            alpha = {list(ALPHAS)}
            batch_size = {list(BATCHES)}
            learning_rate = {[float(rate) for rate in self.rates[self.trained]]}
            seed = {self.seeds}
        """)


CASES = (
    Case("he2", 3),
    Case("tanh2", 3),
    Case("gelu2", 3),
    Case("relu3", 4, steps=600),
    Case("he6", 7),
    Case("mlp2", 3, schedule="cosine", momentum=0.9),
    Case("mlp2", 3, "mnist", seeds=3, ends=2),  # a large data set
    Case("mlp4", 5, "mnist", seeds=3, ends=2),
    Case("relu96_48", 3, steps=1600),  # these two after the others were known, to try what `advise` says
    Case("relu128_64_32", 4, "fashion-mnist-14"),
)


def predicted(case: Case) -> list[dict]:
    """Rate and accuracies over the grid by both theories, a row for every (α, B)."""
    alpha, B = (v.ravel() for v in np.meshgrid(ALPHAS, BATCHES, indexing="ij"))
    said = _said(case.path, case.dataset, case.depth, alpha, B, case.rates, case.steps, **case.how)
    return [
        {"alpha": float(alpha[i]), "batch_size": int(B[i])}
        | {name: float(f"{rates[i]:.4g}") for name, (rates, _) in said.items()}
        | {f"{name} accuracy": np.round(curves[i], 3).tolist() for name, (_, curves) in said.items()}
        for i in range(len(alpha))
    ]


def _said(
    network: str, dataset: str, depth: int, alpha: np.ndarray, B: np.ndarray, grid: np.ndarray, steps: int, **how: Any
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """By theory: rates (cells,) and accuracies (cells, rates of the grid)."""
    spectrum = initial_spectrum(network, datasets.load(dataset), seed=0)
    cells = (alpha[:, None], B[:, None], grid, steps)
    still = best_learning_rate(spectrum, alpha, B, steps, **how)
    moves = moving_rate(spectrum, depth, alpha, B, steps, **how)
    return {
        "linearised": (still, learning_curve(spectrum, *cells, **how).accuracy),
        "moving": (moves, moving_accuracy(spectrum, depth, *cells, **how)),
    }


def predict() -> None:
    """Store what is said of cases before they train; what is stored already stays."""
    content = json.loads(TOLD.read_text(encoding="utf-8"))
    now = datetime.now(UTC).isoformat(timespec="seconds")
    for case in CASES:
        if case.name not in content["cases"]:
            content["made"][case.name], content["cases"][case.name] = now, predicted(case)
    TOLD.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def rows(adam: list[dict]) -> list[dict]:
    """Every case: errors of both theories cell by cell, points lost, errors of the accuracies, over all its cells.

    `adam` holds the rows of `theory_adam`: Adam's measured rates, and log2 of these over those of SGD by every form.
    """
    return [*_benchmarked(), *_recorded(), *_by_adam(adam), *_held_out()]


def _row(name: str, depth: int, steps: int, *, held_out: bool, plain: bool = True) -> dict:
    return {"case": name, "depth": depth, "steps": steps, "held_out": held_out, "plain": plain}


def _benchmarked() -> Iterator[dict]:
    """The cells of results/prediction.json: measured rates alone."""
    recorded = json.loads((RESULTS / "prediction.json").read_text(encoding="utf-8"))
    for case in recorded["cases"]:
        dataset = next(name for name in ("fashion-mnist-14", "digits") if case.startswith(name))
        network, kind, schedule, count = case.removeprefix(f"{dataset}-").split("-")
        if network not in DEPTHS or kind == "adam":
            continue
        mine = [r for r in recorded["rows"] if r["case"] == case and r["method"] == "linearised" and r["measured"]]
        alpha, B, rate = (np.array([r[key] for r in mine], float) for key in ("alpha", "batch_size", "measured"))
        how = {"schedule": schedule, "momentum": 0.9 if kind == "momentum" else 0.0}
        said = _said(network, dataset, DEPTHS[network], alpha, B, rate[:1], int(count), **how)
        label = f"{network}, {DATASETS[dataset]}" + _how(how)
        yield _row(label, DEPTHS[network], int(count), held_out=False, plain=not _how(how)) | {
            name: {"errors": np.log2(rates / rate).tolist(), "lost": [], "rms": None}
            for name, (rates, _) in said.items()
        }


def _recorded() -> Iterator[dict]:
    """The grids of `learning_rate` on digits and Fashion-MNIST."""
    for dataset, name in (("digits", "learning_rate"), ("fashion-mnist-14", "learning_rate-fashion-mnist-14")):
        cube = open_cubes(RECORDED / dataset)[name]
        for network in cube["network"].values:
            one = cube.sel(network=network)
            alpha, B = (v.ravel() for v in np.meshgrid(one["alpha"], one["batch_size"], indexing="ij"))
            steps = int(resolved_spec(cube)["train"]["budget"]["steps"])
            depth = DEPTHS[str(network)]
            said = _said(str(network), dataset, depth, alpha, B, one["learning_rate"].values, steps)
            yield _row(f"{network}, {DATASETS[dataset]}", depth, steps, held_out=False) | _judged(one, alpha, B, said)


def _by_adam(adam: list[dict]) -> Iterator[dict]:
    """Adam's rate without a tuned one: that of SGD by theory, times Σq/Σ√q of the untrained network."""
    for case, dataset in (("mlp1, digits", "digits"), ("mlp1, Fashion-MNIST 14×14", "fashion-mnist-14")):
        mine = [row for row in adam if row["case"] == case]
        alpha, B, rate = (np.array([r[key] for r in mine], float) for key in ("alpha", "batch_size", "adam"))
        ratio, steps = np.array([r["start"] for r in mine]), mine[0]["steps"]
        said = _said("mlp1", dataset, DEPTHS["mlp1"], alpha, B, rate[:1], steps)
        yield _row(f"{case}, Adam", DEPTHS["mlp1"], steps, held_out=False, plain=False) | {
            name: {"errors": (np.log2(rates / rate) + ratio).tolist(), "lost": [], "rms": None}
            for name, (rates, _) in said.items()
        }


def _held_out() -> Iterator[dict]:
    """What was stored before training, against training."""
    told, cubes = json.loads(TOLD.read_text(encoding="utf-8"))["cases"], open_cubes(CUBE)
    for case in CASES:
        mine = told[case.name]
        alpha, B = (np.array([r[key] for r in mine]) for key in ("alpha", "batch_size"))
        said = {
            name: (np.array([r[name] for r in mine]), np.array([r[f"{name} accuracy"][case.trained] for r in mine]))
            for name in THEORIES
        }
        yield _row(case.label, case.depth, case.steps, held_out=True, plain=not _how(case.how)) | _judged(
            cubes[case.name], alpha, B, said
        )


def _how(train: dict) -> str:
    return ", momentum" * bool(train["momentum"]) + f", {train['schedule']}" * (train["schedule"] != "constant")


def _judged(cube: xr.Dataset, alpha: np.ndarray, B: np.ndarray, said: dict) -> dict:
    best, curves = best_learning_rates(cube).squeeze(drop=True), score(cube).mean("seed").squeeze(drop=True)
    found = {name: {"errors": [], "lost": [], "rms": None} for name in said}
    squares: dict[str, list] = {name: [] for name in said}
    for i, at in enumerate({"alpha": a, "batch_size": b} for a, b in zip(alpha, B, strict=True)):
        cell, curve = best.sel(at), curves.sel(at).values
        rate = float(cell["best_learning_rate"]) if cell["outcome"] == int(FitOutcome.INTERIOR) else np.nan
        for name, (rates, accuracies) in said.items():
            lost, _ = lost_score(cube["learning_rate"].values, curve, rates[i : i + 1])
            squares[name] += list((accuracies[i] - curve) ** 2)
            if np.isfinite(rate):
                found[name]["errors"].append(float(np.log2(rates[i] / rate)))
                found[name]["lost"].append(100 * float(lost[0]))
    return {name: one | {"rms": float(100 * np.sqrt(np.nanmean(squares[name])))} for name, one in found.items()}


def table(found: list[dict]) -> list[str]:
    """The tables as Markdown: every case, groups of the held-out ones, and these paired."""
    lines = [
        "Median |error| in powers of two [95 % over resampled cells]; points of accuracy lost by the rate; points of"
    ]
    lines += [
        "error, root mean square over the whole grid of rates. L layers with weights, T steps, n cells. Adam: the rate"
    ]
    lines += ["of SGD by either theory, times Σq/Σ√q of the untrained network.", ""]
    lines += ["| network | L | T | n | linearised | moving | lost | | over the grid | |", "|---" * 10 + "|"]
    for row in found:
        name = f"**{row['case']}**" if row["held_out"] else row["case"]
        lines.append(f"| {name} | {row['depth']} | {row['steps']} | " + _shown([row]) + " |")
    held = [row for row in found if row["held_out"]]
    small = [row for row in held if row["plain"] and not row["case"].startswith("he")]
    for label, some in {
        "all not held out": [row for row in found if not row["held_out"]],
        "**all held out**": held,
        "**held out, PyTorch's start, plain SGD**": small,
        "**of these two hidden layers**": [row for row in small if row["depth"] == 3],
    }.items():
        lines.append(f"| {label} | | | " + _shown(some) + " |")
    lines += ["", "Moving minus linearised, held out, mean of |error|, whole cases resampled: " + _paired(held) + "; "]
    lines[-1] += "PyTorch's start and plain SGD: " + _paired(small) + "."
    return lines


def _shown(some: list[dict]) -> str:
    medians, lost, rms = [], [], []
    for name in THEORIES:
        error = np.abs(np.concatenate([row[name]["errors"] for row in some]))
        points = np.concatenate([row[name]["lost"] for row in some])
        squares = [row[name]["rms"] ** 2 for row in some if row[name]["rms"] is not None]
        draws = np.median(np.random.default_rng(0).choice(error, (2000, len(error))), axis=1)
        low, high = np.quantile(draws, [0.025, 0.975])
        medians.append(f"{np.median(error):.2f} [{low:.2f}, {high:.2f}]")
        lost.append(f"{points.mean():.1f}" if len(points) else "")
        rms.append(f"{np.sqrt(np.mean(squares)):.0f}" if squares else "")
    return " | ".join([str(len(error)), *medians, *lost, *rms])


def _paired(some: list[dict]) -> str:
    gaps = [np.abs(row["moving"]["errors"]) - np.abs(row["linearised"]["errors"]) for row in some]
    rng = np.random.default_rng(0)
    draws = [np.concatenate([gaps[i] for i in rng.integers(len(gaps), size=len(gaps))]).mean() for _ in range(2000)]
    low, high = np.quantile(draws, [0.025, 0.975])
    return f"{np.concatenate(gaps).mean():+.2f} [{low:+.2f}, {high:+.2f}]"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("predict", "train"))
    parser.add_argument("--out", type=Path, default=Path("out/theory_moving"))
    parser.add_argument("--case", help="only the case of this name")
    options = parser.parse_args()
    if options.what == "predict":
        predict()
    else:
        for case in CASES:
            if options.case in (None, case.name):
                runner.simulate(case.spec(), options.out / case.name)
        folders = [options.out / case.name for case in CASES if (options.out / case.name / "cube.nc").exists()]
        trained = {name: cube.load() for name, cube in open_cubes(CUBE).items()} if CUBE.exists() else {}
        trained |= {name: cube for folder in folders for name, cube in open_cubes(folder).items()}
        save({case.name: trained[case.name] for case in CASES if case.name in trained}, CUBE)
