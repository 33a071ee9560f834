"""The rates at which networks are lost: what theory says before they train, and what training says.

    python benchmarks/theory_caps.py predict             # adds to results/theory_caps_predicted.json what it lacks
    python benchmarks/theory_caps.py train --out DIR     # what results/theory_caps.nc lacks; all: half an hour of one core

`theory.py` makes the table. Lost: above the best rate, where half of what that gains over chance is left at the end of
the run. Plain networks by plain SGD are those of `theory_moving.py`, with the accuracies that were predicted there.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import theory_moving
import torch
import xarray as xr
from last_layer import last_features, last_layer_cap
from sharpness import adam_edge, top_eigenvalue
from theory_adam import SEED, Run
from theory_moving import DATASETS, RESULTS

from effbatch.data import datasets
from effbatch.measure.gradients import measure_moments
from effbatch.networks.loading import load_network
from effbatch.plan import spec
from effbatch.plan.cube import open_cubes, save, score
from effbatch.sweep import runner
from effbatch.theory.adam_rate import adam_over_sgd
from effbatch.theory.dynamics import best_learning_rate
from effbatch.theory.gains import gains_cap
from effbatch.theory.moving import moving_accuracy, softmax_edge
from effbatch.theory.walk import walk_cap
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
LOOKED_AT = "mlp2ln"  # the theory was worked out on this one, and that of momentum on these
SEEN = {LOOKED_AT: True, "ln32_3, momentum": True, "bn128, momentum": True}


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
        return [*range(-6, 2)] if self.momentum else [*GRIDS.get(self.network, range(-3, 4))]

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
    """Of the untrained network: root mean square of its weights, number of parameters, B_noise and S of clean labels."""
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
