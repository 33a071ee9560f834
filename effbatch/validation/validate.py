"""Specs -> cubes with a prediction in each that is older than its first trained network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import xarray as xr

from effbatch.claims import claim_of
from effbatch.plan import cube

if TYPE_CHECKING:
    from effbatch.plan.spec import Spec
    from effbatch.sweep.runner import Progress
    from effbatch.sweep.workers import Workers


def validate(
    specs: Sequence[Spec],
    out: Path,
    *,
    device: str = "auto",
    progress: Progress | None = None,
    workers: Workers | None = None,
) -> dict[str, xr.Dataset]:
    """Predict, store, train and assemble: the cubes by simulation name, also written to out/cube.nc.

    All predictions are stored before the first network trains. Each simulation has its own folder in `out`, so a
    run that was stopped goes on where it was. `workers` train the units, by default this process on `device`.
    """
    from effbatch.sweep import runner
    from effbatch.validation.setup import setup_of

    claims = [claim_of(spec.claim, spec.name) for spec in specs]
    specs = [replace(spec, claim=claim.rule) for spec, claim in zip(specs, claims, strict=True)]
    for spec, claim in zip(specs, claims, strict=True):
        predict = partial(claim.predict, setup_of(spec))
        runner.predict_first(spec, out / spec.name, predict, device=device, workers=workers)
    cubes = {
        spec.name: runner.simulate(spec, out / spec.name, device=device, progress=progress, workers=workers)
        for spec in specs
    }
    cube.save(cubes, out / "cube.nc")
    return cubes
