"""Gradient moments: mixtures against labels enumerated one by one."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from effbatch.noise import UniformNoise, expected_targets
from effbatch.theory.moments import GradientMoments


class SoftmaxRegression:
    """A small problem whose gradients, for every image and every label, are written out."""

    def __init__(self, *, uniform_output: bool) -> None:
        rng = np.random.default_rng(3)
        n, d, self.K = 30, 6, 4
        x, w = rng.normal(size=(n, d)), rng.normal(size=(d, self.K)) * (not uniform_output)
        self.y = rng.integers(self.K, size=n)
        p = np.exp(x @ w)
        p /= p.sum(axis=1, keepdims=True)
        residual = p[:, None, :] - np.eye(self.K)  # (image, label, logit)
        self.gradient = np.einsum("id,ilk->ildk", x, residual).reshape(n, self.K, -1)

    def moments(self, targets: np.ndarray) -> tuple[np.ndarray, float]:
        """Mean gradient and E‖g‖² when the label of image i has the probabilities targets[y_i]."""
        p = targets[self.y] / len(self.y)
        return np.einsum("il,ild->d", p, self.gradient), float(
            np.einsum("il,ild,ild->", p, self.gradient, self.gradient)
        )

    def covariance_trace(self, targets: np.ndarray) -> float:
        centred = self.gradient - self.moments(targets)[0]
        return float(np.einsum("il,ild,ild->", targets[self.y] / len(self.y), centred, centred))

    def five_numbers(self, noise_matrix: np.ndarray) -> GradientMoments:
        (g0, s0), (gn, sn) = self.moments(np.eye(self.K)), self.moments(noise_matrix)
        return GradientMoments(g0 @ g0, g0 @ gn, gn @ gn, s0, sn)


@pytest.mark.parametrize("alpha", [0.0, 0.3, 1.0, 7.0, 50.0])
def test_five_numbers_give_every_alpha(alpha):
    problem = SoftmaxRegression(uniform_output=False)
    noise_matrix = np.random.default_rng(0).dirichlet(np.ones(4), size=4)
    five = problem.five_numbers(noise_matrix)
    T = expected_targets(alpha, noise_matrix)
    G, S = problem.moments(T)
    trace = problem.covariance_trace(T)
    clean = problem.covariance_trace(np.eye(4)) / five.clean_norm_squared
    assert five.mean_norm_squared(alpha) == pytest.approx(G @ G, rel=1e-12)
    assert five.second_moment(alpha) == pytest.approx(S, rel=1e-12)
    assert five.covariance_trace(alpha) == pytest.approx(trace, rel=1e-12)
    assert five.noise_scale(alpha) == pytest.approx(trace / (G @ G), rel=1e-12)
    assert five.effective_batch_size(alpha, 32) == pytest.approx(32 * clean / (trace / (G @ G)), rel=1e-12)


@pytest.mark.parametrize("alpha", [0.5, 4.0, 30.0])
def test_at_uniform_output_the_noise_scale_grows_with_the_square(alpha):
    problem = SoftmaxRegression(uniform_output=True)
    # Here 1/K − e_k has the same size for every label k, so S_N = S_0, and averages to zero over k, so G_N = 0.
    clean = problem.five_numbers(np.full((4, 4), 0.25)).noise_scale(0.0)
    T = UniformNoise(alpha, 4).transition_matrix()
    G, _ = problem.moments(T)
    brute = problem.covariance_trace(T) / (G @ G)
    assert brute + 1 == pytest.approx((1 + alpha) ** 2 * (clean + 1), rel=1e-12)
    assert GradientMoments.at_uniform_output(clean).noise_scale(alpha) == pytest.approx(brute, rel=1e-12)


def test_effective_batch_tends_to_the_signal_to_noise_rule():
    moments = GradientMoments.at_uniform_output(1e9)
    assert moments.effective_batch_size(50.0, 128) == pytest.approx(128 / 51**2, rel=1e-6)
    assert moments.effective_batch_size(0.0, 128) == 128


def test_an_estimate_without_signal_is_nan_and_not_clamped():
    moments = GradientMoments(np.array([2.0, 0.0, -0.1]), 0.0, 0.0, 5.0, 5.0)
    np.testing.assert_array_equal(moments.noise_scale(0.0), [1.5, np.nan, np.nan])
    np.testing.assert_array_equal(moments.effective_batch_size(0.0, 8), [8.0, np.nan, np.nan])
    assert moments.mean_norm_squared(0.0)[2] == -0.1
    assert np.isnan(GradientMoments(-1.0, 0.0, 0.0, 1.0, 1.0).noise_scale(0.0))


def test_data_arrays_keep_their_dimensions():
    checkpoint = xr.DataArray([1.0, -1.0, 4.0], dims="checkpoint")
    alpha = xr.DataArray([0.0, 3.0], dims="alpha", coords={"alpha": [0.0, 3.0]})
    moments = GradientMoments(checkpoint, 0.0 * checkpoint, 0.0 * checkpoint, 9.0, 9.0)
    scale = moments.noise_scale(alpha)
    assert set(scale.dims) == {"alpha", "checkpoint"}
    assert float(scale.sel(alpha=3.0)[2]) == pytest.approx(16 * (1.25 + 1) - 1)
    assert bool(scale.isel(checkpoint=1).isnull().all())
