"""The exponent δ of the effective batch, B/(1+α)^δ: recorded, and what theories say of the same settings, by one fit.

The accuracy that a theory gives at every checkpoint of a recorded grid takes the place of the measured one;
`best_steps` and `collapse_exponent` do the rest. Nothing is fitted to the runs. From the kernel at initialisation:

    frozen     features and slope of the softmax stay (`theory/dynamics.py`)
    moving     both move with what is learned (`theory/moving.py`)
    no start   moving, and there is no initial function to forget: looked at after the three recorded data sets

The tests (`theory_runs.DELTA_TESTS`) were predicted before they ran: results/theory_delta_predicted.json.

    python benchmarks/theory_delta.py --data FOLDER        # writes the .npz of two tests there
    python benchmarks/theory_delta.py --data FOLDER --predict  # predicts all tests again, and stores what is new
    python benchmarks/theory_delta.py --cubes FOLDER...    # sweeps of the tests -> results/theory_delta.nc
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import theory_runs
import xarray as xr

from effbatch.data import datasets
from effbatch.fitting import Collapse, best_steps, collapse_exponent
from effbatch.fitting.collapse import fit_hyperbola, many_starts
from effbatch.fitting.resampling import bootstrap_weights, interval
from effbatch.plan import spec
from effbatch.plan.cube import METRICS, Outcome, open_cubes, resolved_spec, save
from effbatch.plan.units import log_spaced_steps
from effbatch.theory.dynamics import learning_curve
from effbatch.theory.losses import with_start
from effbatch.theory.moving import moving_accuracy
from effbatch.theory.spectrum import HeldOut, Spectrum
from effbatch.validation.setup import initial_spectrum

HERE = Path(__file__).parent
CUBES = HERE / "results" / "theory_delta.nc"
PREDICTED = HERE / "results" / "theory_delta_predicted.json"
IMAGES = 80  # held out, that score the accuracy a theory gives
SEEDS = (0,)  # of initialisations; their mean accuracy counts
DEPTH = {"perceptron": 1, "perceptron_zero": 1, "mlp1": 2}
TARGETS = {"digits": (0.75, 0.8, 0.85), "fashion-mnist-14": (0.62, 0.67, 0.72), "mnist": (0.75, 0.8, 0.85)}
ONE_MODE, TARGET = "one mode with softmax", 0.85
TOLD = {  # what was said of each test before it ran
    "delta_frozen": ("frozen", ONE_MODE),
    "delta_halves": ("frozen", ONE_MODE, "moving"),
    "delta_zero": ("frozen",),
    "delta_pooled": ("frozen", "moving", "no start"),
}


@dataclass(frozen=True)
class Grid:
    """Where a theory is asked."""

    alpha: np.ndarray
    batch_size: np.ndarray
    learning_rate: np.ndarray
    step: np.ndarray

    @classmethod
    def of(cls, cube: xr.Dataset) -> Grid:
        """That of a recorded cube."""
        return cls(*(cube[name].values for name in ("alpha", "batch_size", "learning_rate", "step")))

    @classmethod
    def of_test(cls, test: spec.Spec) -> Grid:
        """That of a sweep before it runs."""
        axes = (np.array(test.grid[name]) for name in ("alpha", "batch_size", "learning_rate"))
        return cls(*axes, np.array(log_spaced_steps(test.train.budget["steps"], test.train.evaluations)))


def theories(spectrum: Spectrum, depth: int) -> dict[str, Callable[[Grid, int], np.ndarray]]:
    """By name, the accuracy (α, B, η) after so many steps."""

    def cells(grid: Grid) -> tuple[np.ndarray, ...]:
        return grid.alpha[:, None, None].astype(float), grid.batch_size[:, None].astype(float), grid.learning_rate

    return {
        "frozen": lambda grid, steps: learning_curve(spectrum, *cells(grid), steps).accuracy,
        "moving": lambda grid, steps: moving_accuracy(spectrum, depth, *cells(grid), steps),
        "no start": lambda grid, steps: moving_accuracy(with_start(spectrum, 0), depth, *cells(grid), steps),
    }


def thinned(spectrum: Spectrum) -> Spectrum:
    """Scored on the first of the held-out images."""
    test = spectrum.held_out
    assert test is not None
    few = (test.modes[:IMAGES], test.indicators, test.initial, test.start[:IMAGES], test.labels[:IMAGES])
    return replace(spectrum, held_out=HeldOut(*few))


def said(
    network: str,
    dataset: str,
    grid: Grid,
    targets: tuple[float, ...],
    names: tuple[str, ...] = ("frozen", "moving", "no start"),
) -> dict[str, list[float | None]]:
    """δ by each theory, at every target."""
    data = datasets.load(dataset)
    spectra = [thinned(initial_spectrum(network, data, seed=seed)) for seed in SEEDS]
    depth, found = DEPTH[network.rpartition(":")[2]], {}
    for name in names:
        of = [theories(spectrum, depth)[name] for spectrum in spectra]
        curves = np.stack([np.mean([accuracy(grid, int(step)) for accuracy in of], 0) for step in grid.step], axis=-1)
        found[name] = [exponent(curves, grid, target, data.num_classes) for target in targets]
    return found


def exponent(accuracy: np.ndarray, grid: Grid, target: float, num_classes: int) -> float | None:
    """δ of accuracies (α, B, η, checkpoint), as if several seeds had agreed on them; None where no fit is possible."""
    dims = ("seed", "alpha", "batch_size", "learning_rate")
    agreed = np.repeat(accuracy[None], 4, axis=0)
    cube = xr.Dataset(
        {
            "test_accuracy_history": ((*dims, "checkpoint"), agreed),
            "outcome": (dims, np.full(agreed.shape[:-1], int(Outcome.FINISHED))),
        },
        coords={**{d: getattr(grid, d) for d in dims[1:]}, "seed": range(4), "step": ("checkpoint", grid.step)},
        attrs={"num_classes": num_classes},
    )
    fitted = collapse_exponent(best_steps(cube, target, resamples=20)["seed_steps"], resamples=20)
    return fitted.base and fitted.base.delta.floats.value


def measured(cube: xr.Dataset, target: float) -> dict:
    """δ at a fixed number of steps and of examples, with 95 % limits over seeds."""
    steps = best_steps(cube.squeeze(drop=True), target)["seed_steps"]
    fitted = collapse_exponent(steps)
    row = {"target": target, "settings": fitted.cells, "n": fitted.seeds}
    return row | _limits(fitted) | {"examples": at_fixed_examples(steps)}


def at_fixed_examples(steps: xr.DataArray) -> list[float]:
    """The power of 1 + α in the examples that small batches need: δ + ζ of S_min (1+α)^ζ (1 + B_0 (1+α)^δ/B)."""
    cells = steps.stack(cell=("alpha", "batch_size")).transpose("seed", "cell")
    complete = np.isfinite(cells.values).all(axis=0)
    alpha, B = (cells[name].values[complete].astype(float) for name in ("alpha", "batch_size"))
    logs = np.log(cells.values[:, complete])
    starts = many_starts(B, logs.mean(0), 4)
    theta, squares = fit_hyperbola(alpha, B, np.tile(logs.mean(0), (len(starts), 1)), starts)
    best = theta[squares.argmin()]
    draws, _ = fit_hyperbola(alpha, B, bootstrap_weights(len(logs), 1000) @ logs, best[None])
    power, powers = best[2] + best[3], draws[:, 2] + draws[:, 3]
    return [float(v) for v in (power, *interval(power, powers, len(logs)))]


def _limits(fitted: Collapse) -> dict[str, float | None]:
    if fitted.base is None:
        return dict.fromkeys(("measured", "low", "high"))
    delta = fitted.base.delta.floats
    return {"measured": delta.value, "low": delta.low, "high": delta.high}


def recorded_rows(cubes: Mapping[str, Mapping[str, xr.Dataset]]) -> list[dict]:
    """The recorded data sets: δ at three targets, the last of them that of the claim; measured, and by each theory."""
    found = []
    for dataset, targets in TARGETS.items():
        (cube,) = (one for name, one in cubes[dataset].items() if name.startswith("effective_batch"))
        network = resolved_spec(cube)["train"]["network"]
        by_theory = said(network, dataset, Grid.of(cube), targets)
        for i, target in enumerate(targets):
            row = {"case": f"{network}, {dataset}", **measured(cube, target)}
            found.append(row | {name: values[i] for name, values in by_theory.items()})
    return found


def one_mode(alpha: float, num_classes: int) -> float:
    """min of τ S̄/s² up to a factor: examples that small batches need if all of a softmax's target lies in one mode.

    s(τ) is the lead of the true logit, ds/dτ = K²/(K−1) (q − p(s)), towards ln(1 + K/α); S̄ the mean noise of a copy
    so far, (1 − 1/K)(1 − λ²) + (q − p)² K/(K−1). Its power of 1 + α does not depend on the data. Refuted by the tests.
    """
    K, clean, step = num_classes, 1 / (1 + alpha), 1e-3
    right, lead, noise, least = (1 + alpha / num_classes) * clean, 0.0, 0.0, np.inf
    for _ in range(10_000):
        left = right - 1 / (1 + (K - 1) * np.exp(-lead))
        noise += (1 - 1 / K) * (1 - clean**2) + left**2 * K / (K - 1)
        lead += step * K**2 / (K - 1) * left
        least = min(least, step * noise / lead**2)
    return least


def predicted(name: str, folder: Path) -> dict[str, float | None]:
    """δ of a test at the target by all that was said of it, from its spec alone; `folder` has the .npz of two tests."""
    test = spec.parse(theory_runs.DELTA_TESTS[name])
    dataset = test.data.dataset
    dataset = str(folder / dataset) if dataset.endswith(".npz") else dataset
    names = tuple(one for one in TOLD[name] if one != ONE_MODE)
    found = {
        one: values[0]
        for one, values in said(test.train.network, dataset, Grid.of_test(test), (TARGET,), names).items()
    }
    if ONE_MODE in TOLD[name]:
        few, many = (one_mode(alpha, datasets.load(dataset).num_classes) for alpha in (1, 7))
        found[ONE_MODE] = float(np.log(many / few) / np.log((1 + 7) / (1 + 1)))
    return {one: round(found[one], 2) for one in TOLD[name]}


def predict(folder: Path, names: list[str]) -> None:
    """Predict tests again: `again` holds what this command says, and has to come out the same at every rerun.

    A test that has no prediction yet gets it, with the time. What was stored before the runs stays.
    """
    told = json.loads(PREDICTED.read_text(encoding="utf-8"))
    for name in names:
        now = predicted(name, folder)
        if told["again"].setdefault(name, now) != now:
            raise SystemExit(f"{name} needs to be predicted as {told['again'][name]}, got {now}: find what changed")
        told.setdefault(name, now)
        told["made"].setdefault(name, datetime.now(UTC).isoformat(timespec="seconds"))
        print(name, now, flush=True)
        PREDICTED.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")


def test_rows() -> list[dict]:
    """The tests: what was predicted before they ran, and what came."""
    told = json.loads(PREDICTED.read_text(encoding="utf-8"))
    cubes = open_cubes(CUBES)
    return [
        {"case": name, **measured(cubes[name], told["target"]), "predicted": told[name]}
        for name in told
        if name in cubes
    ]


def images() -> dict[str, dict[str, np.ndarray]]:
    """Arrays by the file of a test: are digits 5 or more; means of 2×2 pixels of MNIST."""
    digits, mnist = datasets.load("digits"), datasets.load("mnist")
    halves = {f"x_{half}": getattr(digits, f"x_{half}") for half in ("train", "test")}
    halves |= {f"y_{half}": (np.asarray(getattr(digits, f"y_{half}")) >= 5).astype(int) for half in ("train", "test")}
    x, x_test = (np.asarray(part).reshape(-1, 14, 2, 14, 2).mean((2, 4)) for part in (mnist.x_train, mnist.x_test))
    mean, scale = x.mean(), x.std()
    pooled = {"x_train": (x[:20_000] - mean) / scale, "y_train": np.asarray(mnist.y_train)[:20_000]}
    pooled |= {"x_test": (x_test[:2_000] - mean) / scale, "y_test": np.asarray(mnist.y_test)[:2_000]}
    return {"halves.npz": halves, "mnist14.npz": pooled}


def as_markdown(rows: list[dict], tests: list[dict]) -> list[str]:
    """Two tables."""
    lines = ["## δ of the effective batch", ""]
    lines += [
        "Steps to the target at the best rate, fitted by S_min (1 + B_0 (1+α)^δ/B). At fixed examples: δ + ζ, with "
        "S_min ∝ (1+α)^ζ. The theories ran through the same settings and were fitted by the same code. "
        "*No start* was looked at after the measurements.",
        "",
    ]
    lines += [
        "| network, data | target | n | measured | fixed examples | frozen | moving | no start |",
        "|---" * 8 + "|",
    ]
    for row in rows:
        theory = [_number(row[name]) for name in ("frozen", "moving", "no start")]
        lines.append(f"| {row['case']} | {row['target']:g} | {row['n']} | " + " | ".join([*_both(row), *theory]) + " |")
    lines += ["", "Predicted before the runs, target 0.85:", ""]
    lines += ["| test | n | predicted | measured | fixed examples |", "|---" * 5 + "|"]
    for row in tests:
        told = "; ".join(f"{name} {value:.2f}" for name, value in row["predicted"].items())
        lines.append(f"| {row['case'].removeprefix('delta_')} | {row['n']} | {told} | " + " | ".join(_both(row)) + " |")
    return [*lines, ""]


def _both(row: Mapping) -> list[str]:
    if row["measured"] is None:
        return ["", ""]
    triples = ((row["measured"], row["low"], row["high"]), row["examples"])
    return [f"{value:.2f} [{low:.2f}, {high:.2f}]" for value, low, high in triples]


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def main() -> None:
    """Write the data of the tests, or keep of their sweeps what the fit needs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--predict", nargs="*", metavar="TEST", help="these tests, or all")
    parser.add_argument("--cubes", type=Path, nargs="*", default=[])
    options = parser.parse_args()
    if options.data:
        for name, arrays in images().items():
            np.savez(options.data / name, **arrays)
    if options.predict is not None:
        predict(options.data or Path(), options.predict or list(TOLD))
    if options.cubes:
        found = {name: cube for folder in options.cubes for name, cube in open_cubes(folder).items()}
        save({name: cube[["test_accuracy_history", "outcome", *METRICS]] for name, cube in found.items()}, CUBES)


if __name__ == "__main__":
    main()
