"""Adam's best rate from that of SGD, by four formulas, on networks trained with both.

Adam divides the gradient of coordinate i by the root of v_i, a running mean of g_i². Both optimisers are then
equally noisy where (docs/theory.md)

    η_Adam Σ_i √q_i = η_SGD Σ_i q_i,      q_i = E g_i² of a batch of B

    plain     equal coordinates at initialisation, S_0 of one copy: √(S_0/(P B))
    start     q of the untrained network
    quarter   Σ q along a quarter of SGD's run at its best rate, Σ √q along one of Adam's at the rate of `plain`
    kernel    the ratio of what the recursion says of the kernels J Jᵀ and J diag(q^−½) Jᵀ of the untrained network
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import torch
import xarray as xr
from adam_rate import adam_over_sgd
from theory_runs import NETWORKS
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.functional import cross_entropy

from effbatch.data import datasets
from effbatch.fitting import best_learning_rates
from effbatch.fitting.regret import lost_score
from effbatch.measure.kernel import measure_spectrum
from effbatch.networks.loading import load_network
from effbatch.plan.cube import open_cubes, resolved_spec, score
from effbatch.theory.dynamics import best_learning_rate
from effbatch.theory.schedules import multipliers

FORMULAS = ("plain", "start", "quarter", "kernel")
BATCHES = 64  # of the untrained network
SEED = 1000  # no recorded run has it


@dataclass(frozen=True)
class Case:
    """A network trained with SGD and with Adam; `seen` marks those that a formula was found or first tried on."""

    name: str
    network: str
    dataset: str
    sgd: tuple[str, str]  # folder of the cube, simulation
    adam: tuple[str, str]
    seen: bool = False


def _recorded(name: str, network: str, dataset: str, sgd: str, adam: str, *, seen: bool) -> Case:
    return Case(name, network, dataset, (dataset, sgd), (dataset, adam), seen)


CASES = (
    _recorded("mlp1, digits", "mlp1", "digits", "learning_rate", "learning_rate_adam", seen=True),
    _recorded(
        "mlp1, Fashion-MNIST 14×14",
        "mlp1",
        "fashion-mnist-14",
        "learning_rate-fashion-mnist-14",
        "learning_rate_adam-fashion-mnist-14",
        seen=True,
    ),
    _recorded("conv2, MNIST, momentum", "conv2", "mnist", "recipe_conv2", "recipe_conv2_adamw", seen=True),
    _recorded("mlp2ln, MNIST, momentum", "mlp2ln", "mnist", "recipe_mlp2ln", "recipe_mlp2ln_adamw", seen=True),
    *(
        Case(
            f"{name}, digits",
            f"benchmarks/untried_networks.py:{function}",
            "digits",
            ("theory", f"{name}_sgd"),
            ("theory", f"{name}_adam"),
        )
        for name, (function, *_) in NETWORKS.items()
    ),
)


def rows(case: Case, cubes: Mapping[str, Mapping[str, xr.Dataset]]) -> Iterator[dict]:
    """A row for every (α, B): measured log2 η_Adam/η_SGD with its interval, and what each formula says.

    SGD's rate counts 1/(1 − momentum) times. Where the schedules differ, the recursion's own ratio of the two
    schedules on the same kernel is a factor of all formulas. Where Adam's runs are not there, nothing is measured.
    """
    sgd = cubes[case.sgd[0]][case.sgd[1]]
    adam = cubes[case.adam[0]].get(case.adam[1])
    before, after = _best(sgd, case.network), None if adam is None else _best(adam, case.network)
    train = resolved_spec(sgd)["train"]
    adams = train if adam is None else resolved_spec(adam)["train"]
    steps, friction = int(train["budget"]["steps"]), 1 - train.get("momentum", 0.0)
    for alpha in np.intersect1d(sgd["alpha"], sgd["alpha"] if adam is None else adam["alpha"]):
        for B in sgd["batch_size"].values:
            at = {"alpha": float(alpha), "batch_size": int(B)}
            rate, low, high = _rate(before, at)
            run = Run(case.network, case.dataset, float(alpha), int(B), steps)
            here = {"case": case.name, "seen": case.seen, **at, "sgd": rate / friction, "steps": steps}
            here |= _predicted(run, rate / friction, train["schedule"], adams["schedule"], train.get("momentum", 0.0))
            if after is not None:
                adam_rate, adam_low, adam_high = _rate(after, at)
                off = np.hypot(*(np.log2([high / rate, adam_high / adam_rate])))
                under = np.hypot(*(np.log2([rate / low, adam_rate / adam_low]))) if min(low, adam_low) > 0 else np.inf
                middle = np.log2(adam_rate * friction / rate)
                here |= {"adam": adam_rate, "measured": middle, "low": middle - under, "high": middle + off}
            yield here


def benchmarked() -> list[dict]:
    """`mlp1` on digits with momentum and with Adam, 400 steps: best rates of results/prediction.json, no intervals."""
    recorded = json.loads((Path(__file__).parent / "results" / "prediction.json").read_text(encoding="utf-8"))
    tuned = {
        how: {
            (r["alpha"], r["batch_size"]): r["measured"] for r in recorded["rows"] if r["case"] == f"digits-mlp1-{how}"
        }
        for how in ("momentum-constant-400", "adam-constant-400")
    }
    found = []
    for (alpha, B), rate in tuned["momentum-constant-400"].items():
        sgd, adam = rate / 0.1, tuned["adam-constant-400"][alpha, B]
        said = _predicted(Run("mlp1", "digits", alpha, B, 400), sgd, "constant", "constant", 0.9)
        row = {
            "case": "mlp1, digits, momentum",
            "seen": True,
            "alpha": alpha,
            "batch_size": B,
            "sgd": sgd,
            "steps": 400,
        }
        measured = {"adam": adam, "measured": float(np.log2(adam / sgd)), "low": np.nan, "high": np.nan}
        found.append(row | said | measured | {"lost": dict.fromkeys(FORMULAS, np.nan)})
    return found


def lost(case: Case, row: Mapping, cubes: Mapping[str, Mapping[str, xr.Dataset]]) -> dict[str, float]:
    """Points of accuracy lost by Adam's rate of each formula against the best of the grid."""
    cube = cubes[case.adam[0]][case.adam[1]]
    curve = score(cube).sel({key: row[key] for key in ("alpha", "batch_size")}).mean("seed").squeeze(drop=True)
    rates = np.array([row["sgd"] * 2 ** row[name] for name in FORMULAS])
    points, _ = lost_score(cube["learning_rate"].values, curve.values, rates)
    return {name: 100 * float(value) for name, value in zip(FORMULAS, points, strict=True)}


def _best(cube: xr.Dataset, network: str) -> xr.Dataset:
    best = best_learning_rates(cube)
    return best.sel(network=network) if "network" in best.dims else best.squeeze(drop=True)


def _rate(best: xr.Dataset, at: Mapping[str, float]) -> tuple[float, float, float]:
    """Best rate and limits; at an edge of the grid that edge, open."""
    cell = best.sel(at)
    rate = float(cell["best_learning_rate"])
    if np.isfinite(rate):
        return rate, float(cell["low"]), float(cell["high"])
    return float(cell["grid_best"]), 0.0, np.inf


def _predicted(run: Run, sgd_rate: float, schedule: str, adams_schedule: str, momentum: float) -> dict[str, float]:
    """log2 η_Adam/η_SGD by every formula; the share of coordinates (Σ√q)²/(P Σq) that count; S at the start and later.

    S_start of one copy of the untrained network; S_sgd and S_adam, B Σq from an eighth to a quarter of either run.
    """
    start = run.at_start()
    q, single = start["squares"], start["single"]
    P = len(q)
    plain, first = np.sqrt(single / (P * run.batch_size)), adam_over_sgd(q)
    along_sgd = run.along("sgd", sgd_rate * (1 - momentum), schedule, momentum)
    along_adam = run.along("adam", plain * sgd_rate, adams_schedule)
    spectrum, divided = _spectra(run.network, run.dataset)
    shift, kernel = 0.0, np.nan
    if spectrum is not None:
        of = (run.alpha, run.batch_size, run.steps)
        on_sgd, on_adam = (float(best_learning_rate(spectrum, *of, schedule=s)) for s in (schedule, adams_schedule))
        shift = np.log2(on_adam / on_sgd)
        on_adam = float(best_learning_rate(divided, *of, schedule=adams_schedule)) / np.sqrt(run.batch_size)
        kernel = np.log2(on_adam / on_sgd)
    ratios = {"plain": plain, "start": first, "quarter": adam_over_sgd(along_sgd, along_adam)}
    said = {name: float(np.log2(ratio) + shift) for name, ratio in ratios.items()}
    return {
        **said,
        "kernel": float(kernel),
        "share": float(np.sqrt(q).sum() ** 2 / (P * q.sum())),
        "parameters": P,
        "S_start": single,
        "S_sgd": float(run.batch_size * along_sgd.sum()),
        "S_adam": float(run.batch_size * along_adam.sum()),
    }


@dataclass(frozen=True)
class Run:
    """One setting: a network, its data, α, B and steps."""

    network: str
    dataset: str
    alpha: float
    batch_size: int
    steps: int

    def at_start(self, batches: int = BATCHES) -> dict:
        """Of the untrained network: E g_i² of a batch by coordinate and by parameter, and E‖g‖² of one copy."""
        net, draw = self._begun()
        names, total, squares = [n for n, _ in net.named_parameters()], None, None
        for _ in range(batches):
            g = torch.autograd.grad(mean_loss(net, *draw()), list(net.parameters()))
            total = g if total is None else [a + b for a, b in zip(total, g, strict=True)]
            squares = [b**2 for b in g] if squares is None else [a + b**2 for a, b in zip(squares, g, strict=True)]
        n, B = batches, self.batch_size
        mean_square = float(sum(s.sum() for s in squares)) / n
        norm = (float(sum((t**2).sum() for t in total)) / n - mean_square) / (n - 1)  # ‖G‖², products of two batches
        return {
            "squares": _flat(squares) / n,
            "by_name": {name: s / n for name, s in zip(names, squares, strict=True)},
            "single": B * (mean_square - norm) + norm,
        }

    def along(self, optimizer: str, rate: float, schedule: str, momentum: float = 0.0) -> np.ndarray:
        """Mean g_i² of the batches from an eighth to a quarter of the run."""
        net, draw = self._begun()
        weights = list(net.parameters())
        make = torch.optim.Adam if optimizer == "adam" else torch.optim.SGD
        stepped = make(weights, lr=rate, **({"momentum": momentum} if momentum else {}))
        factors, quarter, squares = multipliers(schedule, self.steps), self.steps // 4, []
        for t in range(quarter):
            stepped.param_groups[0]["lr"] = rate * factors[t]
            stepped.zero_grad()
            mean_loss(net, *draw()).backward()
            if t >= quarter // 2:
                squares.append(_flat([w.grad**2 for w in weights]))
            stepped.step()
        return np.mean(squares, axis=0)

    def _begun(self):
        """The untrained network, and a function that draws a batch of noisy copies."""
        data = datasets.load(self.dataset)
        K = data.num_classes
        net = load_network(self.network, data.image_shape, K, seed=SEED).train()
        x, y = torch.as_tensor(np.asarray(data.x_train)), torch.as_tensor(np.asarray(data.y_train)).long()
        random = torch.Generator().manual_seed(SEED)

        def draw() -> tuple[Tensor, Tensor]:
            i = torch.randint(len(x), (self.batch_size,), generator=random)
            noisy = torch.rand(len(i), generator=random) < self.alpha / (1 + self.alpha)
            return x[i], torch.where(noisy, torch.randint(K, (len(i),), generator=random), y[i])

        return net, draw


@cache
def _spectra(network: str, dataset: str, images: int = 300, alpha: float = 3.0):
    """Kernel spectra of the untrained network: as SGD sees it, and divided by √S_i of one copy; None with BatchNorm."""
    data = datasets.load(dataset)
    net = load_network(network, data.image_shape, data.num_classes, seed=SEED)
    if any(isinstance(layer, nn.BatchNorm1d) for layer in net.modules()):
        return None, None
    order = np.random.default_rng(SEED).permutation(len(data.x_train))[: 2 * images]
    x, y = np.asarray(data.x_train)[order], np.asarray(data.y_train)[order]
    halves = (x[:images], y[:images], x[images:], y[images:])
    squares = {name: 16 * q for name, q in Run(network, dataset, alpha, 16, 1).at_start()["by_name"].items()}
    scaled = Scaled(net, {name: torch.where(S > 0, S.clamp_min(1e-30) ** -0.5, 0) for name, S in squares.items()})
    return tuple(measure_spectrum(one, *halves, num_classes=data.num_classes) for one in (net, scaled))


class Scaled(nn.Module):
    """The same function of u in w = w_0 + √D u: its kernel at u = 0 is J D Jᵀ."""

    def __init__(self, network: nn.Module, scale: Mapping[str, Tensor]) -> None:
        super().__init__()
        self.hidden = (network,)  # not a submodule: its own weights are no parameters
        self.base = {name: w.detach() for name, w in network.named_parameters()}
        self.root = {name: D.sqrt() for name, D in scale.items()}
        self.moves = nn.ParameterList([torch.zeros_like(w) for w in self.base.values()])

    def forward(self, x: Tensor) -> Tensor:
        moved = zip(self.base.items(), self.moves, strict=True)
        return functional_call(self.hidden[0], {name: w + self.root[name] * u for (name, w), u in moved}, (x,))


def mean_loss(net: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    return cross_entropy(net(x), y)


def _flat(tensors) -> np.ndarray:
    return torch.cat([t.detach().flatten() for t in tensors]).double().numpy()


def summary(found: list[dict]) -> dict[str, dict]:
    """Median |error| of every formula in powers of two, 95 % interval over resampled cells, 90th percentile, bias."""
    rng, table = np.random.default_rng(0), {}
    for name in FORMULAS:
        error = np.array([row[name] - row["measured"] for row in found if np.isfinite(row[name] - row["measured"])])
        if not len(error):
            continue
        points = np.array([row["lost"][name] for row in found if np.isfinite(row[name])])
        medians = np.median(np.abs(rng.choice(error, (2000, len(error)))), axis=1)
        low, high = np.quantile(medians, [0.025, 0.975])
        table[name] = {
            "n": len(error),
            "median_error": float(np.median(np.abs(error))),
            "interval": [float(low), float(high)],
            "quantile90": float(np.quantile(np.abs(error), 0.9)),
            "bias": float(np.median(error)),
            "lost": float(np.nanmean(points)) if np.isfinite(points).any() else np.nan,
        }
    return table


def cubes_of(recorded: Path, own: Path) -> dict[str, dict[str, xr.Dataset]]:
    """The cubes by folder; `theory`: those of this benchmark."""
    folders = {folder.name: open_cubes(folder) for folder in recorded.iterdir() if (folder / "cube.nc").exists()}
    return folders | {"theory": open_cubes(own) if own.exists() else {}}
