"""Steps to a target against (α, B) -> the hyperbola S = S_min (1+α)^ζ (1 + B_0 (1+α)^δ / B), by least squares."""

from __future__ import annotations

import numpy as np

from effbatch.fitting.least_squares import Array, least_squares

_OWN_SHARE = 1e-3  # least part of the derivative along δ that the other parameters must not be able to mimic


def fit_hyperbola(alpha: Array, batch_size: Array, log_steps: Array, starts: Array) -> tuple[Array, Array]:
    """Parameters and sums of squares of the fits to each row of `log_steps` (rows, cells) from each row of `starts`.

    Parameters are the first of (ln S_min, ln B_0, δ, ζ), as many as `starts` has columns, the others 0. Minimises
    the sum of squared residuals of ln S, all rows side by side. Source of the form in B: McCandlish et al. 2018
    (arXiv 1812.06162), eq. 2.11.
    """
    return least_squares(lambda theta: hyperbola(theta, alpha, batch_size), log_steps, starts)


def hyperbola(theta: Array, alpha: Array, batch_size: Array) -> tuple[Array, Array]:
    """ln S (rows, cells) at every row of parameters, and its derivatives (rows, cells, parameters)."""
    noise, batch = np.log1p(alpha), np.log(batch_size)
    fixed = np.zeros((len(theta), 4 - theta.shape[1]))
    smallest, clean, delta, zeta = np.hstack([theta, fixed]).T[..., None]
    excess = clean + delta * noise - batch  # ln(B_crit / B)
    share = np.exp(-np.logaddexp(0, -excess))
    derivatives = [np.ones_like(share), share, share * noise, np.broadcast_to(noise, share.shape)]
    value = smallest + zeta * noise + np.logaddexp(0, excess)
    return value, np.stack(derivatives[: theta.shape[1]], axis=-1)


def many_starts(batch_size: Array, log_steps: Array, parameters: int) -> Array:
    """A grid of starting points: B_0 over and beyond the range of batch sizes, δ from 0 to 3, ζ = 0."""
    batch = np.log(batch_size)
    clean = np.linspace(batch.min() - 6, batch.max() + 2, 6)
    starts = [(log_steps.min(), b, delta, 0.0) for b in clean for delta in (0.0, 0.5, 1.0, 1.5, 2.0, 3.0)]
    return np.array(starts)[:, :parameters]


def determined(theta: Array, alpha: Array, batch_size: Array) -> bool:
    """Whether these cells tell δ from the other parameters near `theta`, to first order.

    They do not where ∂ ln S/∂δ is, over the cells, nearly a combination of the other derivatives.
    """
    _, slope = hyperbola(theta[None], alpha, batch_size)
    delta, others = slope[0, :, 2], np.delete(slope[0], 2, axis=1)
    own = delta - others @ np.linalg.lstsq(others, delta)[0]
    return bool(np.linalg.norm(own) > _OWN_SHARE * np.linalg.norm(delta))
