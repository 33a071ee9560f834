"""Held-out scores of runs at a few learning rates -> how likely it is that the best rate lies here or there.

What runs learn about the held-out labels, the gain g = H − loss with H the entropy of those labels, rises and falls
with log2 η like a bump:

    g(x) = A exp(−(x − μ)²/2w²)      ln w ~ N(ln 2.25 octaves, 0.35²)      A ~ N(A₀, (0.3 A₀)²),  A₀ the largest gain

Few labels, most of them wrong, tell gains apart badly. Two networks whose predictions differ by a Kullback-Leibler
divergence of A have log-likelihoods on one example that differ with a variance of about 2A, so that n held-out examples
measure a gain with a variance ∝ A/n. It is taken as κ² A/n for every seed: κ, the scatter between seeds, is observed,
and what all seeds share, as they are scored on the same examples, is left out. Bumps are off by a tenth of A.
"""

from __future__ import annotations

from math import log

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

WIDTH, WIDTH_SPREAD = 2.25, 0.35  # w in octaves, and the standard deviation of ln w
KAPPA = 0.6
MISFIT = 0.1  # of A: what no bump can follow
AMPLITUDE = 0.3  # standard deviation of A/A₀
NORMAL = np.linspace(-2.4, 2.4, 13)  # abscissae at which a normal prior is summed, in standard deviations


def likelihood(octaves: Floats, gains: Floats, *, held_out: int, seeds: int, grid: Floats) -> Floats:
    """Log-likelihood that the bump peaks at each point of `grid` (octaves), up to a constant.

    octaves, gains  (rates,) log2 of the learning rates, and what runs there learned, in nats, mean over seeds
    """
    largest = max(float(gains.max()), 1 / held_out)
    variance = KAPPA**2 * largest / (held_out * seeds) + (MISFIT * largest) ** 2
    prior = (AMPLITUDE * largest) ** 2
    total = np.full(len(grid), -np.inf)
    for z in NORMAL:
        width = np.exp(log(WIDTH) + WIDTH_SPREAD * z)
        bump = np.exp(-(((octaves[:, None] - grid) / width) ** 2) / 2)  # (rates, grid)
        precision = (bump**2).sum(0) / variance + 1 / prior
        amplitude = ((bump * gains[:, None]).sum(0) / variance + largest / prior) / precision
        squares = ((gains[:, None] - amplitude * bump) ** 2).sum(0) / variance + (amplitude - largest) ** 2 / prior
        total = np.logaddexp(total, -(squares + np.log(precision) + z**2) / 2)
    return np.asarray(total - total.max())
