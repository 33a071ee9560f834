"""Confusion counts: recovery of the noise they were drawn with, coverage, and the verdicts on classes."""

from __future__ import annotations

import json

import numpy as np
import pytest

from effbatch.audit import estimate_noise
from effbatch.audit.confusion import RESAMPLES, Learnability, estimate_from_counts
from effbatch.core.errors import InputError
from effbatch.noise import MatrixNoise, structured_noise_matrix, transition

UNIFORM = MatrixNoise(1.0, np.full((4, 4), 0.25))
STRUCTURED = MatrixNoise(1.0, structured_noise_matrix(1.0, 4, 0.7))
SWAPPING = MatrixNoise(3.0, np.array([[0, 1, 0], [0, 1, 0], [0, 0, 1]]))  # class 0 is called 1 three times in four


def draw(noise: MatrixNoise, n: int, rng: np.random.Generator) -> np.ndarray:
    """Counts of n checked examples, their classes drawn at random."""
    per_class = rng.multinomial(n, np.full(noise.num_classes, 1 / noise.num_classes))
    return np.array([rng.multinomial(m, row) for m, row in zip(per_class, noise.transition_matrix(), strict=True)])


def test_many_counts_recover_the_noise():
    found = estimate_from_counts(draw(STRUCTURED, 10**6, np.random.default_rng(0)))
    np.testing.assert_allclose(found.transition, STRUCTURED.transition_matrix(), atol=0.005)
    np.testing.assert_allclose(
        [m.margin.value for m in found.margins], transition.margins(STRUCTURED.transition_matrix()), atol=0.005
    )
    assert found.rms_signal.value == pytest.approx(STRUCTURED.signal, abs=0.005)
    assert found.least_signal.value == pytest.approx(STRUCTURED.signal_spectrum[-1], abs=0.005)
    assert not found.uniform.fits
    assert found.uniform.p_value == pytest.approx(1 / (RESAMPLES + 1))


def test_alpha_is_the_maximum_of_the_likelihood_of_uniform_noise():
    counts = draw(STRUCTURED, 300, np.random.default_rng(1))
    found = estimate_from_counts(counts)
    alphas = np.linspace(0.01, 6, 4000)
    T = [MatrixNoise(a, np.full((4, 4), 0.25)).transition_matrix() for a in alphas]
    likelihood = [(counts * np.log(t)).sum() for t in T]
    assert found.sample.alpha.value == pytest.approx(alphas[np.argmax(likelihood)], abs=0.003)
    assert found.sample == estimate_noise(300, 300 - int(np.trace(counts)), 4)


def test_intervals_cover_and_the_test_keeps_its_level():
    rng, repeats = np.random.default_rng(2), 80
    rms, least, margins, refused = 0, 0, [], 0
    for seed in range(repeats):
        found = estimate_from_counts(draw(UNIFORM, 120, rng), seed=seed)
        rms += found.rms_signal.interval[0] <= UNIFORM.signal <= found.rms_signal.interval[1]
        least += found.least_signal.interval[0] <= 0.5 <= found.least_signal.interval[1]
        margins += [m.margin.interval[0] <= 0.5 <= m.margin.interval[1] for m in found.margins]
        refused += not found.uniform.fits
    allowed = 0.95 - 4 * np.sqrt(0.95 * 0.05 / repeats)
    assert min(rms / repeats, least / repeats, np.mean(margins)) >= allowed
    assert refused / repeats <= 1 - allowed


def test_g_is_the_statistic_of_the_textbook():
    counts = np.array([[30, 4, 6], [2, 25, 3], [9, 1, 20]])
    share = (counts.sum() - np.trace(counts)) / counts.sum()
    g = 0.0
    for c in range(3):
        for k in range(3):
            expected = counts[c].sum() * (1 - share if c == k else share / 2)
            g += 2 * counts[c, k] * np.log(counts[c, k] / expected)
    assert estimate_from_counts(counts).uniform.statistic == pytest.approx(g)


def test_classes_that_cannot_be_learned_are_named():
    many = estimate_from_counts(draw(SWAPPING, 3000, np.random.default_rng(3)))
    assert [m.verdict for m in many.margins] == [
        Learnability.UNLEARNABLE,
        Learnability.LEARNABLE,
        Learnability.LEARNABLE,
    ]
    few = estimate_from_counts(draw(SWAPPING, 12, np.random.default_rng(3)))
    assert few.margins[0].verdict is Learnability.CANNOT_TELL
    assert few.margins[0].margin.reason == "the interval includes 0"


def test_a_class_that_was_not_checked_is_not_guessed():
    found = estimate_from_counts([[30, 4, 6], [0, 0, 0], [9, 1, 20]])
    assert np.isnan(found.transition[1]).all()
    assert found.margins[1].verdict is Learnability.CANNOT_TELL
    assert found.margins[1].margin.value is None
    assert found.rms_signal.value is None
    assert "nothing was checked of class 1" in found.rms_signal.reason
    said = found.to_dict()
    assert said["transition_matrix"]["value"][1] == [None, None, None]
    assert json.loads(json.dumps(said, allow_nan=False)) == said


def test_few_counts_cannot_tell_the_least_signal_from_none():
    found = estimate_from_counts([[2, 1, 1], [1, 2, 1], [1, 1, 2]])
    assert found.least_signal.interval[0] == 0
    assert "cannot tell it from no signal" in found.least_signal.reason


def test_clean_counts_have_alpha_zero():
    found = estimate_from_counts(np.diag([40, 30, 50]))
    assert found.sample.alpha.value == 0
    assert found.uniform.fits
    assert found.rms_signal.value == pytest.approx(1)


@pytest.mark.parametrize(
    ("counts", "words"),
    [
        ([[1, 2, 3]], r"got shape \(1, 3\)"),
        ([[5]], r"2 to 200 of them, got shape \(1, 1\)"),
        (np.eye(201), r"got shape \(201, 201\)"),
        ([[1, -1], [0, 1]], "whole numbers >= 0"),
        ([[0.5, 0.5], [0, 1]], "give counts, not shares"),
        ([[np.nan, 1], [0, 1]], "whole numbers >= 0"),
        ([["a", "b"], ["c", "d"]], "whole numbers >= 0"),
        ([[0, 0], [0, 0]], "1 to 10⁹ checked labels, got 0"),
    ],
)
def test_other_things_than_counts_are_refused(counts, words):
    with pytest.raises(InputError, match=words):
        estimate_from_counts(counts)
