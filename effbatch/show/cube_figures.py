"""A cube and its stored prediction -> figures beyond those of its claim: accuracy over rates, best rates and laws."""

from __future__ import annotations

import json

import numpy as np
import xarray as xr

from effbatch.claims.shared import linearised
from effbatch.core.figures import Figure
from effbatch.fitting import best_learning_rates
from effbatch.fitting.figures import accuracy_map, extra_dims, rates_and_laws
from effbatch.plan.cube import resolved_spec

LEAST = 4  # noise levels, and learning rates, that make a map
MOST_PANELS = 3  # of a kind, side by side


def figures(cube: xr.Dataset) -> list[Figure]:
    """The figures that this cube has the data for; none where the linearised theory said nothing before the run."""
    resolved = resolved_spec(cube)
    stored = json.loads(cube.attrs["predictions"])["prediction"].get("linearised")
    panels = int(np.prod([cube.sizes[dim] for dim in extra_dims(cube)], dtype=int))
    if stored is None or panels > MOST_PANELS or min(cube.sizes["alpha"], cube.sizes["learning_rate"]) < LEAST:
        return []
    predicted = linearised.from_json(stored)["best_learning_rate"]
    if not bool(predicted.notnull().any()):
        return []
    name = resolved["simulation"]["name"]
    best = best_learning_rates(cube)
    made = [accuracy_map(f"accuracy_map_{name}", cube, best, predicted)]
    if resolved["claim"]["kind"] == "best_learning_rate" and cube.sizes["batch_size"] > 1:
        rates = rates_and_laws(f"best_rate_and_laws_{name}", best, predicted)
        made += [rates] if rates.panels else []
    return made
