"""Squares of batch gradients, coordinate by coordinate -> the rate at which Adam is as noisy as SGD at its own.

Adam divides g_i by √v_i, v_i a running mean of g_i² over the last thousand steps or so: SGD at the rate η_A/√v_i of its
own in every coordinate, on the kernel J diag(v^−½) Jᵀ in place of J Jᵀ. Small steps of rate η add η tr θ/(2B) of label
noise to the modes that are learned, and under label noise a coordinate's share of tr θ is its share of E g_i². So both
optimisers end equally noisy, and on the way their losses fall equally by g² alone, where

    η_A Σ_i E g_i²/√v_i = η_S Σ_i E g_i²,    with v_i = q_i = E g_i²:    η_A Σ_i √q_i = η_S Σ_i q_i.

With q_i = S_0/(P B) in all P coordinates this is η_S √(S_0/(P B)). Coordinates are not equal: by Cauchy and Schwarz
Σ √q_i ≤ √(P Σ q_i), so that the simple formula is the least that this one can say. Where the mean gradient rules v,
large batches of clean labels, q_i → G_i² and Adam moves by signs: η_A = η_S ‖G‖²/‖G‖₁.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike


def adam_over_sgd(sgd_squares: ArrayLike, adam_squares: ArrayLike | None = None) -> float:
    """η_Adam/η_SGD = Σ q_i/Σ √q_i from mean squares q (P,) of batch gradients, each along its own optimiser's run.

    Without `adam_squares` those of SGD stand for both. SGD with momentum μ counts as η_SGD/(1 − μ).
    """
    ours = np.asarray(sgd_squares, float)
    theirs = ours if adam_squares is None else np.asarray(adam_squares, float)
    return float(ours.sum() / np.sqrt(theirs).sum())
