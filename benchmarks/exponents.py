"""A kernel spectrum, α, B and T -> how the best rate of a run moves with each: the exponents of a power law there.

The recursion of `dynamics` at small steps, x = eta~ = eta/K, with E_k = exp(−x h_k T) what is left of mode k:

    u = Σ e_k E_k           target not yet learned                     u₂ = Σ e_k E_k²
    z = (1+α)² Σ z_k E_k²   function at initialisation, not forgotten
    n = (x/2B) Σ h_k (1 − E_k²) (ξ + C)      noise learned with it; ξ = (1+α)² − 1, C the error of the images, 0 to 1

The alignment is R = (1 − u)/√(1 − 2u + u₂ + V), V = z + n. Where its logarithm is flat in ln x, a pull upwards balances
a push downwards (′ = d/d ln x):

    −u₂′ − 2u′ (u₂ − u)/(1 − u)  −  2u′ V/(1 − u)  −  z′  =  n′
    unlearned directions · standing out of the noise · forgetting  =  label noise

Let σ and ν be the slopes of pull and push, pull ∝ x^−σ, push ∝ x^ν; f the share of the pull that grows as (1+α)²
(forgetting, and standing out of what is not forgotten), j the share that is noise again (standing out of n), and
g = (1+α)²/(ξ + C). x enters as x/B, in n, and as xT, so that

    ∂ln η/∂ln B = (1−j)/(ν+σ)     ∂ln η/∂ln(1+α) = −2 [g (1−j) − f]/(ν+σ)     ∂ln η/∂ln T = ∂ln η/∂ln B − 1

√(B/(1+α)) is σ = ν = g = 1, f = ½, j = 0. At fixed examples n = BT the rate is linear in B, whatever the spectrum. For
power laws h_k ∝ k^−a, e_k ∝ k^−b, z_k ∝ k^−c, in the middle of the spectrum and with most of it learned, ν = 1, j = 0,
and σ lies between s = (b−1)/a (unlearned) and r = (c−1)/a (forgetting). Under heavy noise f → 1 − j and g → 1: the best
rate no longer depends on α.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from effbatch.theory.spectrum import Spectrum

Floats = NDArray[np.float64]

_OCTAVES = np.arange(-24.0, 0.0, 0.02)  # of eta below the stability edge 2K/h_1
_STEP = 0.02  # of ln x, for slopes


@dataclass(frozen=True)
class LocalExponents:
    """The best rate of a run, its powers there, and what they are made of; arrays broadcast over (alpha, B, T).

    rate        where pull and push balance; the edge where noise never catches up: `at_edge`, and all exponents 0
    batch, alpha, steps   powers of B, 1 + α and T
    sigma, nu   slopes of pull and push
    growing     f, the share of the pull that grows as (1+α)²
    standing    j, the share of the pull that is to stand out of the noise learned
    noise       g, how fast the noise grows with α: 1 under heavy noise
    """

    rate: Floats
    batch: Floats
    alpha: Floats
    steps: Floats
    sigma: Floats
    nu: Floats
    growing: Floats
    standing: Floats
    noise: Floats
    at_edge: NDArray[np.bool_]


def local_exponents(spectrum: Spectrum, alpha: ArrayLike, batch_size: ArrayLike, steps: ArrayLike) -> LocalExponents:
    """Exponents of the best rate at every (alpha, batch_size, steps), which broadcast; uniform noise, constant rate.

    The rate is at most 2K/h_1, where uniform output is no longer stable. Derived above, from the recursion of
    Bordelon & Pehlevan (2022, arXiv 2106.02713) at small steps.
    """
    a, B, T = np.broadcast_arrays(*(np.asarray(v, float) for v in (alpha, batch_size, steps)))
    K, top = spectrum.num_classes, 2 / float(spectrum.eigenvalues.max())
    cells = [_at(spectrum, *cell, top) for cell in zip(a.flat, B.flat, T.flat, strict=True)]
    columns = [np.array(column).reshape(a.shape) for column in zip(*cells, strict=True)]
    x, sigma, nu, growing, standing, noise, at_edge = columns
    inside = ~at_edge.astype(bool)
    with np.errstate(divide="ignore", invalid="ignore"):
        per_slope = np.where(inside, 1 / (nu + sigma), 0.0)
    still = np.where(inside, 1 - standing, 0.0)
    return LocalExponents(
        rate=K * x,
        batch=still * per_slope,
        alpha=np.where(inside, -2 * (noise * still - growing) * per_slope, 0.0),
        steps=np.where(inside, still * per_slope - 1, 0.0),
        sigma=sigma,
        nu=nu,
        growing=growing,
        standing=standing,
        noise=noise,
        at_edge=~inside,
    )


def _at(spectrum: Spectrum, alpha: float, batch: float, steps: float, top: float) -> tuple[float, ...]:
    """x, σ, ν, f, j, g of one cell, and whether the rate is at its edge."""
    x = top * 2**_OCTAVES
    pull, push, growing, standing, noise = _forces(spectrum, alpha, batch, steps, x)
    crossed = np.flatnonzero((pull[:-1] > push[:-1]) & (pull[1:] <= push[1:]))
    if not len(crossed):
        return top, np.nan, np.nan, np.nan, np.nan, np.nan, 1.0
    i = crossed[-1]  # below the first crossing nothing has been learned yet
    gap = np.log(pull[i : i + 2] / push[i : i + 2])
    best = x[i] * (x[i + 1] / x[i]) ** (gap[0] / (gap[0] - gap[1]))
    around = best * np.exp([-_STEP, 0, _STEP])
    pull, push, growing, standing, noise = _forces(spectrum, alpha, batch, steps, around)
    sigma, nu = (np.log(force[2] / force[0]) / (2 * _STEP) for force in (pull, push))
    return best, -sigma, nu, growing[1], standing[1], noise[1], 0.0


def _forces(
    spectrum: Spectrum, alpha: float, batch: float, steps: float, x: Floats
) -> tuple[Floats, Floats, Floats, Floats, Floats]:
    """Pull, push, the shares f and j of the pull, and g, at every x."""
    h, e, z = spectrum.eigenvalues, spectrum.target_energies, spectrum.initial_energies
    way = np.outer(x, h) * steps
    left = np.exp(-way)
    u2, initial = left**2 @ e, (1 + alpha) ** 2 * (left**2 @ z)
    moved, learned = -np.expm1(-way), -np.expm1(-2 * way)  # 1 − E_k, 1 − E_k²
    energy = (1 + alpha) ** 2 - 1 + u2  # ξ + C; C at the end of the run is what is not learned
    noise = x / (2 * batch) * (learned @ h) * energy
    stand = 2 * ((way * left) @ e) / (moved @ e)  # −2u′/(1 − u)
    unlearned = 2 * ((way * left**2) @ e) - stand * ((left * moved) @ e)
    forgetting = (1 + alpha) ** 2 * 2 * ((way * left**2) @ z) + stand * initial
    pull = unlearned + forgetting + stand * noise
    push = x / (2 * batch) * ((learned + 2 * way * left**2) @ h) * energy
    return pull, push, forgetting / pull, stand * noise / pull, (1 + alpha) ** 2 / energy
