"""Number of classes and momentum -> the rate from which a normalised network's gains and last layer grow without end.

Weights in front of a layer that normalises are scale-invariant: the loss does not change with their norm, its gradient
is orthogonal to them, and every step of plain SGD adds η²|g|² to |w|². So their own rate η/|w|² tames itself, at any η
(van Laarhoven 2017, arXiv 1706.05350; Arora, Li & Lyu 2019, arXiv 1812.03981; Li, Lyu & Arora 2020, arXiv 2010.02916).
Left are the last layer's weights W, and the gains and biases θ of the last layer that normalises. The output is
homogeneous in both, so both norms grow where steps do not fit. If all examples of a batch share the feature φ and the
residual r = p − e_y (or its mean), a step of plain SGD changes them by

    Δ(|W|² + |θ|²) = −4η r·Wφ + η² (|g_W|² + |g_θ|²),      |g_W| = |r||φ|,    |g_θ| ≥ |Wᵀr| over active units

and as r·Wφ ≤ |Wᵀr||φ| ≤ |g_θ||g_W|/|r| ≤ (|g_W|² + |g_θ|²)/(2|r|), it is at least η(η − 2/|r|)(|g_W|² + |g_θ|²): beyond
2/|r| no step fits. A network that takes all of a balanced batch for one class has |r|² = 1 − 1/K. It bounces from class
to class, norms grow by a factor every step, and the units die. Without gains and biases the last layer is a softmax
regression on features of bounded size, which no rate makes grow like this.
"""

from __future__ import annotations

from math import sqrt

from effbatch.core.errors import InputError


def gains_cap(num_classes: int, momentum: float = 0.0) -> float:
    """From there on norms of gains, biases and last layer grow: at every step of plain SGD, on average with momentum.

    2/√(1 − 1/K) · (1−μ)(1−μρ)/(1+μρ), ρ = −1/(K−1). For networks with ReLU and gains behind their last layer that
    normalises, clean labels. Raises InputError for fewer than two classes and momentum outside [0, 1).

    >>> round(gains_cap(10), 3), round(gains_cap(10, 0.9), 3)
    (2.108, 0.258)
    """
    if num_classes < 2:
        raise InputError(f"two classes or more are needed, got {num_classes}: give K")
    if not 0 <= momentum < 1:
        raise InputError(f"momentum needs a value in [0, 1), got {momentum:g}: give 0 for plain SGD")
    turned = momentum / (num_classes - 1)
    return 2 / sqrt(1 - 1 / num_classes) * (1 - momentum) * (1 + turned) / (1 - turned)
