"""Size of the weights, noise scale, α and B -> the rate beyond which noise moves a network faster than its signal.

Where noise rules a gradient, v_i = S_i/B, and Adam moves coordinate i by η√(B/S_i) (G_i + noise). The noise adds up to
a walk of η² a step, the signal to a drift of η√(B G_i²/S_i) = η/√n a step, n = S_i/(B G_i²). Let w be the size of the
weights, over which a gradient keeps its direction. The drift takes w√n/η steps to bring a weight back by w; in these
the walk has moved it by √(ηw√n). Both are equal, and what noise took cannot be brought back, where

    η = w/√n = w √(B/(1 + B_noise)),    1 + B_noise(α) = (1+α)² (1 + B_noise(0))

for coordinates that are alike, and uniform output. That is √B_eff of Malladi et al. (2022, arXiv 2205.10287) with a
factor. SGD moves by η(G_i + noise), and the same argument gives η√(P B/S) of it: η_Adam = η_SGD √(S/(P B)) as in
`adam_rate`. Momentum counts η/(1−μ). That numbers of order one are 1 is assumed, not derived.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray


def walk_cap(weight: float, noise_scale: float, alpha: ArrayLike, batch_size: ArrayLike) -> NDArray[np.float64]:
    """w √(B/(1 + B_noise(0)))/(1+α), a rate of Adam; broadcast over (alpha, batch_size).

    `weight` is the root mean square of the initial weights, `noise_scale` B_noise(0) of clean labels. For networks
    without normalisation.

    >>> float(walk_cap(0.1, 99, alpha=1, batch_size=100))
    0.05
    """
    return weight * np.sqrt(np.asarray(batch_size, float) / (1 + noise_scale)) / (1 + np.asarray(alpha, float))
