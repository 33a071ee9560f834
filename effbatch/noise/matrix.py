"""α noisy labels per clean one, drawn from the rows of any matrix -> rates, signal, entropy and margins."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from effbatch.core.errors import InputError
from effbatch.noise import transition
from effbatch.noise.transition import expected_targets
from effbatch.noise.uniform import UniformNoise

_LEAST_CLEAN = 1e-9  # the least share of clean labels that a transition matrix is taken for


@dataclass(frozen=True, eq=False)
class MatrixNoise:
    """Labels of noisy copies drawn from the rows of any N: T = (I + α N)/(1 + α).

    alpha   noisy labels per clean label, finite and >= 0
    matrix  N, (K, K): rows = true class, columns = drawn label, each row with sum 1
    Numbers over classes are means with all classes equally frequent. With uniform N they are those of `UniformNoise`.
    Raises InputError outside these ranges.
    """

    alpha: float
    matrix: np.ndarray

    def __post_init__(self) -> None:
        object.__setattr__(self, "matrix", transition.checked_matrix(self.matrix))
        if np.ndim(self.alpha):
            raise InputError(f"alpha must be one number with a noise matrix, got {self.alpha}: make one for each")
        UniformNoise(self.alpha, self.num_classes)  # the same α is allowed

    @classmethod
    def from_transition(cls, matrix: ArrayLike) -> MatrixNoise:
        """The noise whose labels follow T = `matrix`, (K, K): as many of them clean as T allows, λ = min_c T_cc.

        Which share counts as clean is a convention; whatever follows from T alone does not depend on it. Where a class
        is never labelled right, λ = 1e-9, and T holds to that.
        """
        T = transition.checked_matrix(matrix)
        clean = max(float(np.diag(T).min()), _LEAST_CLEAN)
        if clean >= 1:
            return cls(0.0, T)
        noisy = np.maximum(T - clean * np.eye(len(T)), 0)
        return cls(1 / clean - 1, noisy / noisy.sum(1, keepdims=True))

    @property
    def num_classes(self) -> int:
        """K."""
        return len(self.matrix)

    @property
    def clean_probability(self) -> float:
        """P(label correct), the mean of T_cc."""
        return float(np.diag(self.transition_matrix()).mean())

    @property
    def noise_rate(self) -> float:
        """P(label wrong), the mean of 1 − T_cc."""
        return self.alpha / (1 + self.alpha) * float(1 - np.diag(self.matrix).mean())

    @property
    def signal(self) -> float:
        """Root-mean-square singular value of the centred T."""
        return float(transition.rms_signal(self._centred()))

    @property
    def signal_spectrum(self) -> np.ndarray:
        """Singular values of the centred T, descending, shape (K − 1,); the last is the weakest distinction."""
        return transition.signal_spectrum(self._centred())

    @property
    def least_signal(self) -> float:
        """The last of `signal_spectrum`: how much the labels tell of the weakest distinction."""
        return float(self.signal_spectrum[-1])

    @property
    def effective_alpha(self) -> float:
        """1/signal − 1: the α of uniform noise with the same root-mean-square signal; infinite without any."""
        # 1 − signal² by itself, as the difference of 1 and a signal near it would lose its digits: with C T = C − s D,
        # s = α/(1 + α) and D = C (I − N), ‖C T‖² = K − 1 − 2 s tr D + s² ‖D‖²
        share, lost = self.alpha / (1 + self.alpha), transition.centred(np.eye(self.num_classes) - self.matrix)
        missing = share * (2 * np.trace(lost) - share * (lost**2).sum()) / (self.num_classes - 1)
        # the signal is at most 1 but for rounding
        return max(0.0, float(missing / (self.signal * (1 + self.signal)))) if self.signal > 0 else np.inf

    @property
    def noise_to_signal(self) -> float:
        """(K − ‖T‖²)/‖C T‖²: variance of a label, as a unit vector, within its class over that between classes.

        For doubly stochastic T this is 1/signal² − 1; infinite without signal.
        """
        within = transition.variance_within(self.transition_matrix())
        between = (self.num_classes - 1) * self.signal**2
        return float(within / between) if between > 0 else np.inf

    @property
    def loss_floor(self) -> float:
        """Mean entropy of a label given its class, in nats: training loss below it is memorising."""
        return float(transition.loss_floor(self.transition_matrix()))

    @property
    def unlearnable(self) -> tuple[int, ...]:
        """The classes whose true label is not the likeliest: margin <= 0."""
        return transition.unlearnable(self.transition_matrix())

    def noise_matrix(self) -> np.ndarray:
        """N, shape (K, K)."""
        return self.matrix

    def transition_matrix(self) -> np.ndarray:
        """T = (I + α N)/(1 + α), shape (K, K)."""
        return expected_targets(self.alpha, self.matrix)

    def _centred(self) -> np.ndarray:
        """C T from its parts: at large α the entries of T hardly differ, and their rounding would be all of C T."""
        clean, noisy = (transition.centred(matrix) for matrix in (np.eye(self.num_classes), self.matrix))
        return (clean + self.alpha * noisy) / (1 + self.alpha)


Labels = UniformNoise | MatrixNoise
