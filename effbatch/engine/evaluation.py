"""A test set -> accuracy and loss of all members, along the run on some of its images, at the end on all.

Besides, of one network, its loss at the best temperature: blind to how confident the network is.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from effbatch.data.dataset import DataSet
from effbatch.engine.ensembles import Ensemble
from effbatch.engine.images import Images
from effbatch.networks.evaluation_mode import evaluation_mode
from effbatch.plan.spec import Train

HISTORY_SEED = 0  # of the test images that histories are taken on
CHUNK = 500  # images per forward pass of one network
STEPS, LARGEST = 40, 2.0**10  # of a bisection on ln β, which ends at a width of 1e-11; β from 1/LARGEST to LARGEST


class Evaluation:
    """The test set on the device, `chunk` images of it seen at once.

    everything  indices of all its images
    along_run   of those that histories are taken on
    """

    def __init__(
        self, dataset: DataSet, train: Train, device: torch.device, *, chunk: int, channels_last: bool
    ) -> None:
        images = torch.as_tensor(dataset.x_test, device=device)
        self.images = Images(images, dataset.image_shape, channels_last=channels_last)
        self.labels = torch.as_tensor(dataset.y_test, device=device)
        first = history_images(train, dataset)
        self.everything = torch.as_tensor(evaluation_order(len(images), first), device=device)
        self.along_run = self.everything[:first]
        self.chunk = chunk

    @torch.no_grad()
    def scores(self, network: Ensemble, chosen: Tensor) -> tuple[Tensor, Tensor]:
        """Accuracy and mean cross-entropy on the images `chosen`, each (S, M)."""
        S, M = network.parameters[0].shape[:2]
        correct, loss = torch.zeros(2, S, M, device=chosen.device)
        for some in chosen.split(self.chunk):
            y = self.labels[some]
            log_p = network(self.images.batch(some), training=False).log_softmax(dim=2)
            correct += (log_p.max(dim=2).indices == y).sum(-1)
            loss -= log_p.gather(2, y.expand(*log_p.shape[:2], 1, -1)).sum((2, 3))
        return correct / len(chosen), loss / len(chosen)


def history_images(train: Train, dataset: DataSet) -> int:
    """Test images that histories are taken on."""
    images = len(dataset.x_test)
    return min(train.history_images or images, images)


def evaluation_order(images: int, first: int) -> np.ndarray:
    """Indices of all test images, `first` of them drawn to be the first."""
    drawn = np.random.Generator(np.random.PCG64(HISTORY_SEED)).permutation(images)
    return np.concatenate([np.sort(drawn[:first]), np.sort(drawn[first:])])


@torch.no_grad()
def calibrated_along(network: nn.Module, dataset: DataSet, **_: Any) -> dict[str, float]:
    """The variable of `cube.MEASURED["calibrated_loss"]` at the network's present weights, on all test images."""
    device = next(network.parameters()).device
    images = torch.as_tensor(dataset.x_test, device=device)
    with evaluation_mode(network):
        logits = torch.cat([network(some) for some in images.split(CHUNK)])
    return {"calibrated_loss": calibrated_loss(logits, torch.as_tensor(dataset.y_test, device=device))}


def calibrated_loss(logits: Tensor, labels: Tensor) -> float:
    """min over β ≥ 0 of the mean cross-entropy of β·logits (n, K) with labels (n,); at most ln K, that of β = 0.

    Temperature scaling (Guo et al. 2017, arXiv 1706.04599), β = 1/temperature. Convex in β, so found by bisection of
    its slope, the mean of Σ_k p_k z_k − z_label. NaN where a logit is not finite.

    >>> calibrated_loss(torch.tensor([[2.0, 0.0], [2.0, 0.0]]), torch.tensor([0, 1]))  # as often wrong as right
    0.6931471805599453
    """
    z = logits.double()
    z = z - z.mean(1, keepdim=True)
    of_label = z.gather(1, labels[:, None]).squeeze(1)

    def slope(beta: float) -> float:
        return float(((beta * z).softmax(1) * z).sum(1).sub(of_label).mean())

    low, high = 1 / LARGEST, LARGEST
    if not slope(0.0) < 0:
        low = high = 0.0
    for _ in range(STEPS if high else 0):
        middle = (low * high) ** 0.5
        low, high = (middle, high) if slope(middle) < 0 else (low, middle)
    return float(-(low * z).log_softmax(1).gather(1, labels[:, None]).mean()) if z.isfinite().all() else float("nan")
