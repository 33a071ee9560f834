"""The recursion against the linear model that it describes, simulated step by step."""

import numpy as np
import pytest
from scipy.stats import norm

from effbatch.dynamics import (
    HeldOut,
    Spectrum,
    accuracy_from_alignment,
    best_learning_rate,
    forced_choice,
    learning_curve,
)
from effbatch.errors import InputError


def power_law(modes: int = 400, classes: int = 10, initial: float = 0.02) -> Spectrum:
    k = np.arange(1, modes + 1)
    e = k**-1.3 / (k**-1.3).sum()
    return Spectrum(10 * k**-1.5, e, initial * e, classes, modes)


def simulate(h, target, initial, alpha, batch, eta, steps, repeats, rng):
    """Kernel regression on Gaussian features, fresh images and noisy labels; coefficients in target units.

    Returns the coefficients (repeats, modes, K) after `steps`; step size eta/K.
    """
    classes = target.shape[1]
    signal = 1 / (1 + alpha)
    # label noise in target units: energy 1/signal² - 1, spread over K - 1 centred directions
    spread = np.sqrt((1 / signal**2 - 1) / (classes - 1))
    a = np.repeat(initial[None] / signal, repeats, 0)
    for _ in range(steps):
        phi = rng.standard_normal((repeats, batch, len(h)))
        noise = spread * rng.standard_normal((repeats, batch, classes))
        noise -= noise.mean(-1, keepdims=True)
        residual = phi @ (a - target) - noise
        a -= eta / classes * h[:, None] * (phi.transpose(0, 2, 1) @ residual) / batch
    return a


def centred(rng, modes, classes, energy):
    x = rng.standard_normal((modes, classes))
    x -= x.mean(1, keepdims=True)
    return x * np.sqrt(energy / (x**2).sum())


@pytest.mark.parametrize(
    ("alpha", "batch", "eta", "steps"),
    [(0.0, 4, 0.4, 25), (0.0, 16, 1.0, 25), (0.0, 1, 1.0, 1), (3.0, 8, 0.3, 25), (7.0, 4, 0.1, 25)],
    ids=["alpha=0-batch=4", "alpha=0-batch=16", "one-copy", "alpha=3-batch=8", "alpha=7-batch=4"],
)
def test_alignment_and_accuracy_of_a_simulated_linear_model(alpha, batch, eta, steps):
    rng = np.random.default_rng(1)
    h, classes, repeats = np.array([3.0, 1.5, 0.8, 0.4, 0.2, 0.1]), 4, max(4000, 20_000 // steps)
    target, initial = centred(rng, 6, classes, 1.0), centred(rng, 6, classes, 0.05)
    # the recursion averages over initial functions: make this one orthogonal to the target in every mode
    initial -= target * ((initial * target).sum(1) / (target**2).sum(1))[:, None]
    images = rng.standard_normal((300, 6))
    labels = (images @ target).argmax(1)
    spectrum = Spectrum(
        h, (target**2).sum(1), (initial**2).sum(1), classes, 6,
        HeldOut(images, target, initial, images @ initial, labels),
    )  # fmt: skip
    a = simulate(h, target, initial, alpha, batch, eta, steps, repeats, rng)

    curve = learning_curve(spectrum, alpha, batch, eta, steps)

    # R is a ratio of means: mean overlap with the target over the root of the mean energy
    overlap, energy = (a * target).sum((1, 2)), (a**2).sum((1, 2))
    measured = overlap.mean() / np.sqrt(energy.mean())
    error = measured * np.hypot(
        overlap.std() / overlap.mean(), energy.std() / energy.mean() / 2
    ) / np.sqrt(repeats)  # fmt: skip
    assert abs(curve.alignment - measured) < 4 * error
    assert error < 0.02 * measured
    hits = ((images @ a).argmax(-1) == labels).mean(1)
    # 0.01: the noise of a test image is not exactly isotropic over the logits at alpha = 0
    assert abs(curve.accuracy - hits.mean()) < 0.01 + 4 * hits.std() / np.sqrt(repeats)


def test_label_noise_of_one_copy_is_the_square_of_one_plus_alpha_minus_one():
    alpha, classes, rng = 3.0, 5, np.random.default_rng(0)
    clean = rng.integers(classes, size=400_000)
    noisy = np.where(rng.random(400_000) < 1 / (1 + alpha), clean, rng.integers(classes, size=400_000))
    signal = (np.eye(classes)[clean] - 1 / classes) / (1 + alpha)
    noise = np.eye(classes)[noisy] - 1 / classes - signal
    ratio = (noise**2).sum() / (signal**2).sum()
    assert ratio == pytest.approx((1 + alpha) ** 2 - 1, rel=0.01)


def slow_alignment(s, alpha, batch, eta, multipliers):
    """The recursion of the module docstring, mode by mode and step by step."""
    h, e, z = s.eigenvalues, s.target_energies, s.initial_energies
    c, left = e + (1 + alpha) ** 2 * z, np.ones_like(h)
    for multiplier in multipliers:
        x = multiplier * eta / s.num_classes * h
        c = ((1 - x) ** 2 + x**2 / batch) * c + x**2 / batch * (c.sum() + (1 + alpha) ** 2 - 1)
        left = left * (1 - x)
    m, v = 1 - left, c - left**2 * e
    return (m * e).sum() / np.sqrt((m**2 * e + v).sum())


@pytest.mark.parametrize("schedule", ["constant", "cosine", "array"])
def test_merging_modes_moves_the_accuracy_by_less_than_a_tenth_of_a_point(schedule):
    s, steps = power_law(), 300
    multipliers = {
        "constant": np.ones(steps),
        "cosine": (1 + np.cos(np.pi * np.arange(steps) / steps)) / 2,
        "array": np.linspace(1, 0, steps),
    }[schedule]
    for alpha, batch, eta in [(0, 8, 0.1), (3, 128, 0.5), (15, 32, 0.05), (0, 1024, 1.5)]:
        given = multipliers if schedule == "array" else schedule
        fast = learning_curve(s, alpha, batch, eta, steps, schedule=given)
        slow = slow_alignment(s, alpha, batch, eta, multipliers)
        assert fast.accuracy == pytest.approx(accuracy_from_alignment(slow, 10), abs=1e-3)


def test_broadcasts_and_every_cell_is_its_own():
    s = power_law()
    alpha, batch, eta = (
        np.array([0, 5])[:, None, None],
        np.array([8, 64, 512])[:, None],
        np.array([0.01, 0.1]),
    )
    grid = learning_curve(s, alpha, batch, eta, 50)
    assert grid.accuracy.shape == (2, 3, 2)
    assert grid.alignment[1, 2, 0] == pytest.approx(learning_curve(s, 5, 512, 0.01, 50).alignment, rel=1e-12)


@pytest.mark.parametrize("batch", [1, 4096])
def test_divergence_scores_chance_without_a_warning(batch):
    curve = learning_curve(power_law(), [0, 15], batch, 50.0, 2000)
    assert (curve.accuracy == 0.1).all()
    assert np.isnan(curve.alignment).all()


def test_momentum_is_a_larger_learning_rate():
    s = power_law()
    with_momentum = learning_curve(s, 3, 32, 0.01, 100, momentum=0.9)
    assert with_momentum.accuracy == pytest.approx(learning_curve(s, 3, 32, 0.1, 100).accuracy, rel=1e-9)
    plain, heavy = (best_learning_rate(s, 3, 32, 100, momentum=m) for m in (0.0, 0.75))
    assert heavy == pytest.approx(plain / 4)


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


def test_best_learning_rate_beats_every_rate_of_a_finer_grid():
    s = power_law()
    best = best_learning_rate(s, [1, 7], 64, 200, confident_edge=False)
    finer = 2.0 ** np.arange(-10, 2, 0.1)
    top = learning_curve(s, np.array([[1], [7]]), 64, finer, 200).accuracy.max(-1)
    np.testing.assert_allclose(learning_curve(s, [1, 7], 64, best, 200).accuracy, top, atol=3e-4)
    assert best[1] < best[0]


def test_confident_edge_caps_the_rate_of_clean_labels():
    s = power_law()
    free, capped = (best_learning_rate(s, 0, 10**6, 300, confident_edge=e) for e in (False, True))
    assert free > capped
    assert capped == pytest.approx(4 / 10.0, rel=1e-3)


def test_quadratic_descent_diverges_beyond_the_edge_of_uniform_output():
    s = power_law()
    edge = 2 * 10 / s.eigenvalues[0]
    below, beyond = learning_curve(s, 0, 10**9, [0.98 * edge, 1.02 * edge], 500).alignment
    assert below > 0.9
    assert np.isnan(beyond)


def test_no_rate_is_given_where_none_can_be_told():
    e = np.array([1.0, 0.0])
    nothing_to_learn = Spectrum(np.array([0.0, 1.0]), e, 0 * e, 10, 2)  # the target lies where the kernel is zero
    assert np.isnan(best_learning_rate(nothing_to_learn, 1, 32, 10))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"alpha": -1}, "alpha needs finite values >= 0; -1 came"),
        ({"batch_size": [8, 0]}, "batch_size needs finite values >= 1; 0 came"),
        ({"learning_rate": np.nan}, "learning_rate needs finite values > 0; nan came"),
        ({"steps": 0}, "steps needs a whole number >= 1; 0 came"),
        ({"momentum": 1.0}, r"momentum needs a value in \[0, 1\); 1 came"),
        ({"schedule": "linear"}, "'linear' came"),
        ({"schedule": [1.0, 0.5]}, r"shape \(2,\) came"),
    ],
)
def test_bad_values_are_named(change, words):
    arguments = {"alpha": 1, "batch_size": 8, "learning_rate": 0.1, "steps": 10} | change
    with pytest.raises(InputError, match=words):
        learning_curve(power_law(), **arguments)


def test_bad_spectra_are_named():
    h = np.array([1.0, 0.5])
    with pytest.raises(InputError, match=r"a sum of 0\.5 came"):
        Spectrum(h, h / 3, h, 10, 2)
    with pytest.raises(InputError, match=r"shapes \(2,\), \(1,\), \(2,\) came"):
        Spectrum(h, h[:1], h, 10, 2)
