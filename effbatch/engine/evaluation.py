"""A test set -> accuracy and loss of all members, along the run on some of its images, at the end on all."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from effbatch.data.dataset import DataSet
from effbatch.engine.ensembles import Ensemble
from effbatch.engine.images import Images
from effbatch.plan.spec import Train

HISTORY_SEED = 0  # of the test images that histories are taken on


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
