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
from theory_moving import DATASETS, RESULTS

from effbatch.data import datasets
from effbatch.measure.last_features import last_features
from effbatch.networks.loading import load_network
from effbatch.plan import spec
from effbatch.plan.cube import open_cubes, save, score
from effbatch.sweep import runner
from effbatch.theory.dynamics import best_learning_rate
from effbatch.theory.last_layer import gains_cap, last_layer_cap
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
