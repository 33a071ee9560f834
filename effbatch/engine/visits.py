"""Which image and which label each member sees at each step, from the seed alone.

Every pass over the clean images is a fresh random order, shared by all members of a seed whatever their α,
learning rate or optimiser (common random numbers); labels come from the counter-based streams of `noise.labels`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from effbatch.noise import labels
from effbatch.noise.given import TWINS
from effbatch.plan.spec import Data

_ORDER, _SUBSET = 1, 2


@lru_cache(maxsize=256)
def image_order(seed: int, visit_pass: int, examples: int) -> np.ndarray:
    """The order of the clean images in one pass: a permutation of range(examples)."""
    return np.random.Generator(np.random.PCG64([_ORDER, seed, visit_pass])).permutation(examples)


def image_subset(seed: int, examples: int, available: int) -> np.ndarray:
    """The images that `seed` trains on, drawn without replacement; all of them where examples = available."""
    if examples == available:
        return np.arange(available)
    return np.random.Generator(np.random.PCG64([_SUBSET, seed])).permutation(available)[:examples]


@dataclass(frozen=True)
class Visits:
    """A block of steps: `image` (steps, S, B) into the training set, `label` (steps, S, A, B) for A alphas.

    Foreign images are numbered on from the last of the training set.
    """

    image: Tensor
    label: Tensor


class Stream:
    """The visits of all seeds of a unit, a block of steps at a time, made on the device that trains.

    y_train         labels (n,) of the training set; for twins of the labels given, the clean ones
    noise_matrices  N of every α, (A, K, K), rows = true class; None: uniform
    foreign_images  how many images there are for foreign copies; which visit shows one depends on α, so that foreign
                    noise takes one α at a time (InputError)
    """

    def __init__(
        self,
        data: Data,
        y_train: Tensor,
        num_classes: int,
        *,
        alphas: Sequence[float],
        seeds: Sequence[int],
        batch_size: int,
        noise_matrices: np.ndarray | None = None,
        foreign_images: int = 0,
    ) -> None:
        device = y_train.device
        self.data, self.num_classes, self.batch_size, self.seeds = data, num_classes, batch_size, tuple(seeds)
        self.examples = data.clean_examples or len(y_train)
        self.y_train = y_train
        subsets = np.stack([image_subset(seed, self.examples, len(y_train)) for seed in seeds])
        self.subset = torch.as_tensor(subsets, device=device)
        self.seed = torch.tensor(self.seeds, device=device).view(1, -1, 1, 1)
        self.alpha = torch.tensor(alphas, dtype=torch.float64, device=device).view(1, 1, -1, 1)
        self.foreign_images = foreign_images
        self.cumulative = None  # of the rows of N, (A·K, K)
        if noise_matrices is not None:
            self.cumulative = torch.as_tensor(np.concatenate(noise_matrices).cumsum(1), device=device)
            self.first_row = num_classes * torch.arange(len(alphas), device=device).view(1, 1, -1, 1)

    def block(self, first: int, last: int) -> Visits:
        """Visits of the steps first … last − 1."""
        B, n = self.batch_size, self.examples
        start, stop = first * B, last * B
        orders = np.stack([self._positions(seed, start, stop) for seed in self.seeds], axis=1)
        device = self.y_train.device
        index = torch.as_tensor(orders, device=device)  # (steps·B, S)
        visit_pass = torch.arange(start, stop, device=device).div(n, rounding_mode="floor")
        steps = last - first
        index = index.view(steps, B, -1).transpose(1, 2)  # (steps, S, B)
        image = self.subset.gather(1, index.transpose(0, 1).flatten(1)).view(len(self.seeds), steps, B).transpose(0, 1)
        visit_pass = visit_pass.view(steps, 1, 1, B)
        label = self.labels(image, visit_pass)
        return Visits(self._shown(image, visit_pass) if self.data.noise == "foreign" else image, label)

    def _positions(self, seed: int, start: int, stop: int) -> np.ndarray:
        n = self.examples
        passes = range(start // n, (stop - 1) // n + 1)
        orders = np.concatenate([image_order(seed, p, n) for p in passes])
        return orders[start - passes[0] * n : stop - passes[0] * n]

    def labels(self, image: Tensor, visit_pass: Tensor) -> Tensor:
        """Labels (steps, S, A, B) of the images (steps, S, B); true labels where the targets are expectations."""
        image = image.unsqueeze(2)
        true = self.y_train[image]
        if self.data.copies == "expected":
            return true.expand(-1, -1, self.alpha.shape[2], -1)
        drawn_from: dict[str, Any] = {"num_classes": self.num_classes}
        if self.cumulative is not None:
            drawn_from = {"cumulative": self.cumulative, "row": self.first_row + true}
        if self.data.noise in TWINS:  # one copy of each image, so that its label is drawn once
            return labels.fixed_label(true, image, 1, self.seed, **drawn_from)
        if self.data.copies == "fixed":
            copy = labels.fixed_copy(self.alpha, visit_pass, image, self.seed)
            return labels.fixed_label(true, image, copy, self.seed, **drawn_from)
        return labels.fresh_label(true, image, visit_pass, self.alpha, self.seed, **drawn_from)

    def _shown(self, image: Tensor, visit_pass: Tensor) -> Tensor:
        """The images (steps, S, B), those of noisy visits replaced by foreign ones."""
        clean, available = image.unsqueeze(2), self.foreign_images
        if self.data.copies == "fixed":
            copy = labels.fixed_copy(self.alpha, visit_pass, clean, self.seed)
            noisy, foreign = copy > 0, labels.fixed_foreign(clean, copy, self.seed, available)
        else:
            noisy = labels.fresh_noisy(clean, visit_pass, self.alpha, self.seed)
            foreign = labels.fresh_foreign(clean, visit_pass, self.seed, available)
        return torch.where(noisy, len(self.y_train) + foreign, clean).squeeze(2)
