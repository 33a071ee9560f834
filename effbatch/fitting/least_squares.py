"""A model with its derivatives and many starting points -> the least-squares fit from each, all side by side."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Model = Callable[[Array], tuple[Array, Array]]

_ITERATIONS = 200
_TOLERANCE = 1e-10  # relative change of the sum of squares


def least_squares(model: Model, measured: Array, starts: Array, weights: Array | None = None) -> tuple[Array, Array]:
    """Parameters (rows, parameters) that minimise Σ w (measured − model)² from each row of `starts`, and that sum.

    model      parameters (rows, parameters) -> values (rows, cells) and derivatives (rows, cells, parameters)
    measured   (rows, cells) or (cells,)
    weights    (rows, cells), how much every cell counts in every row, 0 to leave it out; 1 each where not given

    The method of Levenberg (1944) and Marquardt (1963).
    """
    weight = np.ones((1, 1)) if weights is None else weights
    rows = max(len(starts), len(np.atleast_2d(measured)), len(weight))
    theta = np.broadcast_to(starts, (rows, starts.shape[1])).copy()
    damping = np.full(rows, 1e-2)
    value, slope = model(theta)
    residual = measured - value
    squares = (weight * residual**2).sum(axis=1)
    for _ in range(_ITERATIONS):
        weighted = slope * np.broadcast_to(weight, residual.shape)[..., None]
        normal = np.einsum("rcp,rcq->rpq", weighted, slope)
        scale = np.einsum("rpp->rp", normal) + 1e-12
        damped = normal + np.einsum("rp,pq->rpq", damping[:, None] * scale, np.eye(theta.shape[1]))
        gradient = np.einsum("rcp,rc->rp", weighted, residual)
        trial = theta + np.linalg.solve(damped, gradient[..., None])[..., 0]
        value, trial_slope = model(trial)
        trial_residual = measured - value
        trial_squares = (weight * trial_residual**2).sum(axis=1)
        better = trial_squares < squares
        settled = np.abs(trial_squares - squares) <= _TOLERANCE * (squares + _TOLERANCE)
        theta[better], residual[better] = trial[better], trial_residual[better]
        slope[better], squares[better] = trial_slope[better], trial_squares[better]
        damping = np.clip(np.where(better, damping / 5, damping * 5), 1e-12, 1e12)
        if settled.all():
            break
    return theta, squares
