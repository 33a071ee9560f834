"""A network and images -> the eigenvalues of what its last layer sees of them."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from effbatch.networks.per_image import Images, as_images
from effbatch.networks.untouched import untouched


@torch.no_grad()
def last_features(network: nn.Module, images: Images) -> NDArray[np.float64] | None:
    """Eigenvalues (W + 1,) of E[φφᵀ] over the images (n, ...), φ what the last `nn.Linear` takes, and a 1 for its bias.

    In training mode, all images as one batch, so that BatchNorm normalises by them. None where no such layer gives the
    logits. Weights, buffers, modes and random states stay.

    >>> torch.manual_seed(0); last_features(nn.Sequential(nn.Linear(1, 1)), torch.tensor([[1.0], [-1.0]])).round(6)
    <torch...>
    array([1., 1.])
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
