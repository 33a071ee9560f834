"""Signal detection: the forced-choice integral against arbitrary precision, its inverse, and elasticities."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest
from scipy.stats import norm

from effbatch.core.errors import InputError
from effbatch.theory.detection import (
    accuracy,
    accuracy_curve,
    accuracy_from_alignment,
    clean_labels_factor,
    d_prime,
    elasticities,
    forced_choice,
)


def exact_accuracy(d: float, num_classes: int) -> float:
    mpmath.mp.dps = 20
    nodes = [d - 10, d - 4, d - 2, d, d + 2, d + 4, d + 10]
    return float(mpmath.quad(lambda z: mpmath.npdf(z - d) * mpmath.ncdf(z) ** (num_classes - 1), nodes))


@pytest.mark.parametrize("num_classes", [2, 10, 1000, 10_000])
@pytest.mark.parametrize("d", [-1.0, 0.5, 3.0])
def test_accuracy_to_ten_digits(d, num_classes):
    assert accuracy(d, num_classes) == pytest.approx(exact_accuracy(d, num_classes), abs=1e-10)


def test_two_alternatives_have_a_closed_form():
    d = np.linspace(-4, 6, 21)
    np.testing.assert_allclose(accuracy(d, 2), [float(mpmath.ncdf(x / mpmath.sqrt(2))) for x in d], atol=1e-13)


@pytest.mark.parametrize("num_classes", [2, 10, 10_000])
def test_no_signal_gives_chance(num_classes):
    assert accuracy(0.0, num_classes) == pytest.approx(1 / num_classes, rel=1e-12)


def test_accuracy_is_the_share_of_right_choices_among_noisy_scores():
    scores = np.random.default_rng(0).normal(size=(200_000, 5))
    scores[:, 0] += 1.3
    share = (scores.argmax(axis=1) == 0).mean()
    assert accuracy(1.3, 5) == pytest.approx(share, abs=4.5 * np.sqrt(0.25 / 200_000))


@pytest.mark.parametrize("num_classes", [2, 10, 10_000])
def test_d_prime_is_the_inverse(num_classes):
    d = np.linspace(-1, 4, 11)
    np.testing.assert_allclose(d_prime(accuracy(d, num_classes), num_classes), d, atol=1e-10)


def test_d_prime_at_the_ends_and_beyond():
    np.testing.assert_array_equal(d_prime([0.0, 1.0, np.nan], 10), [-np.inf, np.inf, np.nan])
    with pytest.raises(InputError, match=r"must lie in \[0, 1\], got 76.0.*not percent"):
        d_prime(76.0, 10)
    with pytest.raises(InputError, match="number of classes must be at least 2, got 1"):
        accuracy(1.0, 1)


def test_accuracy_curve_is_flat_along_equal_clean_labels_per_copy():
    alpha = np.array([0.0, 3.0, 24.0])
    curve = accuracy_curve(1000 * clean_labels_factor(alpha), alpha, 0.05, 10)
    np.testing.assert_allclose(curve, accuracy(0.05 * np.sqrt(1000), 10), rtol=1e-14)


def test_accuracy_curve_runs_from_chance_to_its_ceiling():
    assert accuracy_curve(0, 5.0, 0.05, 10, ceiling=0.9) == pytest.approx(0.1)
    assert accuracy_curve(1e9, 5.0, 0.05, 10, ceiling=0.9) == pytest.approx(0.9)


@pytest.mark.parametrize("alpha", [0.1, 1.0, 20.0])
def test_elasticities_are_derivatives(alpha):
    def log_d(clean: float, noisy: float) -> float:
        return float(np.log(clean / np.sqrt(clean + noisy)))

    clean, noisy, step = 500.0, 500.0 * alpha, 1e-5
    by_clean = (log_d(clean * np.exp(step), noisy) - log_d(clean * np.exp(-step), noisy)) / (2 * step)
    by_noisy = (log_d(clean, noisy * np.exp(step)) - log_d(clean, noisy * np.exp(-step))) / (2 * step)
    assert elasticities(alpha) == pytest.approx((by_clean, by_noisy), rel=1e-8)


def test_heavy_noise_makes_clean_labels_count_twice():
    clean, noisy = elasticities(1e6)
    assert clean / -noisy == pytest.approx(2, rel=1e-5)


def test_forced_choice_against_drawing_the_logits():
    margins = np.array([[0.5, 1.0, 3.0], [-1.0, 0.0, 2.0], [8.0, 9.0, 0.1]])
    draws = np.random.default_rng(0).standard_normal((200_000, 1, 4))
    measured = (draws[..., :1] + margins > draws[..., 1:]).all(-1).mean(0)
    np.testing.assert_allclose(forced_choice(margins), measured, atol=0.005)


def test_forced_choice_of_two_is_the_normal_integral():
    d = np.linspace(-4, 4, 9)
    np.testing.assert_allclose(forced_choice(d[:, None]), norm.cdf(d / np.sqrt(2)), atol=1e-6)


@pytest.mark.parametrize("classes", [2, 10])
def test_accuracy_from_alignment_against_drawn_functions(classes):
    rng, r, n = np.random.default_rng(0), 0.6, 200_000
    noise = rng.standard_normal((n, classes))
    noise -= noise.mean(1, keepdims=True)
    target = (np.eye(classes)[0] - 1 / classes) / np.sqrt(1 - 1 / classes)
    logits = r * target + np.sqrt((1 - r**2) / (classes - 1)) * noise
    assert accuracy_from_alignment(r, classes) == pytest.approx((logits.argmax(1) == 0).mean(), abs=0.005)
    assert accuracy_from_alignment([0, 1], classes) == pytest.approx([1 / classes, 1], abs=1e-4)
