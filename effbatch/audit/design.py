"""How the checked examples were drawn -> what each way of drawing must answer; the plain random sample among them."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from effbatch.audit.proportions import clopper_pearson
from effbatch.audit.sample import NoiseEstimate
from effbatch.audit.uniform_test import UniformTest, uniform_test

Counts = NDArray[np.int64]
Floats = NDArray[np.float64]


class Design(Protocol):
    """Counts and how they were drawn. Rows are checked (true) classes, columns given labels.

    counts        (K, K)
    n             (K,), what the limits of each row rest on
    transition    T̂, (K, K); NaN in rows of which nothing was found
    shares        (K,), of each true class in the data set, as far as the sample tells
    sample        noise rate and α
    facts         what else this design knows, by JSON key
    """

    counts: Counts
    n: NDArray[np.int64]
    transition: Floats
    shares: Floats
    sample: NoiseEstimate
    facts: dict[str, Any]

    def limits(self, confidence: float) -> tuple[Floats, Floats]:
        """Of each entry of T alone, (K, K) each."""

    def error(self, rng: np.random.Generator) -> Floats:
        """T̂ of a redrawn sample, less the T that it was redrawn from (smoothed: no entry is 0)."""

    def uniform(self, level: float, rng: np.random.Generator) -> UniformTest:
        """Whether uniform noise explains the counts."""


class RandomSample:
    """The checked examples are a random sample of the data set: T̂ has the row shares.

    images  (K, K), how many images each count stands for; 1 without
    """

    def __init__(self, counts: Counts, sample: NoiseEstimate, *, images: Floats | None = None) -> None:
        self.counts, self.sample = counts, sample
        self.facts: dict[str, Any] = {}
        self._images = counts if images is None else images
        self._rows = self._images.sum(1, keepdims=True)
        self.n = np.ceil(self._rows[:, 0] - 1e-9).astype(np.int64)
        self.shares = self._rows[:, 0] / self._rows.sum()
        with np.errstate(invalid="ignore"):
            self.transition = self._images / self._rows
        self._smooth = (self._images + 0.5) / (self._rows + 0.5 * len(counts))

    def limits(self, confidence: float) -> tuple[Floats, Floats]:
        """Clopper-Pearson's."""
        return clopper_pearson(self._images, self._rows, confidence)

    def error(self, rng: np.random.Generator) -> Floats:
        """Rows redrawn, each smoothed by half an image per label."""
        return rng.multinomial(self.n, self._smooth) / np.maximum(self.n, 1)[:, None] - self._smooth

    def uniform(self, level: float, rng: np.random.Generator) -> UniformTest:
        """By draws that keep the row sums and the number of wrong labels."""
        return uniform_test(self.counts, level, rng)
