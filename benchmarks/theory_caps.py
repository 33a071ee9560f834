"""The rates at which networks are lost: what theory says before they train, and what training says.

    python benchmarks/theory_caps.py predict             # adds to results/theory_caps_predicted.json what it lacks
    python benchmarks/theory_caps.py train --out DIR     # ten minutes of one core; writes results/theory_caps.nc

`theory.py` makes the table. Lost: above the best rate, where half of what that gains over chance is left at the end of
the run. Plain networks are those of `theory_moving.py`, with the accuracies over the grid that were predicted there.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import theory_moving
import xarray as xr
from last_layer import last_features, last_layer_cap
from theory_moving import DATASETS, RESULTS

from effbatch.data import datasets
from effbatch.networks.loading import load_network
from effbatch.plan import spec
from effbatch.plan.cube import open_cubes, save, score
from effbatch.sweep import runner
from effbatch.theory.dynamics import best_learning_rate
from effbatch.theory.gains import gains_cap
from effbatch.theory.moving import softmax_edge
from effbatch.validation.setup import initial_spectrum

TOLD, CUBE = RESULTS / "theory_caps_predicted.json", RESULTS / "theory_caps.nc"
ALPHAS, BATCHES = (0, 8), (16, 64)
IMAGES = 500  # that the untrained network is shown
CLASSES = 10
GRIDS = {"bn128_bare": range(-3, 8), "ln16": range(-2, 5), "ln512": range(-5, 4)}  # exponents of 2 of the rates
THEORIES = ("last layer", "gains", "linearised")
LOOKED_AT = "mlp2ln"  # the theory was worked out on this one


@dataclass(frozen=True)
class Case:
    """A network that normalises, on a data set, by 400 steps of SGD."""

    network: str
    dataset: str = "digits"
    momentum: float = 0.0

    @property
    def name(self) -> str:
        return f"caps_{self.network}_{self.dataset}{'_momentum' * bool(self.momentum)}"

    @property
    def path(self) -> str:
        return f"{'benchmarks/untried_networks.py:' * (self.network != LOOKED_AT)}{self.network}"

    @property
    def label(self) -> str:
        return f"{self.network}, {DATASETS[self.dataset]}{', momentum' * bool(self.momentum)}"

    @property
    def gains(self) -> bool:
        """Whether the theory of gains and biases is for it: plain SGD, a network that has them."""
        return not self.momentum and not self.network.endswith("_bare")

    def spec(self) -> spec.Spec:
        """The sweep that trains it."""
        rates = [2.0**i for i in (range(-6, 2) if self.momentum else GRIDS.get(self.network, range(-3, 4)))]
        return spec.parse(f"""
            [simulation]
            name = "{self.name}"
            [data]
            dataset = "{self.dataset}"
            [train]
            network = "{self.path}"
            momentum = {self.momentum}
            budget = {{ steps = 400 }}
            evaluations = 1
            [grid]
            alpha = {list(ALPHAS)}
            batch_size = {list(BATCHES)}
            learning_rate = {rates}
            seed = 3
        """)


PLAIN = ("bn128", "ln512", "ln16", "bn128_bare", "ln32_3", "bn_conv", LOOKED_AT)
MOMENTUM = ("ln32_3", "bn128", LOOKED_AT)
CASES = (Case("bn48_48", "fashion-mnist-14"), *map(Case, PLAIN), *(Case(name, momentum=0.9) for name in MOMENTUM))


def predicted(case: Case) -> list[dict]:
    """By (α, B): the caps, and the best rate of the linearised theory, which `advise --no-training` told before."""
    data = datasets.load(case.dataset)
    network = load_network(case.path, data.image_shape, data.num_classes, seed=0)
    features = last_features(network, data.x_train[:IMAGES])
    spectrum = initial_spectrum(case.path, data, seed=0)
    alpha, B = (v.ravel() for v in np.meshgrid(ALPHAS, BATCHES, indexing="ij"))
    said = {
        "last layer": last_layer_cap(features, data.num_classes, alpha, B, case.momentum),
        "gains": np.full(len(alpha), gains_cap(data.num_classes) if case.gains else np.nan),
        "linearised": best_learning_rate(spectrum, alpha, B, 400, momentum=case.momentum),
    }
    seen = {"top": float(f"{features[-1]:.4g}"), "trace": float(f"{features.sum():.4g}")}
    return [
        {"alpha": int(alpha[i]), "batch_size": int(B[i])}
        | seen
        | {name: float(f"{v[i]:.4g}") if np.isfinite(v[i]) else None for name, v in said.items()}
        for i in range(len(alpha))
    ]


def predict() -> None:
    """Store what is said of cases before they train; what is stored already stays."""
    content = json.loads(TOLD.read_text(encoding="utf-8"))
    now = datetime.now(UTC).isoformat(timespec="seconds")
    for case in CASES:
        if case.name not in content["cases"]:
            content["made"][case.name], content["cases"][case.name] = now, predicted(case)
    TOLD.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def lost_from(rates: np.ndarray, accuracy: np.ndarray, classes: int) -> float:
    """log2 of the rate above the best one where half of its gain over chance is left; infinite where more stays."""
    x, half = np.log2(rates), (accuracy.max() + 1 / classes) / 2
    best = int(accuracy.argmax())
    below = np.flatnonzero(accuracy[best:] < half)
    if not len(below):
        return np.inf
    i = best + int(below[0])
    return float(np.interp(half, accuracy[[i, i - 1]], x[[i, i - 1]]))


def rows() -> list[dict]:
    """By cell: log2 of the rate at which it was lost, its range over seeds, and what every theory says."""
    told, cubes = json.loads(TOLD.read_text(encoding="utf-8"))["cases"], open_cubes(CUBE)
    found = []
    for case in CASES:
        for said in told[case.name]:
            theory = {name: None if said[name] is None else float(np.log2(said[name])) for name in THEORIES}
            found.append(_row(case.label, cubes[case.name], said, case.network == LOOKED_AT, theory))
    told, cubes = json.loads(theory_moving.TOLD.read_text(encoding="utf-8"))["cases"], open_cubes(theory_moving.CUBE)
    for plain in theory_moving.CASES:
        spectrum = initial_spectrum(plain.path, datasets.load(plain.dataset), seed=0)
        for said in told[plain.name]:
            edge = float(softmax_edge(spectrum, plain.depth, said["alpha"], said["batch_size"]))
            theory = {"edge": float(np.log2((1 - plain.momentum) * edge))}
            for name in theory_moving.THEORIES:
                curve = np.array(said[f"{name} accuracy"])[plain.trained]
                theory[name] = lost_from(plain.rates[plain.trained], curve, spectrum.num_classes)
            found.append(_row(plain.label, cubes[plain.name], said, False, theory) | {"plain": True})
    return found


def _row(label: str, cube: xr.Dataset, said: dict, seen: bool, theory: dict[str, float | None]) -> dict:
    cell = score(cube).sel(alpha=said["alpha"], batch_size=said["batch_size"]).squeeze(drop=True)
    cell, rates = cell.transpose("seed", "learning_rate").values, cube["learning_rate"].values
    lost = [lost_from(rates, one, CLASSES) for one in (cell.mean(0), *cell)]
    where = {key: said[key] for key in ("alpha", "batch_size")}
    known = {name: value if value is not None and np.isfinite(value) else None for name, value in theory.items()}
    lost = [value if np.isfinite(value) else None for value in lost]
    return {"case": label, "plain": False, "seen": seen, **where, "lost": lost[0], "seeds": lost[1:], **known}


def summary(some: list[dict], name: str) -> str:
    """Median |error| in powers of two [95 %, networks resampled]; median error, above 0 too high; n cells."""
    by_case: dict[str, list[float]] = {}
    for row in some:
        if row.get(name) is not None and row["lost"] is not None:
            by_case.setdefault(row["case"], []).append(row[name] - row["lost"])
    if not by_case:
        return ""
    errors, rng = [np.array(found) for found in by_case.values()], np.random.default_rng(0)
    drawn = rng.integers(len(errors), size=(2000, len(errors)))
    low, high = np.quantile([np.median(np.abs(np.concatenate([errors[i] for i in d]))) for d in drawn], [0.025, 0.975])
    every = np.concatenate(errors)
    return f"{np.median(np.abs(every)):.2f} [{low:.2f}, {high:.2f}]; {np.median(every):+.2f}; {len(every)}"


def as_markdown(found: list[dict]) -> list[str]:
    """The tables: every cell of networks that normalise, then both kinds of networks by theory."""
    bare = Case("bn128_bare").label
    normalised = [row for row in found if not row["plain"]]
    lines = ["log2 of the rate at which half of what the best rate gains over chance is left (range over 3 seeds; 5 of"]
    lines += ["plain networks, 3 on MNIST). `>`: more is left at the highest rate of the grid. `?`: none is known.", ""]
    lines += ["| network that normalises | α | B | lost at | last layer | gains |", "|---" * 6 + "|"]
    for row in normalised:
        lost = _text(row["lost"], ">") + f" [{_text(min(row['seeds'], key=_high), '>')}, "
        lost += f"{_text(max(row['seeds'], key=_high), '>')}]"
        name = row["case"] if row["seen"] else f"**{row['case']}**"
        said = f"{_text(row['last layer'], '?')} | {_text(row['gains'], '?')}"
        lines.append(f"| {name} | {row['alpha']} | {row['batch_size']} | {lost} | {said} |")
    lines += [
        "",
        "Median |error| in powers of two [95 % over resampled networks]; median error, above 0 too high; n cells",
    ]
    lines += [
        "where both are known. `gains`: plain SGD and networks with gains. `edge`, `accuracy`: of kernels that move."
    ]
    lines += [
        "Accuracies were stored before the runs; at which rate they say lost, and the edges, were read off afterwards."
    ]
    lines += [""]
    lines += ["| networks, all held out | last layer | gains | edge | accuracy | linearised |", "|---" * 6 + "|"]
    held = [row for row in found if not row["seen"] and row["case"] != bare]
    kinds = {
        "normalising, plain SGD": [r for r in held if not r["plain"] and "momentum" not in r["case"]],
        "normalising, momentum": [r for r in held if not r["plain"] and "momentum" in r["case"]],
        "plain, PyTorch's start, plain SGD": [r for r in held if r["plain"] and not _other(r["case"])],
        "plain, He's start, or momentum and cosine": [r for r in held if r["plain"] and _other(r["case"])],
    }
    for kind, some in kinds.items():
        for label, mine in {
            "α = 0": [row for row in some if row["alpha"] == 0],
            "α > 0": [row for row in some if row["alpha"] > 0],
        }.items():
            names = ("last layer", "gains", "edge", "moving", "linearised" if some[0]["plain"] else "none")
            lines.append(f"| {kind}, {label} | " + " | ".join(summary(mine, name) for name in names) + " |")
    return lines


def _text(value: float | None, otherwise: str) -> str:
    return otherwise if value is None else f"{value:.1f}"


def _high(value: float | None) -> float:
    return np.inf if value is None else value


def _other(case: str) -> bool:
    return case.startswith("he") or "momentum" in case


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("predict", "train"))
    parser.add_argument("--out", type=Path, default=Path("out/theory_caps"))
    options = parser.parse_args()
    if options.what == "predict":
        predict()
    else:
        for case in CASES:
            runner.simulate(case.spec(), options.out / case.name)
        save({case.name: open_cubes(options.out / case.name)[case.name].load() for case in CASES}, CUBE)
