"""Recorded cubes -> effbatch/advice/law_scores.json: how far every law was off where it was tried.

Anchored laws on cells of the recorded sweep that their anchor had not seen; laws that need no anchor on the held-out
cases of the recorded benchmark. "same_cells" has both kinds on the same cells of the benchmark: there, and only there,
they can be compared.

python benchmarks/law_scores.py            # after a recorded cube changed
"""

from __future__ import annotations

import json
from pathlib import Path

import xarray as xr

from effbatch.advice.evidence import FILE
from effbatch.fitting import best_learning_rates, compare_laws
from effbatch.laws import LAWS
from effbatch.plan.cube import open_cube, resolved_spec

SIMULATIONS = {  # by optimiser; the rule of the adaptive ones was taken from digits, so digits say nothing of it
    "sgd": ("digits", "learning_rate"),
    "adam": ("fashion-mnist-14", "learning_rate_adam-fashion-mnist-14"),
    "adadelta": ("fashion-mnist-14", "learning_rate_adadelta-fashion-mnist-14"),
}
BENCHMARK = Path(__file__).parent / "results" / "prediction.json"
SAME_CELLS = "Held-out cases of plain SGD, the same cells for every method"
METHODS = {
    "square_root_clean_count": "square_root_clean_count, anchored at every other cell",
    "linearised": "linearised",
    "probe": "short runs",
}
RECORDED = Path(__file__).parent.parent / "simulations" / "results"


def scores() -> dict:
    """The scores as JSON-ready values: of each optimiser from its simulation."""
    optimizers = {
        optimizer: _of(open_cube(RECORDED / folder, name)) for optimizer, (folder, name) in SIMULATIONS.items()
    }
    same_cells = {name: _benchmarked(method) for name, method in METHODS.items()}
    laws = optimizers["sgd"]["laws"]
    laws |= {name: score for name, score in same_cells.items() if name not in laws}
    return {"optimizers": optimizers, "same_cells": same_cells}


def _of(cube: xr.Dataset) -> dict:
    compared = compare_laws(best_learning_rates(cube), LAWS)
    laws = {
        str(law): _score(
            *(float(compared[key].sel(law=law)) for key in ("median_error", "low", "high", "quantile90", "cells"))
        )
        for law in compared["law"].values
        if int(compared["pairs"].sel(law=law))
    }
    spec = resolved_spec(cube)
    train = spec["train"]
    networks = cube["network"].values if "network" in cube.dims else [train["network"]]
    source = (
        f"`effbatch validate {cube.attrs['arguments']}` ({', '.join(map(str, networks))} on {spec['data']['dataset']}, "
        f"{train['optimizer']}, "
        f"{int(train['budget']['steps'])} steps, α {_range(cube['alpha'])}, B {_range(cube['batch_size'])}, "
        f"{cube.sizes['seed']} seeds, {cube.attrs['made'][:10]})"
    )
    ranges = {key: [float(cube[key].min()), float(cube[key].max())] for key in ("alpha", "batch_size")}
    return {"source": source, **ranges, "laws": laws}


def _benchmarked(method: str) -> dict:
    """From the recorded benchmark: cases that the theory was not worked out on, the same cells for every method."""
    recorded = json.loads(BENCHMARK.read_text(encoding="utf-8"))
    (row,) = (row for row in recorded["tables"][SAME_CELLS] if row["method"] == method)
    ranges = {key: _range_of([cell[key] for cell in recorded["rows"]]) for key in ("alpha", "batch_size")}
    return {
        **_score(row["median_error"], *row["interval"], row["quantile90"], row["n"]),
        "source": f"`python benchmarks/prediction.py` (held-out cases of plain SGD, {recorded['made'][:10]})",
        **ranges,
    }


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
    FILE.write_text(json.dumps(scores(), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    print(FILE.read_text(encoding="utf-8"))
