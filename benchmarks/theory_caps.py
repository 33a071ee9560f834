"""The rates at which networks are lost: what theory says before they train, and what training says.

    python benchmarks/theory_caps.py predict             # adds to results/theory_caps_predicted.json what it lacks
    python benchmarks/theory_caps.py train --out DIR     # what results/theory_caps.nc lacks; all: half an hour

`theory.py` makes the table. Lost: above the best rate, where half of what that gains over chance is left at the end of
the run. Plain networks by plain SGD are those of `theory_moving.py`, with the accuracies that were predicted there.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import theory_moving
import torch
import xarray as xr
from adam_rate import adam_over_sgd
from last_layer import last_features, last_layer_cap
from sharpness import adam_edge, top_eigenvalue
from theory_adam import SEED, Run
from theory_moving import DATASETS, RESULTS
from walk import walk_cap

from effbatch.data import datasets
from effbatch.measure.gradients import measure_moments
from effbatch.networks.loading import load_network
from effbatch.plan import spec
from effbatch.plan.cube import open_cubes, save, score
from effbatch.sweep import runner
from effbatch.theory.dynamics import best_learning_rate
from effbatch.theory.gains import gains_cap
from effbatch.theory.moving import moving_accuracy, softmax_edge
from effbatch.validation.setup import initial_spectrum

TOLD, CUBE = RESULTS / "theory_caps_predicted.json", RESULTS / "theory_caps.nc"
ALPHAS, BATCHES = (0, 8), (16, 64)
STEPS = 400
IMAGES = 500  # that the untrained network is shown
EXAMPLES = 1500  # whose gradients tell its noise scale
DRAWN = 4096  # examples in batches that tell Adam's v
CLASSES = 10
GRIDS = {"bn128_bare": range(-3, 8), "ln16": range(-2, 5), "ln512": range(-5, 4)}  # exponents of 2 of the rates
DEPTHS = {"mlp2": 3, "relu96_48": 3, "he2": 3, "relu3": 4, "relu128_64_32": 4}  # layers with weights of plain networks
LOOKED_AT = "mlp2ln"
SEEN = (
    "mlp2ln, digits",
    *(f"{name}, digits, momentum" for name in (LOOKED_AT, "ln32_3", "bn128")),
)  # worked out on these
THEORIES = ("last layer", "gains", "walk", "sharpness", "carried", "moving")


@dataclass(frozen=True)
class Case:
    """A network on a data set, by 400 steps of SGD or Adam."""

    network: str
    dataset: str = "digits"
    momentum: float = 0.0
    optimizer: str = "sgd"
    schedule: str = "constant"

    @property
    def name(self) -> str:
        return "_".join(["caps", self.network, self.dataset, *self.how])

    @property
    def how(self) -> list[str]:
        adam, cosine = self.optimizer != "sgd", self.schedule != "constant"
        return ["momentum"] * bool(self.momentum) + [self.optimizer] * adam + [self.schedule] * cosine

    @property
    def path(self) -> str:
        builtin = self.network in (LOOKED_AT, "mlp2")
        return f"{'benchmarks/untried_networks.py:' * (not builtin)}{self.network}"

    @property
    def label(self) -> str:
        return ", ".join([self.network, DATASETS[self.dataset], *self.how])

    @property
    def plain(self) -> bool:
        """Whether no layer normalises."""
        return self.network in DEPTHS

    @property
    def alphas(self) -> tuple[int, ...]:
        return (0, 2, 8) if self.plain and self.optimizer == "adam" else ALPHAS

    @property
    def exponents(self) -> list[int]:
        """log2 of the rates."""
        if self.optimizer == "adam":
            return [*range(-10, 1)] if self.plain else [*range(-9, 3), *[4, 6] * self.network.endswith("_bare")]
        if self.plain:
            return [*range(-8, 2)]
        if self.momentum:
            return [*range(-6 if self.label in SEEN else -9, 2)]
        return [*GRIDS.get(self.network, range(-3, 4))]

    def spec(self) -> spec.Spec:
        """The sweep that trains it."""
        return spec.parse(f"""
            [simulation]
            name = "{self.name}"
            [data]
            dataset = "{self.dataset}"
            [train]
            network = "{self.path}"
            optimizer = "{self.optimizer}"
            momentum = {self.momentum}
            schedule = "{self.schedule}"
            budget = {{ steps = {STEPS} }}
            evaluations = 1
            [grid]
            alpha = {list(self.alphas)}
            batch_size = {list(BATCHES)}
            learning_rate = {[2.0**i for i in self.exponents]}
            seed = 3
        """)


PLAIN = ("bn128", "ln512", "ln16", "bn128_bare", "ln32_3", "bn_conv", LOOKED_AT)
FASHION = "fashion-mnist-14"
CASES = (
    Case("bn48_48", FASHION),
    *map(Case, PLAIN),
    *(Case(name, momentum=0.9) for name in ("ln32_3", "bn128", LOOKED_AT)),
    Case("bn48_48", FASHION, momentum=0.9),  # from here on with what was seen above
    *(Case(name, momentum=0.9) for name in ("ln512", "ln16")),
    *(Case(name, momentum=0.9, schedule=how) for name in ("mlp2", "relu96_48") for how in ("constant", "cosine")),
    Case("relu128_64_32", FASHION, optimizer="adam"),
    *(Case(name, optimizer="adam") for name in ("relu96_48", "relu3", "he2", "bn128", "bn128_bare", "ln16", "ln512")),
)


def predicted(case: Case) -> list[dict]:
    """By (α, B): the rates at which theories have it lost, and what they need to know."""
    alpha, B = (v.ravel() for v in np.meshgrid(case.alphas, BATCHES, indexing="ij"))
    if case.optimizer == "adam":
        seen, said = _by_adam(case, alpha, B)
    elif case.plain:
        seen, said = {}, {"moving": _moving(case, alpha, B)}
    else:
        seen, said = _normalised(case, alpha, B)
    return [
        {"alpha": int(alpha[i]), "batch_size": int(B[i])}
        | {name: float(f"{v:.4g}") for name, v in seen.items()}
        | {name: float(f"{v[i]:.4g}") if np.isfinite(v[i]) else None for name, v in said.items()}
        for i in range(len(alpha))
    ]


Said = tuple[dict[str, float], dict[str, np.ndarray]]


def _normalised(case: Case, alpha: np.ndarray, B: np.ndarray) -> Said:
    """The caps, and the best rate of the linearised theory, which `advise --no-training` told before."""
    data = datasets.load(case.dataset)
    network = load_network(case.path, data.image_shape, data.num_classes, seed=0)
    features = last_features(network, data.x_train[:IMAGES])
    spectrum = initial_spectrum(case.path, data, seed=0)
    cap = np.nan if case.network.endswith("_bare") else gains_cap(data.num_classes, case.momentum)
    said = {
        "last layer": last_layer_cap(features, data.num_classes, alpha, B, case.momentum),
        "gains": np.full(len(alpha), cap),
        "linearised": best_learning_rate(spectrum, alpha, B, STEPS, momentum=case.momentum),
    }
    return {"top": features[-1], "trace": features.sum()}, said


def _moving(case: Case, alpha: np.ndarray, B: np.ndarray) -> np.ndarray:
    """Where accuracies of kernels that move, by SGD at this momentum and schedule, leave half of the best gain."""
    spectrum = initial_spectrum(case.path, datasets.load(case.dataset), seed=0)
    rates, how = (1 - case.momentum) * 2.0 ** np.arange(-8, 6), {"schedule": case.schedule, "momentum": case.momentum}
    curves = moving_accuracy(spectrum, DEPTHS[case.network], alpha[:, None], B[:, None], rates, STEPS, **how)
    return 2.0 ** np.array([lost_from(rates, curve, CLASSES) for curve in curves])


def _by_adam(case: Case, alpha: np.ndarray, B: np.ndarray) -> Said:
    """The edge of the sharpness that Adam sees; the walk of noise; SGD's rate by kernels that move, times Σq/Σ√q."""
    data = datasets.load(case.dataset)
    network = load_network(case.path, data.image_shape, data.num_classes, seed=SEED).train()
    x, y = (torch.as_tensor(np.asarray(v)[:IMAGES]) for v in (data.x_train, data.y_train))
    begun = [
        Run(case.path, case.dataset, float(a), int(b), STEPS).at_start(DRAWN // int(b))["squares"]
        for a, b in zip(alpha, B, strict=True)
    ]
    said = {"sharpness": np.array([adam_edge(top_eigenvalue(network, x, y.long(), squares)) for squares in begun])}
    seen = _size_and_noise(case.path, case.dataset)
    said["walk"] = walk_cap(seen["weight"], seen["noise_scale"], alpha, B)
    if case.plain:
        said["carried"] = _moving(case, alpha, B) * [adam_over_sgd(squares) for squares in begun]
    return seen, said


def _size_and_noise(path: str, dataset: str) -> dict[str, float]:
    """Of the untrained network: root mean square of its weights, parameters, B_noise and S of clean labels."""
    data = datasets.load(dataset)
    network = load_network(path, data.image_shape, data.num_classes, seed=0)
    weights = torch.cat([w.detach().flatten() for w in network.parameters() if w.ndim > 1])
    moments = measure_moments(network, data.x_train[:EXAMPLES], data.y_train[:EXAMPLES], num_classes=data.num_classes)
    return {
        "weight": float(weights.square().mean().sqrt()),
        "parameters": sum(w.numel() for w in network.parameters()),
        "noise_scale": moments.noise_scale(0).floats.value,
        "square": moments.covariance_trace(0).floats.value + moments.mean_norm_squared(0).floats.value,
    }


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
    found = [row for case in CASES if case.name in cubes for row in _own(case, told[case.name], cubes)]
    told, cubes = json.loads(theory_moving.TOLD.read_text(encoding="utf-8"))["cases"], open_cubes(theory_moving.CUBE)
    return found + [row for case in theory_moving.CASES for row in _moved(case, told[case.name], cubes[case.name])]


def _own(case: Case, told: list[dict], cubes: dict[str, xr.Dataset]) -> Iterator[dict]:
    """The rows of a case of this file; with momentum also the rate of plain SGD, as it was measured, times 1 − μ."""
    seen, plainly = case.label in SEEN, replace(case, momentum=0.0).name
    for said in told:
        theory = {name: float(np.log2(said[name])) for name in THEORIES if said.get(name)}
        if case.momentum and seen:
            theory["gains"] = float(np.log2(gains_cap(CLASSES, case.momentum)))
        if case.momentum and plainly in cubes:
            theory["scaled"] = lost_in(cubes[plainly], said)[0] + float(np.log2(1 - case.momentum))
        kind = {"plain": case.plain, "optimizer": case.optimizer, "momentum": case.momentum, "schedule": case.schedule}
        yield _row(case.label, cubes[case.name], said, theory) | kind | {"seen": seen, "network": case.network}


def _moved(case: theory_moving.Case, told: list[dict], cube: xr.Dataset) -> Iterator[dict]:
    """The rows of networks without normalisation by SGD; the edge is read off after they trained."""
    spectrum = initial_spectrum(case.path, datasets.load(case.dataset), seed=0)
    for said in told:
        edge = float(softmax_edge(spectrum, case.depth, said["alpha"], said["batch_size"]))
        theory = {"edge": float(np.log2((1 - case.momentum) * edge))}
        for name in theory_moving.THEORIES:
            curve = np.array(said[f"{name} accuracy"])[case.trained]
            theory[name] = lost_from(case.rates[case.trained], curve, spectrum.num_classes)
        kind = {"plain": True, "optimizer": "sgd", "momentum": case.momentum, "schedule": case.schedule}
        yield _row(case.label, cube, said, theory) | kind | {"seen": False, "network": case.network}


def lost_in(cube: xr.Dataset, at: Mapping[str, float]) -> list[float]:
    """log2 of the rate at which the mean over seeds is lost, and each seed."""
    cell = score(cube).sel(alpha=at["alpha"], batch_size=at["batch_size"]).squeeze(drop=True)
    cell = cell.transpose("seed", "learning_rate").values
    return [lost_from(cube["learning_rate"].values, one, CLASSES) for one in (cell.mean(0), *cell)]


def _row(label: str, cube: xr.Dataset, said: dict, theory: dict[str, float]) -> dict:
    lost = [value if np.isfinite(value) else None for value in lost_in(cube, said)]
    where = {key: said[key] for key in ("alpha", "batch_size")}
    known = {name: value if np.isfinite(value) else None for name, value in theory.items()}
    return {"case": label, **where, "lost": lost[0], "seeds": lost[1:], **known}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("predict", "train"))
    parser.add_argument("--out", type=Path, default=Path("out/theory_caps"))
    parser.add_argument("--case", help="only the case of this name")
    options = parser.parse_args()
    if options.what == "predict":
        predict()
    else:
        there = {name: cube.load() for name, cube in open_cubes(CUBE).items()}
        for case in CASES:
            if case.name not in there and options.case in (None, case.name):
                runner.simulate(case.spec(), options.out / case.name)
                there |= {case.name: open_cubes(options.out / case.name)[case.name].load()}
                save(there, CUBE)
