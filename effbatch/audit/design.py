"""Counts of checked examples that are a random sample -> T̂, its limits and its error, whether noise is uniform."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from effbatch.audit.proportions import clopper_pearson
from effbatch.audit.sample import NoiseEstimate
from effbatch.audit.uniform_test import UniformTest, uniform_test

Counts = NDArray[np.int64]
Floats = NDArray[np.float64]


class RandomSample:
    """Counts of a random sample of the data set, (K, K), rows checked (true) class; T̂ has the row shares.

    `StratifiedSample` has the same members for another way of drawing:

    n             (K,), what the limits of each row rest on
    transition    T̂, (K, K); NaN in rows of which nothing was found
    shares        (K,), of each true class in the data set, as far as the sample tells
    sample        noise rate and α
    facts         what else this way of drawing knows, by JSON key
    """

    def __init__(self, counts: Counts, sample: NoiseEstimate) -> None:
        self.counts, self.sample = counts, sample
        self.facts: dict[str, Any] = {}
        self.n = counts.sum(1)
        self.shares = self.n / self.n.sum()
        with np.errstate(invalid="ignore"):
            self.transition = counts / self.n[:, None]
        self._smooth = (counts + 0.5) / (self.n[:, None] + 0.5 * len(counts))

    def limits(self, confidence: float) -> tuple[Floats, Floats]:
        """Of each entry of T alone, (K, K) each: Clopper-Pearson's."""
        return clopper_pearson(self.counts, self.n[:, None], confidence)

    def error(self, rng: np.random.Generator) -> Floats:
        """T̂ of a redrawn sample, less the T that it was redrawn from: smoothed by half a count, so that none is 0."""
        return rng.multinomial(self.n, self._smooth) / np.maximum(self.n, 1)[:, None] - self._smooth

    def uniform(self, level: float, rng: np.random.Generator) -> UniformTest:
        """By draws that keep the row sums and the number of wrong labels."""
        return uniform_test(self.counts, level, rng)
