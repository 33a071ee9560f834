"""A score on a grid of log learning rates -> where its maximum lies between the grid points, and how high."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

WINDOW = 1.0  # octaves on either side of the best grid point; half of it had up to 70 % more error on a √2 grid
CLIFF_RATIO, CLIFF_DROP = 8.0, 0.25

Array = NDArray[np.float64]


class Peak(NamedTuple):
    """Location and height of a maximum; `cliff` where the score falls off a cliff beside it (see `peak`)."""

    location: Array
    height: Array
    cliff: NDArray[np.bool_]


def peak(x: Array, scores: Array) -> Peak:
    """Location and height of the maximum of `scores` (..., len(x)) over increasing x = log2(learning rate).

    The vertex of the least-squares parabola through the points within one octave of the best grid point, its
    two neighbours always included. Where that parabola opens upwards or peaks outside its window (a plateau), the
    parabola through the best point and its neighbours, which always peaks near it. A maximum on the first or last
    grid point is no peak: its own x and score are returned.

    A parabola says nothing at a cliff, the edge of stability: there the grid point itself is returned. A cliff is
    where, one octave away, one side has lost 8 times what the other has, and a quarter of the curve's range. Where
    the points of one side end earlier, as on a grid refined around another point, both losses are taken as near as
    that.
    """
    best = scores.argmax(axis=-1)
    location, height = x[best], scores.max(axis=-1)
    cliff = np.zeros(best.shape, dtype=bool)
    for i in range(1, len(x) - 1):
        here = best == i
        near = window(x, i)
        wide = _vertex(x, scores[here], i, near)
        narrow = _vertex(x, scores[here], i, np.abs(np.arange(len(x)) - i) <= 1)
        falls = _falls(x, scores[here], i, near)
        at_vertex = np.where(np.isfinite(wide[0]), wide, narrow)
        location[here], height[here] = np.where(falls, (location[here], height[here]), at_vertex)
        cliff[here] = falls
    return Peak(location, height, cliff)


def window(x: Array, i: int) -> NDArray[np.bool_]:
    """The grid points that the parabola about x_i goes through: those within one octave, and its neighbours."""
    near = np.abs(x - x[i]) <= WINDOW + 1e-9
    near[max(i - 1, 0) : i + 2] = True
    return near


def _falls(x: Array, scores: Array, i: int, near: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Whether one end of the window lies below a cliff; scores are linear in x between grid points."""
    ends = x[near][[0, -1]]
    distance = np.abs(ends - x[i]).min()
    at_ends = [_linear(x, scores, place) for place in (x[i] - distance, x[i] + distance)]
    lost = scores[:, [i]] - np.stack(at_ends, axis=1)
    return (lost.max(1) > CLIFF_RATIO * lost.min(1)) & (lost.max(1) > CLIFF_DROP * np.ptp(scores, axis=1))


def _linear(x: Array, scores: Array, place: float) -> Array:
    """Scores (rows, len(x)) at a place within x."""
    right = int(np.searchsorted(x, place - 1e-9).clip(1, len(x) - 1))
    share = (place - x[right - 1]) / (x[right] - x[right - 1])
    return (1 - share) * scores[:, right - 1] + share * scores[:, right]


def _vertex(x: Array, scores: Array, i: int, near: NDArray[np.bool_]) -> Array:
    """Vertex (location, height) of the parabola through `near`; NaN where it has no maximum inside its window."""
    fit = np.linalg.pinv(np.vander(x[near] - x[i], 3))
    a, b, c = fit @ scores[:, near].T
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        shift = -b / (2 * a)
        height = c + b * shift / 2
    inside = (a < 0) & (x[near][0] <= x[i] + shift) & (x[i] + shift <= x[near][-1])
    return np.where(inside, np.stack([x[i] + shift, height]), np.nan)
