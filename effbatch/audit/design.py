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
    """The checked examples are a random sample of the data set: T̂ has the row shares."""

    def __init__(self, counts: Counts, sample: NoiseEstimate) -> None:
        self.counts, self.sample, self.n = counts, sample, counts.sum(1)
        self.facts: dict[str, Any] = {}
        self.shares = self.n / self.n.sum()
        with np.errstate(invalid="ignore"):
            self.transition = counts / self.n[:, None]
        self._smooth = (counts + 0.5) / (self.n[:, None] + 0.5 * len(counts))

    def limits(self, confidence: float) -> tuple[Floats, Floats]:
        """Clopper-Pearson's."""
        return clopper_pearson(self.counts, self.n[:, None], confidence)

    def error(self, rng: np.random.Generator) -> Floats:
        """Rows redrawn, each smoothed by half a count per label."""
        return rng.multinomial(self.n, self._smooth) / self.n[:, None] - self._smooth

    def uniform(self, level: float, rng: np.random.Generator) -> UniformTest:
        """By draws that keep the row sums and the number of wrong labels."""
        return uniform_test(self.counts, level, rng)
