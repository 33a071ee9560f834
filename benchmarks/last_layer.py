"""What the last layer sees of the images -> the rate at which it would be lost alone; refuted, kept as predicted.

The last layer is linear: at uniform output its Gauss-Newton matrix is E[φφᵀ] ⊗ (I − 11ᵀ/K)/K, φ with a 1 for the bias.
Let h_k be the eigenvalues of E[φφᵀ], x_k = η h_k/K. A mode follows a_{t+1} = (1 + μ − x_k) a_t − μ a_{t−1} + noise. The
variance is that of an autoregression of order two, and the noise is that of `dynamics`, so that in the long run

    q_k = x_k (1+μ) / [B (1−μ) (2(1+μ) − x_k)]          S = Σ q_k/(1 − q_k)          Σ c = ξ(α) S/(1 − S)

Stable only for x_1 < 2(1+μ), that is η < 2(1+μ)/λ_max of Gauss-Newton, and S < 1. The alignment with labels known
without error is R = 1/√(1 + Σ c) and gives the accuracy.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from effbatch.networks.per_image import Images, as_images
from effbatch.networks.untouched import untouched
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
    x = effective * (1 - momentum) * np.asarray(eigenvalues, float) / num_classes
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
    that is where it turns unstable.
    """
    a, B = np.broadcast_arrays(np.asarray(alpha, float), np.asarray(batch_size, float))
    low, high = np.full(a.shape, -30.0), np.full(a.shape, 30.0)
    for _ in range(60):
        middle = (low + high) / 2
        noise = noise_of_last_layer(eigenvalues, num_classes, B, 2.0**middle, momentum)
        with np.errstate(invalid="ignore"):
            energy = np.where(np.isinf(noise), np.inf, ((1 + a) ** 2 - 1) * noise)
        kept = accuracy_from_alignment(1 / np.sqrt(1 + energy), num_classes) >= (1 + 1 / num_classes) / 2
        low, high = np.where(kept, middle, low), np.where(kept, high, middle)
    return 2.0**low


@torch.no_grad()
def last_features(network: nn.Module, images: Images) -> NDArray[np.float64] | None:
    """Eigenvalues (W + 1,) of E[φφᵀ] over the images (n, ...), φ what the last `nn.Linear` takes, and a 1 for its bias.

    In training mode, all images as one batch, so that BatchNorm normalises by them. None where no such layer gives the
    logits. Weights, buffers, modes and random states stay.
    """
    seen: list[tuple[nn.Linear, Tensor, Tensor]] = []
    layers = [one for one in network.modules() if type(one) is nn.Linear]
    handles = [one.register_forward_hook(lambda *of: seen.append((of[0], of[1][0], of[2]))) for one in layers]
    try:
        with untouched(network, training=True):
            logits = network(as_images(network, images))
    finally:
        for handle in handles:
            handle.remove()
    if not seen or not isinstance(logits, Tensor) or seen[-1][2] is not logits or logits.ndim != 2:
        return None
    layer, features, _ = seen[-1]
    phi = features.double().cpu().numpy()
    if layer.bias is not None:
        phi = np.column_stack([phi, np.ones(len(phi))])
    return np.clip(np.linalg.eigvalsh(phi.T @ phi / len(phi)), 0, None)
