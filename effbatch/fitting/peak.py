"""A score on a grid of log learning rates -> where its maximum lies between the grid points, and how high."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

WINDOW = 1.0  # octaves on either side of the best grid point; half of it had up to 70 % more error on a √2 grid

Array = NDArray[np.float64]


def peak(x: Array, scores: Array) -> tuple[Array, Array]:
    """Location and height of the maximum of `scores` (..., len(x)) over increasing x = log2(learning rate).

    The vertex of the least-squares parabola through the points within one octave of the best grid point, its
    two neighbours always included. Where that parabola opens upwards or peaks outside its window (a cliff, a
    plateau), the parabola through the best point and its neighbours, which always peaks near it. A maximum on
    the first or last grid point is no peak: its own x and score are returned.
    """
    best = scores.argmax(axis=-1)
    location, height = x[best], scores.max(axis=-1)
    for i in range(1, len(x) - 1):
        here = best == i
        at_vertex = np.stack(_vertex(x, scores[here], i, WINDOW))
        narrow = np.stack(_vertex(x, scores[here], i, 0.0))
        location[here], height[here] = np.where(np.isfinite(at_vertex[0]), at_vertex, narrow)
    return location, height


def _vertex(x: Array, scores: Array, i: int, window: float) -> tuple[Array, Array]:
    """Vertex of the parabola around x[i]; NaN where it has no maximum inside its window."""
    near = np.abs(x - x[i]) <= window + 1e-9
    near[i - 1 : i + 2] = True
    fit = np.linalg.pinv(np.vander(x[near] - x[i], 3))
    a, b, c = fit @ scores[:, near].T
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        shift = -b / (2 * a)
        height = c + b * shift / 2
    inside = (a < 0) & (x[near][0] <= x[i] + shift) & (x[i] + shift <= x[near][-1])
    return np.where(inside, x[i] + shift, np.nan), np.where(inside, height, np.nan)
