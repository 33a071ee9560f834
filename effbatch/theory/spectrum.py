"""What the linearised theory knows of an untrained network: its kernel on the images, mode by mode.

Units are those of the clean target e_c − 1/K, scaled to unit energy: see `dynamics`, which computes with it.
"""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass

import numpy as np
from numpy.typing import NDArray

from effbatch.core.errors import InputError

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class HeldOut:
    """What the linearised network knows of held-out images, mode by mode.

    modes       (n_test, n_modes)  phi_k(x) = sum_i theta(x, x_i) phi_k(x_i) / (n h_k), the Nyström extension
    indicators  (n_modes, K)       p_kc, the mean of phi_k(x) [x is of class c]; p_kc² sums over k to the share of c
    initial     (n_modes, K)       coefficients of the initial function, in the units of `target`; |.|² = z_k
    start       (n_test, K)        the initial function itself at the held-out images, same units
    labels      (n_test,)          the true classes

    Training moves the held-out function by sum_k phi_k(x) (g_k(T) - g_k(0)), where g_k are its coefficients on
    the training images, so `start` is forgotten only as far as the modes reach.
    """

    modes: Floats
    indicators: Floats
    initial: Floats
    start: Floats
    labels: NDArray[np.int64]

    @property
    def target(self) -> Floats:
        """d_k, the coefficients (n_modes, K) of the clean target, scaled to unit energy; |d_k|² = e_k."""
        return self.target_of(np.eye(self.indicators.shape[1]))

    def target_of(self, matrix: NDArray[np.floating]) -> Floats:
        """s p_k (M - 11ᵀ/K), the coefficients (n_modes, K) of labels drawn from row c of M at images of class c."""
        classes = len(matrix)
        return self.indicators @ (matrix - 1 / classes) / np.sqrt(1 - 1 / classes)


@dataclass(frozen=True)
class Spectrum:
    """The kernel at initialisation, seen through its eigenfunctions phi_k with mean square 1 over the images.

    eigenvalues       (n_modes,) h_k of theta over the data: those of the Gram matrix divided by n, descending
    target_energies   (n_modes,) e_k >= 0 with sum 1, of the labels e_c - 1/K scaled by 1/sqrt(1 - 1/K)
    initial_energies  (n_modes,) z_k >= 0, of the centred initial logits divided by K, same scale
    num_classes       K
    examples          images that the kernel was taken on
    held_out          held-out images for the accuracy per image; None leaves the accuracy from the alignment,
                      for uniform noise only
    foreign           (n_modes,) omega_k, the mean of phi_k² over the foreign images that noisy copies show; None:
                      they show the clean image
    inputs            (n_modes,) w_k, the energy of the images themselves along each mode, Σ w_k = mean |x|²: the shape
                      in which kernels move (`moving`); None where it was not taken
    """

    eigenvalues: Floats
    target_energies: Floats
    initial_energies: Floats
    _: KW_ONLY
    num_classes: int
    examples: int
    held_out: HeldOut | None = None
    foreign: Floats | None = None
    inputs: Floats | None = None

    def __post_init__(self) -> None:
        h, e, z = self.eigenvalues, self.target_energies, self.initial_energies
        if not (h.ndim == 1 and h.shape == e.shape == z.shape and len(h) > 0):
            raise InputError(
                "a spectrum needs one eigenvalue, target energy and initial energy per mode, "
                f"got shapes {h.shape}, {e.shape}, {z.shape}: give three arrays of one length"
            )
        if min(h.min(), e.min(), z.min()) < 0 or h.max() == 0 or not np.isclose(e.sum(), 1):
            raise InputError(
                "a spectrum needs eigenvalues and energies >= 0, not all zero, and target energies of sum 1, "
                f"got a least value of {min(h.min(), e.min(), z.min()):.3g} and a sum of {e.sum():.6g}: "
                "drop eigenvalues below rounding and scale the target"
            )

    @property
    def trace(self) -> float:
        """tr theta = sum_k h_k, the mean of theta(x, x) over the images."""
        return float(self.eigenvalues.sum())
