"""Recorded cubes -> effbatch/advice/law_scores.json: how far every law was off where it was tried.

Anchored laws on cells of the recorded sweep that their anchor had not seen, by whether the anchor's labels were clean;
laws that need no anchor on the held-out cases of the recorded benchmark; kernels that move on the cases of
theory_moving.py to which `advise` would answer by them. Every recorded `recipe_*` counts, too.

How often such a reach holds elsewhere is in results/law_coverage.json: a record is one network on one data set with one
recipe, and the share of its errors within the reach of others. `pooled`: of all other records of the same law together;
`one`: of one of them, the mean over these. Each record counts once; 95 % intervals resample records.

python benchmarks/law_scores.py            # after a recorded cube changed
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
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
RECIPE, RATES = "recipe_", "learning_rate"  # how names of sweeps over rates begin, those of recipes and others
LAW = {"sgd": "square_root_clean_count"}  # recommended by optimiser, "adaptive" for the others
RESAMPLES = 2000
RESULTS = Path(__file__).parent / "results"
BENCHMARK, COVERAGE = RESULTS / "prediction.json", RESULTS / "law_coverage.json"
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
        | _by_anchor(_grids(best, LAWS[str(law)]))
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


@dataclass(frozen=True)
class Grid:
    """Errors from the anchors of one network to every other interior cell of its grid, by the anchor's labels."""

    cells: int
    errors: Mapping[str, list[float]]

    def freedom(self, kind: str) -> int:
        """Degrees of freedom of the scatter of the cells; none where no anchor is of this kind."""
        return self.cells - 1 if self.errors[kind] else 0


def _grids(best: xr.Dataset, law: Law) -> list[Grid]:
    """A grid for each network."""
    found = []
    for _, cells in groups(best):
        setting, rate, alpha = setting_of(cells), cells["best_learning_rate"].values, cells["alpha"].values
        every = np.arange(len(rate))
        errors: dict[str, list[float]] = {"clean": [], "noisy": [], "all": []}
        for kind, anchors in (("clean", every[alpha == 0]), ("noisy", every[alpha > 0]), ("all", every)):
            for i in anchors:
                others = np.delete(every, i)
                predicted = rate[i] * law.factor(setting(others), setting(np.full(len(others), i)))
                errors[kind] += np.abs(np.log2(predicted / rate[others])).tolist()
        found.append(Grid(len(every), errors))
    return found


def _by_anchor(grids: Sequence[Grid]) -> dict:
    """The reach of all errors, and errors by the anchor's labels."""
    reach = {kind: _reach_of(grids, kind) for kind in ("clean", "noisy", "all") if any(g.errors[kind] for g in grids)}
    anchors = {}
    for kind in ("clean", "noisy"):
        if kind in reach:
            errors = [error for grid in grids for error in grid.errors[kind]]
            anchors[kind] = {
                "median_error_log2": round(float(np.median(errors)), 3),
                "quantile90_log2": round(float(np.quantile(errors, 0.9)), 3),
                "reach_log2": reach[kind],
                "n": sum(grid.cells for grid in grids if grid.errors[kind]),
            }
    return {"reach_log2": reach["all"], "anchors": anchors}


def _reach_of(grids: Sequence[Grid], kind: str) -> float:
    return _reach([error for grid in grids for error in grid.errors[kind]], sum(grid.freedom(kind) for grid in grids))


def _reach(errors: list[float], freedom: int) -> float:
    """Half the interval that holds nine of ten further errors: the 90th percentile, or Student's t limit if larger.

    The errors are differences of pairs of cells. Their mean square over all pairs is twice the cells' sample variance,
    of one degree of freedom less than cells in each grid: with normal errors a new one stays within t times its root.
    """
    t = student_quantile(freedom, 0.9)
    return round(max(float(np.quantile(errors, 0.9)), t * float(np.sqrt(np.mean(np.square(errors))))), 3)


def coverage(cases: Mapping[str, Mapping[str, Case]]) -> dict:
    """By recommended law and by the anchor's labels: how often errors of a record lie within the reach of others."""
    records: dict[str, dict[str, Grid]] = {}
    for folder, simulations in cases.items():
        for name, case in simulations.items():
            law = LAW.get(resolved_spec(case.cube)["train"]["optimizer"], "adaptive")
            if not name.startswith((RECIPE, RATES)) or (folder, law) == ("digits", "adaptive"):
                continue  # the adaptive law was made on digits
            grids = _grids(case.best, LAWS[law])
            networks = case.cube["network"].values if len(grids) > 1 else [""]
            of_law = records.setdefault(law, {})
            of_law |= {f"{name} {network}".strip(): grid for network, grid in zip(networks, grids, strict=True)}
    return {law: {kind: _covered(grids, kind) for kind in ("clean", "noisy")} for law, grids in records.items()}


def _covered(records: Mapping[str, Grid], kind: str) -> dict:
    """The shares of every record's errors within the reach of the others, and their means."""
    tried = {name: grid for name, grid in records.items() if grid.errors[kind]}
    shares: dict[str, dict[str, float]] = {"pooled": {}, "one": {}}
    for name, grid in tried.items():
        others = [other for key, other in tried.items() if key != name]
        errors = np.array(grid.errors[kind])
        shares["pooled"][name] = float(np.mean(errors <= _reach_of(others, kind)))
        shares["one"][name] = float(np.mean([errors <= _reach_of([other], kind) for other in others]))
    rng, n = np.random.default_rng(0), len(tried)
    drawn = rng.integers(n, size=(RESAMPLES, n))
    means = {}
    for how, of in shares.items():
        values = np.array(list(of.values()))
        interval = np.quantile(values[drawn].mean(1), [0.025, 0.975])
        by_record = {name: round(share, 3) for name, share in of.items()}
        means[how] = {"share": round(float(values.mean()), 3), "interval": interval.round(3).tolist(), "of": by_record}
    return {"records": n, "errors": sum(len(grid.errors[kind]) for grid in tried.values()), **means}


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
    cases = recorded()
    for path, found in ((FILE, scores(cases)), (COVERAGE, coverage(cases))):
        path.write_text(json.dumps(found, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        print(path.read_text(encoding="utf-8"))
