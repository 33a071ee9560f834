"""A test set -> accuracy and loss of all members, along the run on some of its images, at the end on all.

Along the run, if asked for, also the loss at the best temperature, blind to how confident a network is, and how many
wrong labels of training images the members repeat.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from effbatch.core.errors import InputError
from effbatch.data.dataset import DataSet
from effbatch.engine.ensembles import Ensemble
from effbatch.engine.images import Images
from effbatch.engine.visits import Stream
from effbatch.plan.spec import Train

WRONG_LABELS = 500  # of them, at most, each seed looks at the same ones at every checkpoint
HISTORY_SEED = 0  # of the test images that histories are taken on
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
    def scores(self, network: Ensemble, chosen: Tensor, *, calibrated: bool = False) -> dict[str, Tensor]:
        """Test accuracy and mean cross-entropy on the images `chosen`, each (S, M), perhaps the calibrated one too."""
        S, M = network.parameters[0].shape[:2]
        correct, loss = torch.zeros(2, S, M, device=chosen.device)
        kept = []
        for some in chosen.split(self.chunk):
            y = self.labels[some]
            logits = network(self.images.batch(some), training=False)
            log_p = logits.log_softmax(dim=2)
            correct += (log_p.max(dim=2).indices == y).sum(-1)
            loss -= log_p.gather(2, y.expand(*log_p.shape[:2], 1, -1)).sum((2, 3))
            kept += [logits.clone()] * calibrated  # a dense network overwrites them with the next as many
        found = {"test_accuracy": correct / len(chosen), "test_loss": loss / len(chosen)}
        if calibrated:
            found["calibrated_loss"] = calibrated_loss(torch.cat(kept, 3), self.labels[chosen])
        return found


class WrongLabels:
    """Wrongly labelled images that each seed trains on: `image`, `label` and which of them are `wrong`, all (S, n).

    A seed with fewer than another is filled up with images that do not count. InputError where one has none.
    """

    def __init__(self, stream: Stream, clean_labels: Tensor) -> None:
        label = stream.labels(stream.subset[None], torch.zeros_like(stream.subset)[None, :, None])[0, :, 0]
        wrong = label != clean_labels[stream.subset]
        if not wrong.any(1).all():
            raise InputError(
                '[train] measure = ["memorised"] needs wrong labels among the training images of every seed, got none: '
                "leave it out, or take more clean_examples"
            )
        wrong_first = wrong.byte().argsort(dim=1, descending=True, stable=True)
        chosen = wrong_first[:, : min(WRONG_LABELS, int(wrong.sum(1).max()))]
        self.image, self.label, self.wrong = (values.gather(1, chosen) for values in (stream.subset, label, wrong))

    @torch.no_grad()
    def repeated(self, network: Ensemble, images: Images, chunk: int) -> Tensor:
        """The share of them to which each member gives the wrong label that they have, (S, M)."""
        repeated = torch.zeros(network.parameters[0].shape[:2], device=self.label.device)
        for image, label, wrong in zip(*(v.split(chunk, 1) for v in (self.image, self.label, self.wrong)), strict=True):
            logits = network(images.batch(image.T.flatten(), len(image)), training=False)
            repeated += ((logits.max(dim=2).indices == label[:, None]) & wrong[:, None]).sum(-1)
        return repeated / self.wrong.sum(1, keepdim=True)


def history_images(train: Train, dataset: DataSet) -> int:
    """Test images that histories are taken on."""
    images = len(dataset.x_test)
    return min(train.history_images or images, images)


def evaluation_order(images: int, first: int) -> np.ndarray:
    """Indices of all test images, `first` of them drawn to be the first."""
    drawn = np.random.Generator(np.random.PCG64(HISTORY_SEED)).permutation(images)
    return np.concatenate([np.sort(drawn[:first]), np.sort(drawn[first:])])


def calibrated_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """min over β ≥ 0 of the mean cross-entropy of β·logits (..., K, n) with labels (n,); at most ln K, that of β = 0.

    Temperature scaling (Guo et al. 2017, arXiv 1706.04599), β = 1/temperature. Convex in β, so found by bisection of
    its slope, the mean of Σ_k p_k z_k − z_label. NaN where a logit is not finite.

    >>> calibrated_loss(torch.tensor([[2.0, 2.0], [0.0, 0.0]]), torch.tensor([0, 1])).item()  # as often wrong as right
    0.6931471805599453
    """
    z = logits.double()
    z = z - z.mean(-2, keepdim=True)
    label = labels.expand(*z.shape[:-2], 1, -1)
    of_label = z.gather(-2, label).squeeze(-2).mean(-1)

    def rising(beta: Tensor) -> Tensor:
        p = (beta[..., None, None] * z).softmax(-2)
        return (p * z).sum(-2).mean(-1) >= of_label

    low, high = torch.full_like(of_label, 1 / LARGEST), torch.full_like(of_label, LARGEST)
    for _ in range(STEPS):
        middle = (low * high).sqrt()
        beyond = rising(middle)
        low, high = torch.where(beyond, low, middle), torch.where(beyond, middle, high)
    beta = low.masked_fill(rising(torch.zeros_like(low)), 0)
    loss = -(beta[..., None, None] * z).log_softmax(-2).gather(-2, label).mean((-2, -1))
    return loss.masked_fill(~z.isfinite().all(-1).all(-1), torch.nan)
