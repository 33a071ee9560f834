"""α from a checked sample: intervals against their exact coverage, bounds against closed forms, refusals."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from scipy.stats import binom, hypergeom

from effbatch.audit import alpha_bound_from_accuracy, alpha_bound_from_loss, estimate_noise
from effbatch.audit.proportions import clopper_pearson, hypergeometric, wilson
from effbatch.core.errors import InputError
from effbatch.noise import UniformNoise
from effbatch.noise.labels import fresh_label

# --- intervals of a proportion ---


@pytest.mark.parametrize("confidence", [0.8, 0.95])
@pytest.mark.parametrize("n", [1, 7, 40])
def test_clopper_pearson_covers_as_promised_at_every_proportion(n, confidence):
    counts = np.arange(n + 1)
    low, high = clopper_pearson(counts, n, confidence)
    for p in np.linspace(0.001, 0.999, 333):
        chance = binom.pmf(counts, n, p)
        assert chance[p < low].sum() <= (1 - confidence) / 2 + 1e-12
        assert chance[p > high].sum() <= (1 - confidence) / 2 + 1e-12


def test_clopper_pearson_limits_solve_their_equations():
    low, high = (float(x) for x in clopper_pearson(66, 200, 0.9))
    assert binom.sf(65, 200, low) == pytest.approx(0.05, rel=1e-9)
    assert binom.cdf(66, 200, high) == pytest.approx(0.05, rel=1e-9)
    assert clopper_pearson(0, 200, 0.9)[0] == 0
    assert clopper_pearson(200, 200, 0.9)[1] == 1


def test_hypergeometric_limits_are_the_first_and_last_not_refuted():
    n, population, confidence = 9, 30, 0.9
    for count in range(n + 1):
        low, high = hypergeometric(count, n, population, confidence)
        possible = [
            w
            for w in range(count, population - n + count + 1)
            if hypergeom.sf(count - 1, population, w, n) > 0.05 and hypergeom.cdf(count, population, w, n) > 0.05
        ]
        assert (low, high) == (possible[0] / population, possible[-1] / population)


def test_hypergeometric_limits_tend_to_a_point_and_to_the_binomial_ones():
    assert hypergeometric(3, 20, 20, 0.95) == (0.15, 0.15)
    np.testing.assert_allclose(hypergeometric(66, 200, 10**14, 0.95), clopper_pearson(66, 200, 0.95), rtol=1e-6)


def test_wilson_limits_solve_the_score_equation_with_and_without_replacement():
    z = 1.959963984540054
    for population, shrink in ((None, 1.0), (500, (500 - 80) / 499)):
        for limit in wilson(23, 80, 0.95, population=population):
            assert abs(limit - 23 / 80) == pytest.approx(z * math.sqrt(limit * (1 - limit) / 80 * shrink), rel=1e-9)
    assert wilson(23, 80, 0.95, population=80) == (23 / 80, 23 / 80)
    assert wilson(0, 80, 0.95)[0] == 0
    assert wilson(80, 80, 0.95)[1] == 1


# --- the sample ---


def test_the_interval_of_alpha_holds_the_alpha_that_labels_were_made_with():
    """Labels drawn by the package itself, 600 samples of 120: at least 95 % less four standard errors."""
    alpha, samples, n = 1.5, 600, 120
    image = np.arange(samples * n)
    wrong = (fresh_label(image % 10, image, 0, alpha, 3, num_classes=10) != image % 10).reshape(samples, n).sum(1)
    held = 0
    for count in wrong:
        low, high = estimate_noise(n, int(count), 10).alpha.interval
        held += low <= alpha and (high is None or alpha <= high)
    assert held / samples >= 0.95 - 4 * math.sqrt(0.95 * 0.05 / samples)


def test_in_a_finite_data_set_the_interval_holds_its_own_rate():
    rng, population, n = np.random.default_rng(0), 300, 100
    wrong = rng.hypergeometric(90, population - 90, n, size=400)
    finite = [estimate_noise(n, int(w), 10, examples=population).noise_rate.interval for w in wrong]
    assert np.mean([low <= 0.3 <= high for low, high in finite]) >= 0.95 - 4 * math.sqrt(0.95 * 0.05 / 400)
    endless = estimate_noise(n, 30, 10).noise_rate.interval
    known = estimate_noise(n, 30, 10, examples=population).noise_rate.interval
    assert known[1] - known[0] < 0.9 * (endless[1] - endless[0])


def test_alpha_is_the_noise_rate_mapped():
    found = estimate_noise(200, 66, 10)
    assert found.method == "Clopper-Pearson"
    assert found.noise_rate.value == 0.33
    assert found.alpha.value == pytest.approx(0.33 / 0.57)
    for alpha, rate in zip(found.alpha.interval, found.noise_rate.interval, strict=True):
        assert UniformNoise(alpha, 10).noise_rate == pytest.approx(rate, rel=1e-12)
    assert estimate_noise(200, 0, 10).alpha.interval[0] == 0
    assert estimate_noise(200, 66, 10, method="wilson").method == "Wilson"
    assert estimate_noise(200, 66, 10, examples=900).method == "exact hypergeometric"


def test_where_the_rate_may_be_chance_alpha_has_no_upper_limit():
    found = estimate_noise(20, 17, 10)
    assert found.alpha.value == pytest.approx(0.85 / 0.05)
    assert found.alpha.interval[0] > 0
    assert found.alpha.interval[1] is None
    assert "no upper limit: the interval of the noise rate reaches 0.9" in found.alpha.reason
    beyond = estimate_noise(20, 19, 10).alpha
    assert beyond.value is None
    assert beyond.interval[0] > 0
    impossible = estimate_noise(2000, 1990, 10).alpha
    assert (impossible.value, impossible.interval) == (None, None)
    assert "uniform noise cannot do that" in impossible.reason
    said = found.to_dict()
    assert json.loads(json.dumps(said, allow_nan=False)) == said


# --- bounds ---


@pytest.mark.parametrize("num_classes", [2, 10])
@pytest.mark.parametrize("alpha", [0.0, 0.7, 12.0])
def test_bounds_are_tight_for_a_perfect_model(num_classes, alpha):
    noise = UniformNoise(alpha, num_classes)
    by_accuracy = alpha_bound_from_accuracy(noise.clean_probability, num_classes)
    by_loss = alpha_bound_from_loss(float(noise.loss_floor), num_classes)
    assert by_accuracy.alpha_at_most == pytest.approx(alpha, rel=1e-9, abs=1e-12)
    assert by_loss.alpha_at_most == pytest.approx(alpha, rel=1e-6, abs=1e-12)


def test_a_poorer_model_gives_a_looser_bound():
    noise = UniformNoise(3.0, 10)
    agreement = 1 / 10 + noise.signal * (0.8 - 1 / 10)  # right on 80 % of true labels
    assert alpha_bound_from_accuracy(agreement, 10).alpha_at_most > 3.0
    assert alpha_bound_from_loss(float(noise.loss_floor) + 0.05, 10).alpha_at_most > 3.0


def test_chance_bounds_nothing():
    assert alpha_bound_from_accuracy(0.1, 10).alpha_at_most is None
    assert alpha_bound_from_loss(math.log(10), 10).alpha_at_most is None
    assert "no bound" in alpha_bound_from_accuracy(0.05, 10).reason
    assert "no bound" in alpha_bound_from_loss(2.5, 10).reason


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: estimate_noise(0, 0, 10), "checked labels must be a whole number from 1 .*, got 0"),
        (lambda: estimate_noise(10, 11, 10), "wrong labels must be a whole number from 0 to 10, got 11"),
        (lambda: estimate_noise(10, -1, 10), "wrong labels .*, got -1"),
        (lambda: estimate_noise(10, 2.5, 10), "wrong labels .*, got 2.5"),
        (lambda: estimate_noise(10, math.nan, 10), "wrong labels .*, got nan"),
        (lambda: estimate_noise(10, 1, 1), "number of classes .* from 2 .*, got 1"),
        (lambda: estimate_noise(10, 1, 10, examples=9), "number of examples.* from 10 .*, got 9"),
        (lambda: estimate_noise(10, 1, 10, confidence=1.0), "confidence must lie between 0 and 1, got 1.0"),
        (lambda: estimate_noise(10, 1, 10, method="wald"), "method 'wald' is not known; known: exact, wilson"),
        (lambda: alpha_bound_from_accuracy(55, 10), r"must lie in \[0, 1\], got 55"),
        (lambda: alpha_bound_from_accuracy(math.nan, 10), "got nan"),
        (lambda: alpha_bound_from_loss(-0.1, 10), "finite number >= 0, in nats, got -0.1"),
        (lambda: alpha_bound_from_loss(math.inf, 10), "got inf"),
    ],
)
def test_bad_input_is_refused_in_one_sentence(call, words):
    with pytest.raises(InputError, match=words) as error:
        call()
    assert "\n" not in str(error.value)
