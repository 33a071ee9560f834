"""The Hessian, divided as an optimiser divides gradients -> the rate at which it would be unstable.

SGD at rate η is stable where the largest eigenvalue of the Hessian H is below 2/η. Adam is SGD with momentum β₁ on
P^−½ H P^−½, P the root of v, stable below 2(1 + β₁)/((1 − β₁)η) = 38/η (Cohen et al. 2022, arXiv 2207.14484).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from scipy.sparse.linalg import LinearOperator, eigsh
from theory_adam import mean_loss
from torch import Tensor, nn

BETA_1, EPSILON = 0.9, 1e-8


def adam_edge(top: float) -> float:
    """2(1 + β₁)/((1 − β₁) λ): the rate at which Adam is unstable where P⁻¹H has the largest eigenvalue λ."""
    return 2 * (1 + BETA_1) / ((1 - BETA_1) * top)


def top_eigenvalue(network: nn.Module, x: Tensor, y: Tensor, squares: np.ndarray) -> float:
    """λ of P^−½ H P^−½: H of the loss on (x, y), P the root of `squares` (parameters,) and Adam's ε."""
    weights = list(network.parameters())
    scale = torch.as_tensor((np.sqrt(squares) + EPSILON) ** -0.5).float()
    gradient = torch.autograd.grad(mean_loss(network, x, y), weights, create_graph=True)

    def turned(vector: np.ndarray) -> np.ndarray:
        along = scale * torch.as_tensor(vector).float().flatten()
        curved = torch.autograd.grad(gradient, weights, _shaped(along, weights), retain_graph=True)
        return (scale * _flat(curved)).double().numpy()

    whole = LinearOperator((len(scale), len(scale)), matvec=turned, dtype=float)
    start = np.random.default_rng(0).standard_normal(len(scale))
    return float(eigsh(whole, 1, which="LA", v0=start, tol=1e-3, return_eigenvectors=False)[0])


def _shaped(vector: Tensor, weights: Sequence[Tensor]) -> list[Tensor]:
    parts = vector.split([w.numel() for w in weights])
    return [part.view_as(w) for part, w in zip(parts, weights, strict=True)]


def _flat(tensors: Sequence[Tensor]) -> Tensor:
    return torch.cat([t.detach().flatten() for t in tensors])
