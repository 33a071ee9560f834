"""α noisy labels per clean one, drawn uniformly over all classes -> rates, signal, entropy and matrices."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from effbatch.core.errors import InputError
from effbatch.noise.transition import expected_targets

Array = Any  # a float, a NumPy array or a DataArray


@dataclass(frozen=True)
class UniformNoise:
    """Labels drawn uniformly over all K classes, the true one included: N = 11ᵀ/K, T = λ I + (1 − λ) 11ᵀ/K.

    alpha        noisy labels per clean label, finite and >= 0, not necessarily whole; an array broadcasts
    num_classes  K >= 2
    Raises InputError outside these ranges. The noise model of Rolnick et al. (2017, arXiv 1705.10694).
    """

    alpha: Array
    num_classes: int

    def __post_init__(self) -> None:
        if not np.all(np.isfinite(self.alpha)) or np.any(np.less(self.alpha, 0)):
            raise InputError(
                f"alpha must be a finite number >= 0 of noisy labels per clean label, got {self.alpha}: "
                "give 0 for clean labels",
                alpha=self.alpha,
            )
        _check_num_classes(self.num_classes)

    @property
    def signal(self) -> Array:
        """λ = 1/(1 + α), the share of clean labels."""
        return 1 / (1 + self.alpha)

    @property
    def clean_probability(self) -> Array:
        """P(label correct) = (1 + α/K)/(1 + α)."""
        return (1 + self.alpha / self.num_classes) / (1 + self.alpha)

    @property
    def noise_rate(self) -> Array:
        """ρ = P(label wrong) = α (K − 1)/(K (1 + α))."""
        K = self.num_classes
        return self.alpha * ((K - 1) / K) / (1 + self.alpha)

    @property
    def noise_to_signal(self) -> Array:
        """ξ = 1/λ² − 1 = α (2 + α): label noise against signal, as energies, in one labelled copy."""
        return self.alpha * (2 + self.alpha)

    @property
    def loss_floor(self) -> Array:
        """Entropy of a label in nats, −P_c ln P_c − (K−1) P_w ln P_w: training loss below it is memorising."""
        K = self.num_classes
        # Two log1p keep all digits at both ends: P_c -> 1 (small α) and P_c -> 1/K (large α).
        minus_log_clean = np.log1p(self.alpha) - np.log1p(self.alpha / K)
        wrong = self.noise_rate / (K - 1)
        log_wrong = np.log(wrong + (wrong == 0))  # 0 ln 0 = 0
        return self.clean_probability * minus_log_clean - self.noise_rate * log_wrong

    @property
    def effective_alpha(self) -> Array:
        """α itself: the laws were derived for this noise."""
        return self.alpha

    @property
    def least_signal(self) -> Array:
        """λ: labels tell of every distinction alike."""
        return self.signal

    @property
    def unlearnable(self) -> tuple[int, ...]:
        """No class: the true label is the likeliest at every finite α."""
        return ()

    def noise_matrix(self) -> np.ndarray:
        """N = 11ᵀ/K, shape (K, K)."""
        return np.full((self.num_classes, self.num_classes), 1 / self.num_classes)

    def transition_matrix(self) -> np.ndarray:
        """T = λ I + (1 − λ) 11ᵀ/K, shape (*alpha.shape, K, K)."""
        return expected_targets(self.alpha, self.noise_matrix())


def alpha_from_noise_rate(noise_rate: Array, num_classes: int) -> Array:
    """α of uniform noise with wrong-label rate ρ: α = 1/λ − 1, λ = 1 − ρK/(K − 1); InputError unless λ > 0."""
    _check_num_classes(num_classes)
    K = num_classes
    limit = (K - 1) / K
    left = K * (1 - noise_rate) - 1  # (K − 1) λ; near the limit 1 − ρ is exact, where (K − 1)/K is rounded
    if not (np.all(np.greater_equal(noise_rate, 0)) and np.all(np.greater(left, 0))):
        percent = np.ndim(noise_rate) == 0 and 1 < noise_rate <= 100
        todo = f"write {noise_rate / 100:g} for {noise_rate:g} %" if percent else "give the share of wrong labels"
        raise InputError(
            f"the noise rate needs to be at least 0 and below (K − 1)/K = {limit:.6g}, from which on labels of {K} "
            f"classes carry no signal, got {noise_rate}: {todo}",
            noise_rate=noise_rate,
            limit=limit,
        )
    return K * noise_rate / left


def _check_num_classes(num_classes: int) -> None:
    if not float(num_classes).is_integer() or num_classes < 2:
        raise InputError(
            f"the number of classes must be a whole number from 2 on, got {num_classes}: count them",
            num_classes=num_classes,
        )
