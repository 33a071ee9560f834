"""Arrays of trained units -> blocks with named dims -> the cube."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr

from effbatch.engine.members import Trained
from effbatch.plan import cube as cubes
from effbatch.plan.spec import Spec
from effbatch.plan.units import Unit


def to_block(unit: Unit, trained: Trained) -> xr.Dataset:
    """The arrays of one unit as a Dataset with dims (alpha, learning_rate, seed, checkpoint)."""
    cell = ("alpha", "learning_rate", "seed")
    block = xr.Dataset(
        coords={
            "alpha": list(unit.alphas),
            "learning_rate": list(unit.learning_rates),
            "seed": list(unit.seeds),
            "checkpoint": np.arange(len(unit.checkpoints)),
            "step": ("checkpoint", list(unit.checkpoints)),
        }
    )
    for name, values in trained.items():
        dims = (*cell, "checkpoint") if name.endswith("_history") else cell
        block[name] = (dims, values if name == "outcome" else values.astype(np.float32))
    return block


def assemble(spec: Spec, blocks: Sequence[tuple[Unit, xr.Dataset]]) -> xr.Dataset:
    """Put the blocks of all units into one cube; a learning rate that only some settings ran is NOT_RUN elsewhere.

    A run of fewer steps than others have evaluations has its last one in all the checkpoints behind it.
    """
    rates = sorted({rate for unit, _ in blocks for rate in unit.learning_rates})
    checkpoints = max(len(unit.checkpoints) for unit, _ in blocks)
    cube = cubes.empty({**spec.grid, "learning_rate": rates}, checkpoints, measured=spec.train.measure)
    step = xr.full_like(cube["test_loss_history"].isel(seed=0, learning_rate=0, drop=True), 0, dtype=np.int64)
    for unit, block in blocks:
        at = {**unit.point, "alpha": list(unit.alphas)}
        place = {**at, "learning_rate": list(unit.learning_rates), "seed": list(unit.seeds)}
        own = np.minimum(np.arange(checkpoints), len(unit.checkpoints) - 1)
        block = block.isel(checkpoint=own)
        for name in cube.data_vars:
            dims = (dim for dim in cube[name].dims if dim not in unit.point)
            cube[name].loc[place] = block[name].transpose(*dims).values
        step.loc[at] = np.asarray(unit.checkpoints)[own]
    examples = step * step["batch_size"]
    cube.coords["step"] = _compact(step).assign_attrs(long_name="optimiser steps at the evaluation", units="1")
    cube.coords["examples"] = _compact(examples).assign_attrs(
        long_name="labelled copies processed at the evaluation", units="1"
    )
    return cube


def _compact(values: xr.DataArray) -> xr.DataArray:
    """Drop the dims along which `values` does not change."""
    for dim in values.dims:
        if dim != "checkpoint" and bool((values == values.isel({dim: 0})).all()):
            values = values.isel({dim: 0}, drop=True)
    return values
