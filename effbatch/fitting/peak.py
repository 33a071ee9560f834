"""A score on a grid of log learning rates -> where its maximum lies between the grid points, and how surely."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from effbatch.fitting.student import CONFIDENCE, student_quantile

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


def slope_limits(x: Array, scores: Array, location: Array) -> tuple[Array, Array]:
    """Confidence limits (settings,) of the peaks at `location`, over increasing x = log2(learning rate).

    scores   (settings, len(x), seeds), two seeds at least

    At m, the slope of the parabola through the window of the grid point x_i nearest to m (see `peak`) is
    z_s = b_s + 2 a_s (m − x_i): a weighted sum of the scores of seed s, zero in expectation where m is the peak. So
    Student's t over seeds tests m, exactly for normal scores about a parabola, wherever the peak lies between the
    points: Fieller's (1954) limits of −b/2a, window by window. A window whose grid point has a score surely below
    the best one's is left out (t of paired differences, Bonferroni over the points; Hsu, 1984). The limits are the
    first and the last m that remain; x[0] or x[-1] where nothing rules out the edge.
    """
    n, last = scores.shape[2], len(x) - 1
    low, high = location.copy(), location.copy()
    if last < 1:
        return low, high
    t, may_be_best = student_quantile(n - 1), ~_surely_lower(scores)
    degree = min(2, last)  # a line where there are two points
    centres = range(1, last) if last > 1 else range(1)
    for i in centres:
        near = window(x, i)
        fit = np.linalg.pinv(np.vander(x[near] - x[i], degree + 1))[:degree]
        parts = np.zeros((2, len(scores), n))  # 2 a_s and b_s
        parts[-degree:] = np.einsum("kr,grs->kgs", fit, scores[:, near])
        parts[0] *= 2
        start = x[0] if i == centres[0] else (x[i - 1] + x[i]) / 2
        end = x[-1] if i == centres[-1] else (x[i] + x[i + 1]) / 2
        first, final, some = _not_ruled_out(parts, t, start - x[i], end - x[i])
        some &= may_be_best[:, (start <= x) & (x <= end)].any(axis=1)
        low = np.where(some, np.minimum(low, x[i] + first), low)
        high = np.where(some, np.maximum(high, x[i] + final), high)
    return low, high


def _surely_lower(scores: Array) -> NDArray[np.bool_]:
    """Whether the score of a grid point (settings, len(x)) is significantly below that of the best one."""
    points, n = scores.shape[1:]
    best = np.take_along_axis(scores, scores.mean(axis=2).argmax(axis=1)[:, None, None], axis=1)
    lost = best - scores
    t = student_quantile(n - 1, 1 - (1 - CONFIDENCE) / points)
    return lost.mean(axis=2) > t * lost.std(axis=2, ddof=1) / np.sqrt(n)


def _not_ruled_out(parts: Array, t: float, start: float, end: float) -> tuple[Array, Array, NDArray[np.bool_]]:
    """First and last u in [start, end] with |mean z| <= t SE(z), z_s = u c_s + b_s, and whether there is one.

    parts   c and b, (2, settings, seeds)
    These u solve p u² + 2 q u + r <= 0, which lies between its roots for p > 0, beyond them for p < 0.
    """
    n = parts.shape[2]
    c, b = parts.mean(axis=2)
    own = parts - parts.mean(axis=2, keepdims=True)
    V_cc, V_cb, V_bb = ((own[i] * own[j]).sum(axis=1) / (n - 1) / n for i, j in ((0, 0), (0, 1), (1, 1)))
    p, q, r = c * c - t * t * V_cc, c * b - t * t * V_cb, b * b - t * t * V_bb
    discriminant = q * q - p * r  # never below zero for p > 0, but for rounding: −b/c solves it
    root = np.sqrt(discriminant.clip(0))
    with np.errstate(divide="ignore", invalid="ignore"):
        roots = np.sort(np.stack([(-q - root) / p, (-q + root) / p]), axis=0)
    inside = p > 0
    everywhere = np.where(p < 0, discriminant < 0, r <= 0)  # p = 0: the score is a line
    at_start, at_end = (everywhere | ((u <= roots[0]) | (u >= roots[1])) for u in (start, end))
    first = np.where(inside, np.maximum(roots[0], start), np.where(at_start, start, roots[1]))
    final = np.where(inside, np.minimum(roots[1], end), np.where(at_end, end, roots[0]))
    some = np.where(p == 0, everywhere, first <= final)
    return first, final, some
