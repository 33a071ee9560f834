"""Labels that came with a data set, and the clean ones -> their transition matrix and α, and the matrices of twins."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from effbatch.noise.uniform import UniformNoise, alpha_from_noise_rate

SAME_MATRIX, SAME_RATE = TWINS = ("same_matrix", "same_rate")
GIVEN = ("given", *TWINS)  # kinds of noise with one label for each image, which never changes


@dataclass(frozen=True, eq=False)
class GivenLabels:
    """What is wrong with labels whose clean ones are known.

    noise_rate  ρ, the share of wrong labels
    matrix      T (K, K), rows = clean label, columns = given label; a class without images has clean labels
    """

    noise_rate: float
    matrix: NDArray[np.float64]

    @classmethod
    def of(cls, given: ArrayLike, clean: ArrayLike, num_classes: int) -> GivenLabels:
        """From the labels (n,) given and the clean ones (n,), both from 0 to K − 1.

        >>> labels = GivenLabels.of(given=[0, 1, 1, 1], clean=[0, 0, 1, 1], num_classes=2)
        >>> labels.matrix.tolist()
        [[0.5, 0.5], [0.0, 1.0]]
        >>> labels.noise_rate, labels.alpha  # uniform noise has α/(1 + α)/2 of its labels wrong
        (0.25, 1.0)
        """
        given, clean = np.asarray(given), np.asarray(clean)
        counts = np.zeros((num_classes, num_classes))
        np.add.at(counts, (clean, given), 1)
        images = counts.sum(1, keepdims=True)
        matrix = np.where(images > 0, counts / np.maximum(images, 1), np.eye(num_classes))
        return cls(float((given != clean).mean()), matrix)

    @property
    def alpha(self) -> float | None:
        """α of uniform noise with as many labels wrong; None where that many leave no signal."""
        K = len(self.matrix)
        return float(alpha_from_noise_rate(self.noise_rate, K)) if self.noise_rate < (K - 1) / K else None

    def twin(self, kind: str) -> NDArray[np.float64]:
        """The transition matrix of labels as wrong as these: `same_matrix`, or uniform noise of the `same_rate`."""
        if kind == SAME_MATRIX:
            return self.matrix
        K = len(self.matrix)
        return UniformNoise(alpha_from_noise_rate(self.noise_rate, K), K).transition_matrix()
