"""What the last layer sees of the images -> the rates beyond which a network that normalises is lost.

Weights in front of a layer that normalises are scale-invariant: the loss does not change with their norm, its gradient
is orthogonal to them, and every step of plain SGD adds η²|g|² to |w|². So their own rate η/|w|² tames itself, at any η
(van Laarhoven 2017, arXiv 1706.05350; Arora, Li & Lyu 2019, arXiv 1812.03981; Li, Lyu & Arora 2020, arXiv 2010.02916).
What is left is the last layer, with features φ of known size behind the last layer that normalises (with ReLU E φ² = ½
for each of W units, E φ = 1/√(2π)), and the gains and biases of that layer.

The last layer is linear: at uniform output its Gauss-Newton matrix is E[φφᵀ] ⊗ (I − 11ᵀ/K)/K, φ with a 1 for the bias.
Let h_k be the eigenvalues of E[φφᵀ], x_k = η h_k/K. A mode follows a_{t+1} = (1 + μ − x_k) a_t − μ a_{t−1} + noise. The
variance is that of an autoregression of order two, and the noise is that of `dynamics`, so that in the long run

    q_k = x_k (1+μ) / [B (1−μ) (2(1+μ) − x_k)]          S = Σ q_k/(1 − q_k)          Σ c = ξ(α) S/(1 − S)

Stable only for x_1 < 2(1+μ), that is η < 2(1+μ)/λ_max of Gauss-Newton, and S < 1. The alignment with labels known
without error is R = 1/√(1 + Σ c) and gives the accuracy.

Gains and biases θ pass features on that are homogeneous in them, as the output is in the last layer's weights W. So
both norms grow where steps do not fit. If all examples of a batch share the feature φ and the residual r, then

    Δ(|W|² + |θ|²) = −4η r·Wφ + η² (|g_W|² + |g_θ|²) ≥ η (η − 2/|r|) (|g_W|² + |g_θ|²)

with |g_W| = |r||φ| and |g_θ| ≥ |Wᵀr| over active units. A network that takes all of a balanced batch for one class has
|r|² = 1 − 1/K. So norms grow until the units die. Without gains and biases the last layer is a softmax regression on
bounded features, which no rate makes grow beyond all bounds.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from effbatch.core.errors import InputError
from effbatch.theory.detection import accuracy_from_alignment
from effbatch.theory.dynamics import cells_of

Floats = NDArray[np.float64]


def noise_of_last_layer(
    eigenvalues: ArrayLike, num_classes: int, batch_size: ArrayLike, learning_rate: ArrayLike, momentum: float = 0.0
) -> Floats:
    """S/(1 − S) above: energy of the noise in the logits, in units of ξ and of the target; ∞ where it is not stable.

    `eigenvalues` (n,) of E[φφᵀ], one rate and batch size per entry of their broadcast.
    """
    (_, B, effective), shape = cells_of(0.0, batch_size, learning_rate, 1, momentum)
    x = effective * (1 - momentum) * _checked(eigenvalues) / num_classes
    with np.errstate(divide="ignore", invalid="ignore"):
        q = x * (1 + momentum) / (B * (1 - momentum) * (2 * (1 + momentum) - x))
        total = np.where((x < 2 * (1 + momentum)) & (q < 1), q / (1 - q), np.inf).sum(-1)
        noise = np.where(total < 1, total / (1 - total), np.inf)
    return noise.reshape(shape)


def last_layer_cap(
    eigenvalues: ArrayLike, num_classes: int, alpha: ArrayLike, batch_size: ArrayLike, momentum: float = 0.0
) -> Floats:
    """The rate at which the last layer alone leaves half of what there is to gain over chance, by (alpha, batch_size).

    `eigenvalues` (n,) of E[φφᵀ] over the images, φ the input of the last layer with a 1 for its bias. With clean labels
    that is where it turns unstable. Raises InputError for values out of range.

    >>> round(float(last_layer_cap([8.0, 2.0], 10, 0.0, 1e9)), 3)  # one huge batch: 2 K/h_1
    2.5
    """
    a, B = np.broadcast_arrays(np.asarray(alpha, float), np.asarray(batch_size, float))
    low, high = np.full(a.shape, -60.0), np.full(a.shape, 60.0)
    low -= np.log2(_checked(eigenvalues).max())
    high -= np.log2(_checked(eigenvalues).max())
    for _ in range(60):
        middle = (low + high) / 2
        noise = noise_of_last_layer(eigenvalues, num_classes, B, 2.0**middle, momentum)
        with np.errstate(invalid="ignore"):
            energy = np.where(np.isinf(noise), np.inf, ((1 + a) ** 2 - 1) * noise)
        kept = accuracy_from_alignment(1 / np.sqrt(1 + energy), num_classes) >= (1 + 1 / num_classes) / 2
        low, high = np.where(kept, middle, low), np.where(kept, high, middle)
    return 2.0**low


def gains_cap(num_classes: int) -> float:
    """2/√(1 − 1/K): the rate of plain SGD from which gains, biases and last layer make each other grow without end.

    >>> round(gains_cap(10), 3)
    2.108
    """
    return 2 / float(np.sqrt(1 - 1 / num_classes))


def _checked(eigenvalues: ArrayLike) -> Floats:
    h = np.asarray(eigenvalues, float)
    if h.ndim != 1 or not len(h) or not np.isfinite(h).all() or h.min() < 0 or h.max() == 0:
        raise InputError(
            f"eigenvalues of the features need one dimension, finite values >= 0, not all zero, got shape {h.shape}: "
            "take those of the mean of φφᵀ"
        )
    return h
