"""Setup -> the linearised theory's prediction over the whole grid, made from the untrained networks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr

from effbatch.claims.base import Setup
from effbatch.claims.shared.stored import to_json
from effbatch.noise import MatrixNoise
from effbatch.noise.given import GIVEN
from effbatch.theory.dynamics import best_learning_rate, learning_curve
from effbatch.theory.schedules import multipliers

# where the theory has something to say; an option that is not named has this value
PLAIN = {"optimizer": "sgd", "weight_decay": 0, "copies": "fresh", "label_smoothing": 0, "clip": None}


def surface(setup: Setup) -> xr.Dataset:
    """Predicted `accuracy` of every (alpha, batch_size, learning_rate) and predicted `best_learning_rate`.

    Both are NaN where the optimiser is not SGD (with or without momentum, Nesterov's too), weights decay, labels are
    smoothed, not drawn afresh at every visit or came with the data, or gradients are clipped: the theory has nothing
    to say there.
    `unlearnable`, of every alpha: classes whose true label is not the likeliest one (margin of T at most 0). Dims:
    alpha, batch_size, learning_rate and the extra keys of the grid; no seed, the theory gives the mean.
    """
    pieces = []
    for point in setup.points:
        piece = _at_point(setup, point)
        pieces.append(piece.expand_dims({key: [value] for key, value in point.items()}))
    whole = xr.combine_by_coords(pieces) if len(pieces) > 1 else pieces[0]
    extras = setup.points[0]
    return whole.reindex({key: list(setup.grid[key]) for key in extras})  # type: ignore[return-value]


def _at_point(setup: Setup, point: Mapping[str, Any]) -> xr.Dataset:
    alphas, batches, rates = (np.asarray(setup.grid[key], float) for key in ("alpha", "batch_size", "learning_rate"))
    options = setup.settings(point)
    accuracy = np.full((len(alphas), len(batches), len(rates)), np.nan)
    best = np.full((len(alphas), len(batches)), np.nan)
    steps = np.array([[setup.steps(point, a, int(b)) for b in batches] for a in alphas])
    applies = all(options.get(name, value) == value for name, value in PLAIN.items())
    applies &= options.get("noise") not in GIVEN
    for matrix, members in _by_matrix(setup, point, alphas) if applies else ():
        for count in np.unique(steps[members]):
            spectrum = setup.spectrum(point)
            factors = multipliers(options["schedule"], int(count), warmup=options["warmup"])
            how = {"schedule": factors, "momentum": options["momentum"], "noise_matrix": matrix}
            i, j = np.nonzero((steps == count) & members[:, None])
            a, b = alphas[i], batches[j]
            accuracy[i, j] = learning_curve(spectrum, a[:, None], b[:, None], rates, int(count), **how).accuracy
            best[i, j] = best_learning_rate(spectrum, a, b, int(count), **how)
    return xr.Dataset(
        {
            "accuracy": (("alpha", "batch_size", "learning_rate"), accuracy),
            "best_learning_rate": (("alpha", "batch_size"), best),
            "unlearnable": ("alpha", [_unlearnable(setup.noise_matrix(point, alpha), alpha) for alpha in alphas]),
        },
        coords={"alpha": alphas, "batch_size": np.asarray(setup.grid["batch_size"]), "learning_rate": rates},
    )


def _unlearnable(matrix: np.ndarray | None, alpha: float) -> float:
    return 0.0 if matrix is None else float(len(MatrixNoise(alpha, matrix).unlearnable))


def _by_matrix(
    setup: Setup, point: Mapping[str, Any], alphas: np.ndarray
) -> list[tuple[np.ndarray | None, np.ndarray]]:
    """Each noise matrix and which alphas have it, as a mask: all where noise is uniform, else a matrix for each."""
    matrices = [setup.noise_matrix(point, alpha) for alpha in alphas]
    if all(matrix is None for matrix in matrices):
        return [(None, np.ones(len(alphas), dtype=bool))]
    return [(matrix, alphas == alpha) for matrix, alpha in zip(matrices, alphas, strict=True)]


def prediction(setup: Setup) -> dict[str, Any]:
    """The surface as an entry of a prediction; `stored.theory` reads it."""
    return {"linearised": to_json(surface(setup))}
