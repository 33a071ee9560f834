"""Audits of so many of each given label: coverage in several worlds, a published case, agreement with plain samples."""

from __future__ import annotations

import numpy as np
import pytest

from effbatch.audit import estimate_from_counts
from effbatch.audit.proportions import clopper_pearson
from effbatch.audit.stratified import StratifiedSample, equally_many_checked
from effbatch.audit.uniform_test import uniform_test_of_strata
from effbatch.core.errors import InputError
from effbatch.noise import UniformNoise

PAIRS = 0.6 * np.eye(10) + 0.4 * np.roll(np.eye(10), 1, axis=1)


def long_tail(num_classes: int, ratio: float) -> np.ndarray:
    shares = ratio ** -np.arange(num_classes, dtype=float)
    return shares / shares.sum()


WORLDS = {  # T, shares of the true classes, checked of each given label
    "uniform": (UniformNoise(1.0, 10).transition_matrix(), long_tail(10, 1.0), 30),
    "uniform, long tail": (UniformNoise(0.5, 10).transition_matrix(), long_tail(10, 1.6), 30),
    "pairs, long tail": (PAIRS, long_tail(10, 1.8), 30),
    "few checked": (UniformNoise(0.3, 5).transition_matrix(), long_tail(5, 2.0), 8),
    "rare mistakes": (UniformNoise(0.03, 4).transition_matrix(), long_tail(4, 1.5), 25),
    "rare class": (np.array([[0.99, 0.01], [0.3, 0.7]]), np.array([0.95, 0.05]), 50),
}


@pytest.mark.parametrize("world", WORLDS)
def test_limits_cover_the_rate_and_every_entry_of_the_matrix(world):
    T, classes, n = WORLDS[world]
    joint = classes[:, None] * T
    given = joint.sum(0)
    sizes = np.round(10**6 * given).astype(int)
    truth, rng, repeats = 1 - np.trace(joint), np.random.default_rng(4), 500
    rate, entries = 0, np.zeros(T.shape)
    for _ in range(repeats):
        counts = np.array([rng.multinomial(n, column) for column in (joint / given).T]).T
        design = StratifiedSample(counts, sizes, confidence=0.95)
        low, high = design.sample.noise_rate.floats[1:]
        rate += low <= truth <= high
        low, high = design.limits(0.95)
        entries += (low <= T + 1e-12) & (high >= T - 1e-12)
    assert rate / repeats >= 0.93
    assert entries.min() / repeats >= 0.93


def test_a_long_tailed_set_is_weighted_by_its_sizes():
    sizes = [646, 30, 232, 83, 387, 50, 1798, 1078, 3000, 139]
    counts = np.array(
        [
            [13, 3, 4, 1, 0, 2, 0, 0, 2, 2],
            [3, 14, 0, 1, 0, 1, 1, 1, 1, 9],
            [4, 0, 17, 1, 1, 1, 1, 4, 2, 0],
            [1, 0, 1, 14, 1, 5, 1, 0, 2, 1],
            [1, 0, 2, 2, 24, 6, 2, 4, 2, 0],
            [0, 1, 2, 7, 2, 9, 3, 4, 0, 0],
            [1, 0, 2, 4, 1, 2, 19, 2, 1, 1],
            [2, 1, 1, 0, 0, 3, 1, 15, 0, 0],
            [4, 3, 1, 0, 1, 1, 2, 0, 20, 2],
            [1, 8, 0, 0, 0, 0, 0, 0, 0, 15],
        ]
    )
    assert equally_many_checked(counts) == 30
    found = estimate_from_counts(counts, sizes=sizes)
    assert found.sample.noise_rate.value == pytest.approx(0.391, abs=5e-4)
    assert found.sample.alpha.value == pytest.approx(0.767, abs=5e-4)
    np.testing.assert_allclose(found.sample.alpha.interval, (0.51, 1.12), atol=0.07)
    assert not found.uniform.fits
    np.testing.assert_allclose(found.transition.sum(1), 1)
    pooled = estimate_from_counts(counts).sample.alpha.value
    assert pooled == pytest.approx(1.077, abs=5e-4)
    said = found.to_dict()
    assert said["sizes"] == sizes
    assert said["examples"] == 7443


def test_bayes_turns_columns_into_rows():
    """A tenth of 10,000 given label 1, of whom half are of class 0; 8 of 9 given label 0 are of class 0."""
    found = estimate_from_counts([[80, 50], [10, 50]], sizes=[9000, 1000])
    of_class_0, of_class_1 = np.array([8000, 500]), np.array([1000, 500])
    np.testing.assert_allclose(found.transition, [of_class_0 / 8500, of_class_1 / 1500])
    assert found.sample.noise_rate.value == pytest.approx(0.15)


def test_sizes_as_in_the_sample_give_the_pooled_answer():
    counts = np.array([[40, 12, 5], [4, 45, 9], [6, 3, 38]])
    plain, weighted = estimate_from_counts(counts), estimate_from_counts(counts, sizes=100 * counts.sum(0))
    assert weighted.sample.noise_rate.value == pytest.approx(plain.sample.noise_rate.value)
    np.testing.assert_allclose(weighted.transition, plain.transition)


def test_with_one_label_the_limits_are_its_own():
    """All of a data set has label 0: the rate is that of this label, its limits Clopper-Pearson's."""
    found = StratifiedSample(np.array([[40, 0], [10, 0]]), [500, 0], confidence=0.9).sample.noise_rate
    np.testing.assert_allclose(found.interval, clopper_pearson(10, 50, 0.9))


def test_the_test_of_uniform_noise_keeps_its_level_and_has_power():
    rng, repeats = np.random.default_rng(5), 60
    for T, least, most in ((UniformNoise(0.5, 4).transition_matrix(), 0, 8), (PAIRS[:4, :4], 55, 60)):
        joint = long_tail(4, 1.4)[:, None] * T
        joint /= joint.sum()
        given = joint.sum(0)
        refused = 0
        for _ in range(repeats):
            counts = np.array([rng.multinomial(60, column) for column in (joint / given).T]).T
            refused += not uniform_test_of_strata(counts, given, 0.05, rng).fits
        assert least <= refused <= most


@pytest.mark.parametrize(
    ("sizes", "words"),
    [
        ([100], "one whole number >= 0 for each of the 2 given labels, got 1 numbers"),
        ([100, -1], "one whole number >= 0 for each of the 2 given labels, got others"),
        ([100, 49], "at least what was checked of it; 50 of label 1 were checked, got size 49"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(sizes, words):
    with pytest.raises(InputError, match=words):
        estimate_from_counts([[40, 10], [10, 40]], sizes=sizes)


def test_a_label_of_which_none_were_checked_is_named():
    with pytest.raises(InputError, match="none of label 1 were checked, got size 70"):
        estimate_from_counts([[40, 0], [10, 0]], sizes=[100, 70])
    with pytest.raises(InputError, match="need the method exact and say how many examples, got the method wilson"):
        estimate_from_counts([[40, 1], [10, 9]], sizes=[100, 70], method="wilson")
