"""Setup -> the linearised theory's prediction over the whole grid, made from the untrained networks."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product
from typing import Any

import numpy as np
import xarray as xr

from effbatch.claims.base import Setup
from effbatch.claims.shared.stored import to_json
from effbatch.core.errors import SpecError
from effbatch.noise import MatrixNoise
from effbatch.noise.given import GIVEN
from effbatch.theory.dynamics import best_learning_rate, learning_curve
from effbatch.theory.losses import slope_and_curvature, with_start
from effbatch.theory.schedules import multipliers

SEEDS = 5  # of untrained networks, whose best rates scatter
# where the theory has something to say; an option that is not named has this value
PLAIN = {"optimizer": "sgd", "weight_decay": 0, "copies": "fresh", "clip": None}
PLAIN_LOSS = {"loss": "cross_entropy", "label_smoothing": 0}  # of accuracies; of rates see `log2_best_rates`


def surface(setup: Setup) -> xr.Dataset:
    """Predicted `accuracy` of every (alpha, batch_size, learning_rate) and predicted `best_learning_rate`.

    Both are NaN where the optimiser is not SGD (with or without momentum, Nesterov's too), weights decay, the loss is
    not cross-entropy, labels are smoothed, not drawn afresh at every visit or came with the data, or gradients are
    clipped: the theory has nothing to say there.
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
    for matrix, members in _by_matrix(setup, point, alphas) if _applies(options, PLAIN | PLAIN_LOSS) else ():
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


def log2_best_rates(setup: Setup) -> xr.DataArray:
    """log2 of the predicted best learning rate, mean of five seeds, the loss taken at uniform output (`theory.losses`).

    Dims: alpha, batch_size and the extra keys of the grid. SpecError where the theory has nothing to say: as `surface`,
    but for the loss, and only for uniform noise.
    """
    grid = {key: list(values) for key, values in setup.grid.items() if key not in ("learning_rate", "seed")}
    found = xr.DataArray(np.full([len(values) for values in grid.values()], np.nan), coords=grid, dims=list(grid))
    for point in setup.points:
        options = setup.settings(point)
        if not _applies(options, PLAIN) or any(setup.noise_matrix(point, a) is not None for a in grid["alpha"]):
            raise SpecError(
                "[claim] exponent needs to be a number where the linearised theory is silent: it knows SGD without "
                "weight decay or clipping, and fresh uniform noise; got another training. Give a number"
            )
        spectra = [setup.spectrum(point, seed=seed) for seed in setup.grid["seed"][:SEEDS]]
        for alpha, B in product(grid["alpha"], grid["batch_size"]):
            steps, smoothing = setup.steps(point, alpha, int(B)), options.get("label_smoothing", 0.0)
            factors, momentum = multipliers(options["schedule"], steps, warmup=options["warmup"]), options["momentum"]
            g, c = slope_and_curvature(
                options.get("loss", "cross_entropy"), alpha, spectra[0].num_classes, label_smoothing=smoothing
            )
            rates = [
                best_learning_rate(with_start(one, c / g), alpha, B, steps, schedule=factors, momentum=momentum)
                for one in spectra
            ]
            found.loc[{**point, "alpha": alpha, "batch_size": B}] = np.log2(rates).mean() - np.log2(c)
    return found


def _applies(options: Mapping[str, Any], plain: Mapping[str, Any]) -> bool:
    of_theory = all(options.get(name, value) == value for name, value in plain.items())
    return of_theory and options.get("noise") not in GIVEN


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
