"""Recorded cubes -> effbatch/advice/law_scores.json: how far every law was off where it was tried.

Anchored laws on cells of the recorded sweep that their anchor had not seen, by whether the anchor's labels were clean;
laws that need no anchor on the held-out cases of the recorded benchmark; kernels that move on the cases of
theory_moving.py to which `advise` would answer by them. Every recorded `recipe_*` counts, too.

python benchmarks/law_scores.py            # after a recorded cube changed
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import theory_moving
import xarray as xr

from effbatch.advice.evidence import FILE
from effbatch.advice.untrained import DEPTHS
from effbatch.claims import Case
from effbatch.fitting import compare_laws
from effbatch.fitting.cells import groups, setting_of
from effbatch.fitting.student import student_quantile
from effbatch.laws import LAWS
from effbatch.laws.base import Law
from effbatch.networks import zoo
from effbatch.networks.kind import kind_of_network
from effbatch.networks.loading import load_network
from effbatch.networks.relu_chain import chain_depth
from effbatch.plan.cube import open_cubes, resolved_spec
from effbatch.plan.recipe import Recipe

SIMULATIONS = {  # by folder; the rule of the adaptive ones was taken from digits, so digits say nothing of it
    "digits": ("learning_rate",),
    "fashion-mnist-14": ("learning_rate_adam-fashion-mnist-14", "learning_rate_adadelta-fashion-mnist-14"),
}
RECIPE = "recipe_"  # how the names of the others begin
RESULTS = Path(__file__).parent / "results"
BENCHMARK = RESULTS / "prediction.json"
SAME_CELLS = "Held-out cases of plain SGD, the same cells for every method"
METHODS = {"linearised": "linearised", "probe": "short runs"}  # of plain SGD
SHAPES = {"digits": (1, 8, 8), "fashion-mnist-14": (1, 14, 14), "mnist": (1, 28, 28)}
SHAPE = (3, 32, 32)  # of images that every built-in network takes
RECORDED = Path(__file__).parent.parent / "simulations" / "results"


def recorded() -> dict[str, dict[str, Case]]:
    """Every recorded cube, by folder and simulation."""
    folders = sorted(path for path in RECORDED.iterdir() if (path / "cube.nc").exists())
    return {folder.name: {name: Case(cube, {}) for name, cube in open_cubes(folder).items()} for folder in folders}


def scores(cases: Mapping[str, Mapping[str, Case]]) -> list[dict]:
    """The scores as JSON-ready values, a record for each simulation that counts."""
    records = [
        _of(case)
        for folder, simulations in cases.items()
        for name, case in simulations.items()
        if name.startswith(RECIPE) or name in SIMULATIONS.get(folder, ())
    ]
    plain = next(record for record in records if record["optimizer"] == "sgd")
    plain["laws"] |= {name: _benchmarked(method) for name, method in METHODS.items()}
    plain["laws"]["moving_kernel"] = _moving()
    return records


def _of(case: Case) -> dict:
    cube, best = case.cube, case.best
    compared = compare_laws(best, LAWS)
    laws = {
        str(law): _score(
            *(float(compared[key].sel(law=law)) for key in ("median_error", "low", "high", "quantile90", "cells"))
        )
        | _by_anchor(best, LAWS[str(law)])
        for law in compared["law"].values
        if int(compared["pairs"].sel(law=law))
    }
    spec = resolved_spec(cube)
    train = spec["train"]
    networks = cube["network"].values if "network" in cube.dims else [train["network"]]
    recipe = Recipe(
        optimizer="momentum" if train["optimizer"] == "sgd" and train.get("momentum") else train["optimizer"],
        **{name: train[name] for name in ("momentum", "schedule", "weight_decay") if train.get(name)},
    )
    how = train["optimizer"] if recipe == Recipe(optimizer=recipe.optimizer) else recipe.words
    kinds = {kind_of_network(zoo.build(str(name), SHAPE, 10, seed=0)) for name in networks}
    source = (
        f"`effbatch validate {cube.attrs['arguments']}` ({', '.join(map(str, networks))} on {spec['data']['dataset']}, "
        f"{how}, "
        f"{int(train['budget']['steps'])} steps, α {_range(cube['alpha'])}, B {_range(cube['batch_size'])}, "
        f"{cube.sizes['seed']} seeds, {cube.attrs['made'][:10]})"
    )
    ranges = {key: [float(cube[key].min()), float(cube[key].max())] for key in ("alpha", "batch_size")}
    ranges["num_classes"] = [best.attrs["num_classes"]] * 2
    ranges["steps"] = [int(train["budget"]["steps"])] * 2
    of_recipe = {"optimizer": recipe.optimizer, "momentum": recipe.momentum_used}
    of_recipe |= {"schedule": recipe.schedule, "weight_decay": recipe.weight_decay}
    return {**of_recipe, "networks": sorted(kinds), "source": source, **ranges, "laws": laws}


def _by_anchor(best: xr.Dataset, law: Law) -> dict:
    """Errors from anchors to every other interior cell of their grid: the reach of all, and by the anchor's labels."""
    errors: dict[str, list[float]] = {"clean": [], "noisy": [], "all": []}
    grids: dict[str, list[int]] = {kind: [] for kind in errors}  # the cells of each
    for _, cells in groups(best):
        setting, rate, alpha = setting_of(cells), cells["best_learning_rate"].values, cells["alpha"].values
        every = np.arange(len(rate))
        for kind, anchors in (("clean", every[alpha == 0]), ("noisy", every[alpha > 0]), ("all", every)):
            for i in anchors:
                others = np.delete(every, i)
                predicted = rate[i] * law.factor(setting(others), setting(np.full(len(others), i)))
                errors[kind] += np.abs(np.log2(predicted / rate[others])).tolist()
            grids[kind] += [len(every)] if len(anchors) else []
    reach = {kind: _reach(of, sum(grids[kind]) - len(grids[kind])) for kind, of in errors.items() if of}
    anchors = {
        kind: {
            "median_error_log2": round(float(np.median(errors[kind])), 3),
            "quantile90_log2": round(float(np.quantile(errors[kind], 0.9)), 3),
            "reach_log2": reach[kind],
            "n": sum(grids[kind]),
        }
        for kind in reach
        if kind != "all"
    }
    return {"reach_log2": reach["all"], "anchors": anchors}


def _reach(errors: list[float], freedom: int) -> float:
    """Half the interval that holds nine of ten further errors: the 90th percentile, or Student's t limit if larger.

    The errors are differences of pairs of cells. Their mean square over all pairs is twice the cells' sample variance,
    of one degree of freedom less than cells in each grid: with normal errors a new one stays within t times its root.
    """
    t = student_quantile(freedom, 0.9)
    return round(max(float(np.quantile(errors, 0.9)), t * float(np.sqrt(np.mean(np.square(errors))))), 3)


def _benchmarked(method: str) -> dict:
    """From the recorded benchmark: cases that the theory was not worked out on, the same cells for every method."""
    recorded = json.loads(BENCHMARK.read_text(encoding="utf-8"))
    (row,) = (row for row in recorded["tables"][SAME_CELLS] if row["method"] == method)
    ranges = {key: _range_of([cell[key] for cell in recorded["rows"]]) for key in ("alpha", "batch_size")}
    networks = {
        cell["case"].split("-sgd-")[0].rpartition("-")[2] for cell in recorded["rows"] if "-sgd-" in cell["case"]
    }
    kinds = {kind_of_network(zoo.build(name, SHAPE, 10, seed=0)) for name in networks}
    return {
        **_score(row["median_error"], *row["interval"], row["quantile90"], row["n"]),
        "source": f"`python benchmarks/prediction.py` (held-out cases of plain SGD, {recorded['made'][:10]})",
        **ranges,
        "networks": sorted(kinds),
    }


def _moving() -> dict:
    """From rates predicted before they trained, of plain SGD on networks that `advise` would answer by this theory."""
    recorded = json.loads((RESULTS / "theory.json").read_text(encoding="utf-8"))
    rows = {row["case"]: row for row in recorded["moving"] if row["held_out"]}
    cases = [case for case in theory_moving.CASES if rows[case.label]["plain"] and _chain(case) in DEPTHS]
    errors = np.abs(np.concatenate([rows[case.label]["moving"]["errors"] for case in cases]))
    resampled = np.median(np.random.default_rng(0).choice(errors, (2000, len(errors))), axis=1)
    low, high = np.quantile(resampled, [0.025, 0.975])
    return {
        **_score(float(np.median(errors)), low, high, float(np.quantile(errors, 0.9)), len(errors)),
        "source": f"`python benchmarks/theory_moving.py` ({len(cases)} held-out networks, {recorded['made'][:10]})",
        "alpha": _range_of(theory_moving.ALPHAS),
        "batch_size": _range_of(theory_moving.BATCHES),
        "steps": _range_of([case.steps for case in cases]),
    }


def _chain(case: theory_moving.Case) -> int | None:
    images = np.random.default_rng(0).standard_normal((8, *SHAPES[case.dataset]), np.float32)
    return chain_depth(load_network(case.path, images.shape[1:], 10, seed=0), images)


def _range_of(values: list[float]) -> list[float]:
    return [float(min(values)), float(max(values))]


def _score(median: float, low: float, high: float, quantile90: float, n: float) -> dict:
    return {
        "median_error_log2": round(float(median), 3),
        "interval_log2": [round(float(low), 3), round(float(high), 3)],
        "quantile90_log2": round(float(quantile90), 3),
        "n": int(n),
    }


def _range(values) -> str:
    return f"{float(values.min()):g} to {float(values.max()):g}"


if __name__ == "__main__":
    FILE.write_text(json.dumps(scores(recorded()), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    print(FILE.read_text(encoding="utf-8"))
