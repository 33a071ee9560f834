"""Made-up cubes with a known truth: where the score peaks, how fast the accuracy rises; and small units to train."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import fields
from typing import Any

import numpy as np
import xarray as xr

from effbatch.plan import cube as cubes
from effbatch.plan.cube import Outcome
from effbatch.plan.spec import Data, Train
from effbatch.plan.units import Unit


def unit(network: str = "mlp1", *, steps: int = 12, **options: Any) -> Unit:
    """Eight cells on 50 `little_images`; `options` are fields of `Unit`, `Data` and `Train`, whose names differ."""
    options = {"network": network, "dataset": "little", "clean_examples": 50, "budget": {"steps": steps}} | options
    data, train = (
        kind(**{field.name: options.pop(field.name) for field in fields(kind) if field.name in options})
        for kind in (Data, Train)
    )
    cells = {"alphas": (0.0, 2.5), "learning_rates": (0.05, 0.3), "seeds": (0, 3)}
    facts = {"point": {}, "batch_size": 7, "checkpoints": (steps // 3, steps), **cells}
    return Unit(data=data, train=train, steps=steps, **facts | options)


def peaked_cube(
    best_rate: Callable[[xr.DataArray, xr.DataArray], xr.DataArray],
    *,
    alpha: Sequence[float] = (0.0,),
    batch_size: Sequence[int] = (32,),
    learning_rate: Sequence[float] = tuple(2.0 ** np.arange(-9, 1)),
    seeds: int = 5,
    noise: float = 0.005,
    seed_shift: float = 0.0,
    curvature: float = 0.03,
    rng: int = 0,
    budget: dict[str, int] | None = None,
) -> xr.Dataset:
    """Accuracy 0.8 - curvature (log2 η - log2 best_rate(α, B) - shift of the seed)² + noise of seed and cell.

    All noise is normal and drawn anew in every setting; a third of its variance belongs to the seed, shared by all
    learning rates.
    """
    axes = {"alpha": alpha, "batch_size": batch_size, "learning_rate": learning_rate, "seed": range(seeds)}
    cube = cubes.empty(axes, checkpoints=2)
    draw = np.random.default_rng(rng)
    per_seed = ("alpha", "batch_size", "seed")
    shape = tuple(cube.sizes[dim] for dim in per_seed)
    shift = seed_shift * xr.DataArray(draw.standard_normal(shape), dims=per_seed)
    offset = xr.DataArray(draw.standard_normal(shape), dims=per_seed)
    scatter = xr.DataArray(draw.standard_normal(cube["outcome"].shape), dims=cube["outcome"].dims)
    distance = np.log2(cube["learning_rate"]) - np.log2(best_rate(cube["alpha"], cube["batch_size"])) - shift
    accuracy = 0.8 - curvature * distance**2 + noise * (offset / np.sqrt(3) + scatter * np.sqrt(2 / 3))
    cube["test_accuracy"] = accuracy.transpose(*cube["outcome"].dims)
    return _finished(cube, {"steps": 500} if budget is None else budget)


def rising_cube(
    steps: Callable[[xr.DataArray, xr.DataArray, xr.DataArray], xr.DataArray],
    *,
    alpha: Sequence[float],
    batch_size: Sequence[int],
    learning_rate: Sequence[float],
    seeds: int,
    noise: float = 0.0,
    step: Sequence[int] = tuple(2 ** np.arange(15)),
    target: float = 0.7,
    rng: int = 0,
) -> xr.Dataset:
    """Accuracy rises linearly in ln(step), by 0.1 per e-fold from 0.1 to 0.95, and meets `target` at steps(α, B, η).

    Each run's steps are multiplied by exp(noise · normal).
    """
    axes = {"alpha": alpha, "batch_size": batch_size, "learning_rate": learning_rate, "seed": range(seeds)}
    cube = cubes.empty(axes, checkpoints=len(step))
    cube = cube.assign_coords(
        step=("checkpoint", list(step)), examples=cube["batch_size"] * xr.DataArray(list(step), dims="checkpoint")
    )
    draw = xr.DataArray(np.random.default_rng(rng).standard_normal(cube["outcome"].shape), dims=cube["outcome"].dims)
    crossing = np.log(steps(cube["alpha"], cube["batch_size"], cube["learning_rate"])) + noise * draw
    history = (target + 0.1 * (np.log(cube["step"]) - crossing)).clip(0.1, 0.95)
    cube["test_accuracy_history"] = history.transpose(*cube["outcome"].dims, "checkpoint").drop_vars(
        ["step", "examples"], errors="ignore"
    )
    cube["test_accuracy"] = cube["test_accuracy_history"].isel(checkpoint=-1, drop=True)
    return _finished(cube, {"steps": int(step[-1])})


def cube_of(
    accuracy: Callable[[xr.Dataset], xr.DataArray],
    *,
    noise: float = 0.0,
    seed_shift: float = 0.0,
    rng: int = 0,
    **axes: Sequence,
) -> xr.Dataset:
    """Accuracy as a function of the coordinates, plus normal noise of each cell and a shift of each seed."""
    plain: dict[str, Sequence] = {"alpha": (0.0,), "batch_size": (32,), "learning_rate": (0.1,), "seed": range(5)}
    cube = cubes.empty({**plain, **axes}, checkpoints=2)
    draw = np.random.default_rng(rng)
    scatter = noise * xr.DataArray(draw.standard_normal(cube["outcome"].shape), dims=cube["outcome"].dims)
    shift = seed_shift * xr.DataArray(draw.standard_normal(cube.sizes["seed"]), dims="seed")
    made = (accuracy(cube) + scatter + shift).drop_vars(cube.coords, errors="ignore")
    cube["test_accuracy"] = made.transpose(*cube["outcome"].dims)
    return _finished(cube, {"steps": 500})


def _finished(cube: xr.Dataset, budget: dict[str, int]) -> xr.Dataset:
    cube["outcome"] = xr.full_like(cube["outcome"], int(Outcome.FINISHED))
    cube.attrs["num_classes"] = 10
    train = {"optimizer": "sgd", "momentum": 0.0, "schedule": "constant", "budget": budget}
    cube.attrs["spec_resolved"] = json.dumps({"train": train})
    if "step" not in cube.coords:
        cube = cube.assign_coords(step=("checkpoint", [1, 500]))
    return cube
