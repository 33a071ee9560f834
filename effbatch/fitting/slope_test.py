"""Scores of seeds over log learning rates -> limits of the best one: the places that no test of the seeds rules out."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from effbatch.fitting.peak import window
from effbatch.fitting.student import student_quantile

Array = NDArray[np.float64]


def slope_limits(x: Array, scores: Array, location: Array, confidence: float) -> tuple[Array, Array]:
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
    t, may_be_best = student_quantile(n - 1, confidence), ~_surely_lower(scores, confidence)
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


def _surely_lower(scores: Array, confidence: float) -> NDArray[np.bool_]:
    """Whether the score of a grid point (settings, len(x)) is significantly below that of the best one."""
    points, n = scores.shape[1:]
    best = np.take_along_axis(scores, scores.mean(axis=2).argmax(axis=1)[:, None, None], axis=1)
    lost = best - scores
    t = student_quantile(n - 1, 1 - (1 - confidence) / points)
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
