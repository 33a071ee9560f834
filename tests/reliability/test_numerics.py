"""Closed forms agree with 50-digit arithmetic to 1e-10 (relative), for α from 0 to 10⁶ and 2 to 10⁵ classes."""

from __future__ import annotations

from collections.abc import Iterable

import mpmath
import numpy as np
import pytest

from effbatch import audit
from effbatch.advice.prediction import predict
from effbatch.noise import MatrixNoise, UniformNoise, alpha_from_noise_rate, transition
from effbatch.theory import detection
from effbatch.theory.moments import GradientMoments

DIGITS, RELATIVE = 50, 1e-10
ALPHAS = (0.0, 1e-12, 1e-6, *np.random.default_rng(0).permutation(np.geomspace(1e-4, 1e6, 41)).tolist())
CLASSES = (2, 3, 10, 1000, 10**5)
MATRIX_CLASSES = (2, 3, 10, 100)


@pytest.fixture(autouse=True)
def fifty_digits():
    with mpmath.workdps(DIGITS):
        yield


def close(got: Iterable[float], true: Iterable) -> None:
    """All of `got` within 1e-10 relative of the exact `true`; zeros are zero."""
    for one, exact in zip(got, true, strict=True):
        assert abs(mpmath.mpf(float(one)) - exact) <= RELATIVE * abs(exact), (one, float(exact))


def exact(alpha: float, K: int) -> dict[str, mpmath.mpf]:
    a = mpmath.mpf(alpha)
    clean, wrong = (1 + a / K) / (1 + a), a / (K * (1 + a))
    floor = -clean * mpmath.log(clean) - ((K - 1) * wrong * mpmath.log(wrong) if a else 0)
    return {
        "signal": 1 / (1 + a),
        "clean_probability": clean,
        "noise_rate": (K - 1) * wrong,
        "noise_to_signal": (1 + a) ** 2 - 1,
        "loss_floor": floor,
        "effective_alpha": a,
    }


@pytest.mark.parametrize("K", CLASSES)
def test_uniform_labels(K):
    for alpha in ALPHAS:
        labels, true = UniformNoise(alpha, K), exact(alpha, K)
        close([getattr(labels, name) for name in true], true.values())


@pytest.mark.parametrize("K", MATRIX_CLASSES)
def test_a_noise_matrix_that_is_uniform_says_the_same(K):
    for alpha in ALPHAS:
        labels, true = MatrixNoise(alpha, np.full((K, K), 1 / K)), exact(alpha, K)
        close([getattr(labels, name) for name in true], true.values())
        close(labels.signal_spectrum, [true["signal"]] * (K - 1))


@pytest.mark.parametrize("alpha", ALPHAS)
def test_any_noise_matrix(alpha):
    """Entries in eighths, so that the matrix itself is exact."""
    N = np.array([[4, 2, 1, 1], [0, 5, 3, 0], [2, 2, 2, 2], [1, 0, 0, 7]]) / 8
    labels, a, K = MatrixNoise(alpha, N), mpmath.mpf(alpha), 4
    T = (mpmath.eye(K) + a * mpmath.matrix(N.tolist())) / (1 + a)
    C = mpmath.eye(K) - mpmath.ones(K) / K
    between = sum(x**2 for x in C * T)
    within = K - sum(x**2 for x in T)
    signal = mpmath.sqrt(between / (K - 1))
    floor = -sum(x * mpmath.log(x) for x in T if x) / K
    wrong = 1 - sum(T[c, c] for c in range(K)) / K
    close(
        [labels.signal, labels.effective_alpha, labels.noise_to_signal, labels.loss_floor, labels.noise_rate],
        [signal, 1 / signal - 1, within / between, floor, wrong],
    )
    close([transition.loss_floor(labels.transition_matrix())], [floor])


@pytest.mark.parametrize("K", CLASSES)
def test_the_noise_rate_gives_alpha_back(K):
    """The exact inverse of the float ρ: α = ρ/((K − 1)/K − ρ)."""
    for alpha in ALPHAS:
        rate = float(UniformNoise(alpha, K).noise_rate)
        close([alpha_from_noise_rate(rate, K)], [rate / (mpmath.mpf(K - 1) / K - rate)])


@pytest.mark.parametrize("K", CLASSES)
def test_the_bound_from_an_accuracy(K):
    for alpha in ALPHAS:
        agreed = float(UniformNoise(alpha, K).clean_probability)
        signal = (agreed - mpmath.mpf(1) / K) / (1 - mpmath.mpf(1) / K)
        close([audit.alpha_bound_from_accuracy(agreed, K).alpha_at_most], [1 / signal - 1])


@pytest.mark.parametrize("K", CLASSES)
def test_the_bound_from_a_loss(K):
    """H of the bound is the loss; where H still rises (it is flat near ln K), the bound is α itself."""
    for alpha in ALPHAS[1:]:
        loss = float(exact(alpha, K)["loss_floor"])
        bound = audit.alpha_bound_from_loss(loss, K).alpha_at_most
        if bound is None:  # as near to ln K as floats tell apart
            assert abs(loss - mpmath.log(K)) <= 1e-15 * loss
            continue
        close([exact(bound, K)["loss_floor"]], [mpmath.mpf(loss)])
        if alpha <= 10:
            close([bound], [mpmath.mpf(alpha)])


@pytest.mark.parametrize("noise_scale", [1e-3, 1.0, 100.0, 1e6])
def test_moments_at_uniform_output(noise_scale):
    moments, clean = GradientMoments.at_uniform_output(noise_scale), mpmath.mpf(noise_scale)
    for alpha in ALPHAS:
        noisy = (1 + mpmath.mpf(alpha)) ** 2 * (clean + 1) - 1
        close([moments.noise_scale(alpha), moments.effective_batch_size(alpha, 128)], [noisy, 128 * clean / noisy])


FIVE = {  # ‖G_0‖², G_0·G_N, ‖G_N‖², S_0, S_N
    "like": (1.0, 0.5, 0.3, 10.0, 12.0),
    "weak signal": (1e-3, -0.02, 0.5, 100.0, 90.0),
    "against each other": (2.0, -1.9, 2.0, 50.0, 51.0),
    "trained": (1e-9, 1e-6, 4.0, 1e-5, 30.0),
}


@pytest.mark.parametrize("five", FIVE.values(), ids=FIVE)
def test_moments_at_any_alpha(five):
    moments, (g0, inner, gN, s0, sN) = GradientMoments(*five), map(mpmath.mpf, five)
    for alpha in ALPHAS:
        a = mpmath.mpf(alpha)
        norm = (g0 + 2 * a * inner + a**2 * gN) / (1 + a) ** 2
        second = (s0 + a * sN) / (1 + a)
        scale, clean_scale = (second - norm) / norm, (s0 - g0) / g0
        close(
            [
                moments.mean_norm_squared(alpha),
                moments.second_moment(alpha),
                moments.covariance_trace(alpha),
                moments.noise_scale(alpha),
                moments.effective_batch_size(alpha, 64),
            ],
            [norm, second, second - norm, scale, 64 * clean_scale / scale],
        )
        cleaned = moments.with_clean_labels(alpha)
        close(
            [cleaned.clean_norm_squared, cleaned.clean_noisy_inner, cleaned.clean_second_moment],
            [(1 + a) ** 2 * g0 - 2 * a * (1 + a) * inner + a**2 * gN, (1 + a) * inner - a * gN, (1 + a) * s0 - a * sN],
        )


@pytest.mark.parametrize("alpha", ALPHAS)
def test_effective_batches_and_elasticities(alpha):
    a, answer = mpmath.mpf(alpha), predict(alpha, 128).to_dict()
    effective, slopes = answer["effective_batch_size"], detection.elasticities(alpha)
    close(
        [effective["signal_to_noise"], effective["clean_count"], answer["restoring_batch_size"]],
        [128 / (1 + a) ** 2, 128 / (1 + a), 128 * (1 + a) ** 2],
    )
    close(
        [answer["clean_labels_factor"], slopes.clean, slopes.noisy], [1 + a, 1 - 1 / (2 * (1 + a)), -a / (2 * (1 + a))]
    )


@pytest.mark.parametrize("K", CLASSES)
def test_accuracy_of_a_forced_choice(K):
    """To 1e-10, as stated, against adaptive quadrature of the definition; d comes back to 1e-9."""

    def true(d: float) -> mpmath.mpf:
        def integrand(z):
            return mpmath.npdf(z - d) * mpmath.ncdf(z) ** (K - 1)

        return mpmath.quad(integrand, [d - 12, d - 4, d, d + 4, d + 12])

    with mpmath.workdps(20):
        for d in (-2.0, -0.3, 0.0, 0.5, 2.0, 4.0, 7.0):
            share = float(detection.accuracy(d, K))
            assert abs(share - true(d)) <= 1e-10
            if 1e-6 <= share <= 1 - 1e-4:
                assert detection.d_prime(share, K) == pytest.approx(d, abs=1e-9)
