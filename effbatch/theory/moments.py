"""Five gradient numbers, measured once -> noise scale and effective batch size at every α.

Cross-entropy is linear in the label, so at fixed parameters the first and second moments of the gradient
of one labelled copy are mixtures of those with clean labels (index 0) and with labels drawn from N (index N):

    G_α = (G_0 + α G_N)/(1 + α),    S_α = (S_0 + α S_N)/(1 + α),    trΣ_α = S_α − ‖G_α‖².
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Self

import numpy as np

Array = Any  # float, NumPy array or DataArray: everything here broadcasts


@dataclass(frozen=True)
class GradientMoments:
    """First and second moments of the gradient of one labelled copy's loss, at fixed parameters.

    clean_norm_squared     ‖G_0‖²     mean gradient with clean labels
    clean_noisy_inner      G_0·G_N
    noisy_norm_squared     ‖G_N‖²     mean gradient with labels drawn from N
    clean_second_moment    S_0 = E‖g‖² with clean labels
    noisy_second_moment    S_N = E‖g‖² with labels drawn from N
    All in units of loss²/parameter². Unbiased estimates may make ‖G_α‖² zero or negative: what divides by
    it is then NaN, "cannot tell at this sample size"; nothing is clamped.
    """

    clean_norm_squared: Array
    clean_noisy_inner: Array
    noisy_norm_squared: Array
    clean_second_moment: Array
    noisy_second_moment: Array

    @classmethod
    def at_uniform_output(cls, clean_noise_scale: Array) -> Self:
        """Moments, in units of ‖G_0‖², where the network answers 1/K for every class and N is uniform.

        There G_N = 0 and S_N = S_0, hence B_noise(α) + 1 = (1 + α)² (B_noise(0) + 1).
        """
        second = clean_noise_scale + 1
        return cls(1.0, 0.0, 0.0, second, second)

    def with_clean_labels(self, alpha: Array) -> Self:
        """The five numbers with clean labels, where index 0 of these stands for labels of uniform noise alpha.

            G_0 = (1 + α) G_α − α G_N,      S_0 = (1 + α) S_α − α S_N

        Only uniform N: it draws the same labels whatever the true class is, which is not known here.
        """
        a, b = 1 + alpha, alpha
        return type(self)(
            a * a * self.clean_norm_squared - 2 * a * b * self.clean_noisy_inner + b * b * self.noisy_norm_squared,
            a * self.clean_noisy_inner - b * self.noisy_norm_squared,
            self.noisy_norm_squared,
            a * self.clean_second_moment - b * self.noisy_second_moment,
            self.noisy_second_moment,
        )

    def mean_norm_squared(self, alpha: Array) -> Array:
        """‖G_α‖² = (‖G_0‖² + 2α G_0·G_N + α² ‖G_N‖²)/(1 + α)²."""
        a = alpha
        mixed = self.clean_norm_squared + 2 * a * self.clean_noisy_inner + a * a * self.noisy_norm_squared
        return mixed / ((1 + a) * (1 + a))

    def second_moment(self, alpha: Array) -> Array:
        """S_α = (S_0 + α S_N)/(1 + α)."""
        return (self.clean_second_moment + alpha * self.noisy_second_moment) / (1 + alpha)

    def covariance_trace(self, alpha: Array) -> Array:
        """trΣ_α = S_α − ‖G_α‖²: the variance of one copy's gradient, summed over parameters."""
        return self.second_moment(alpha) - self.mean_norm_squared(alpha)

    def noise_scale(self, alpha: Array) -> Array:
        """B_noise(α) = trΣ_α/‖G_α‖², in labelled copies (McCandlish et al., 2018, arXiv 1812.06162)."""
        return self.covariance_trace(alpha) / _positive_or_nan(self.mean_norm_squared(alpha))

    def effective_batch_size(self, alpha: Array, batch_size: Array) -> Array:
        """B_eff = B · B_noise(0)/B_noise(α): the clean batch with the same gradient signal-to-noise ratio."""
        return batch_size * (self.noise_scale(0.0) / _positive_or_nan(self.noise_scale(alpha)))


@dataclass(frozen=True)
class CoupledMoments(GradientMoments):
    """The same of images that change each other's gradients within a batch (BatchNorm), for batches of one size.

    What the network computes does not depend on the labels, so the gradient of a batch is linear in them as well, and
    G_α mixes as ever. Its variance within and between batches does not: with every label clean with probability λ =
    1/(1+α), independently, E‖g_batch‖² is a polynomial of degree 2 in λ, and

        S_α = λ S_0 + (1 − λ) S_N + λ (1 − λ) X.

    coupling    X, zero where no image changes another's gradient
    """

    coupling: Array

    def of_copies(self, batch_size: int) -> Self:
        """Per labelled copy, where these are the numbers of whole batches: trΣ of a copy is B times that of a batch.

        S_copy = B S − (B − 1) ‖G‖²,      X_copy = B X + (B − 1) ‖G_0 − G_N‖²
        """
        B, norm, inner, noisy = batch_size, self.clean_norm_squared, self.clean_noisy_inner, self.noisy_norm_squared
        return type(self)(
            norm,
            inner,
            noisy,
            B * self.clean_second_moment - (B - 1) * norm,
            B * self.noisy_second_moment - (B - 1) * noisy,
            B * self.coupling + (B - 1) * (norm - 2 * inner + noisy),
        )

    def with_clean_labels(self, alpha: Array) -> Self:
        """As of `GradientMoments`: S_λ at λ = 1 + α of these; X counts (1 + α)²."""
        a = 1 + alpha
        five = GradientMoments(*(getattr(self, field.name) for field in fields(GradientMoments)))
        clean = five.with_clean_labels(alpha)
        return type(self)(
            clean.clean_norm_squared,
            clean.clean_noisy_inner,
            clean.noisy_norm_squared,
            clean.clean_second_moment - a * alpha * self.coupling,
            clean.noisy_second_moment,
            a * a * self.coupling,
        )

    def second_moment(self, alpha: Array) -> Array:
        """S_α = (S_0 + α S_N)/(1 + α) + α X/(1 + α)²."""
        return super().second_moment(alpha) + alpha * self.coupling / ((1 + alpha) * (1 + alpha))


def _positive_or_nan(x: Array) -> Array:
    """x where it is positive, else NaN; written with one ufunc so that a DataArray keeps its dimensions."""
    positive = x > 0
    with np.errstate(invalid="ignore"):
        return x * np.divide(positive, positive)
