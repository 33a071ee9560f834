"""The name of a source -> open-set ("foreign") images for noisy copies to show, behind the clean ones."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

import numpy as np

from effbatch.core.errors import InputError
from effbatch.data import datasets
from effbatch.data.dataset import DataSet

if TYPE_CHECKING:
    import torch
    from torch import Tensor

WHITE = "white"
TAPE = 2**22  # numbers
TAPE_SEED = 20170530


def images_to_show(source: str | None, dataset: DataSet, device: torch.device) -> tuple[Tensor | ShownImages, int]:
    """The images that the visits of `visits.Stream` number, and how many of them are foreign; none without `source`."""
    import torch

    clean = torch.as_tensor(dataset.x_train, device=device)
    if source is None:
        return clean, 0
    foreign = foreign_images(source, dataset, device)
    return ShownImages(clean, foreign), len(foreign)


def foreign_images(source: str, dataset: DataSet, device: torch.device | None = None) -> Tensor:
    """The images (P, C, H, W) that noisy copies are drawn from; labels are not looked at.

    source  "white": Gaussian white noise with the mean and variance of all training pixels of `dataset`; or the name
            of a data set: its training images, standardised as every built-in set is, to mean 0 and variance 1.
            `dataset` itself is allowed: its own images under random labels.
    Raises InputError for an unknown source, and for images of another shape.
    """
    import torch

    shape = dataset.image_shape
    if source == WHITE:
        return _white_noise(shape, float(dataset.x_train.mean()), float(dataset.x_train.std()), device)
    if source == dataset.name:
        return torch.as_tensor(dataset.x_train, device=device)
    other = datasets.load(source)
    if other.image_shape != shape:
        raise InputError(
            f"foreign images must have the shape {shape} of {dataset.name}, got {other.image_shape} "
            f"from {source}: choose another source, or {WHITE!r}",
            source=source,
        )
    return torch.as_tensor(other.x_train, device=device)


class ShownImages:
    """The clean images, then the foreign ones: indexed together, without copying either.

    An index below the number of clean images is one of these.
    """

    def __init__(self, clean: Tensor, foreign: Tensor) -> None:
        self.clean, self.foreign = clean, foreign

    def __getitem__(self, index: Tensor) -> Tensor:
        n = len(self.clean)
        is_foreign = (index >= n).view(*index.shape, 1, 1, 1)
        return self.foreign[(index - n).clamp_min(0)].where(is_foreign, self.clean[index.clamp_max(n - 1)])


def _white_noise(shape: tuple[int, ...], mean: float, deviation: float, device: torch.device | None) -> Tensor:
    """Every stretch of a long tape of normal numbers as an image, shape (P, C, H, W) with P about 4 million.

    The tape of 16 MB is the same in every run (the noise table of Salimans et al. 2017, arXiv 1703.03864). Pixels
    within an image are independent, and so are images that do not overlap; those that do are shifted against each
    other and uncorrelated.
    """
    import torch

    tape = np.random.Generator(np.random.PCG64(TAPE_SEED)).standard_normal(TAPE, dtype=np.float32)
    stretches = torch.as_tensor(mean + deviation * tape, device=device).unfold(0, prod(shape), 1)
    return stretches.unflatten(1, shape)  # a view: nothing is copied
