"""Claims judged together: Holm's correction, and p-values that agree with their intervals."""

from __future__ import annotations

import numpy as np
import pytest

from effbatch.claims import Judgement, Verdict
from effbatch.claims.shared.judgement import every_above, within
from effbatch.claims.shared.multiplicity import corrected
from effbatch.core.estimate import Estimate
from effbatch.fitting.resampling import over_cells, over_seeds

SUPPORTED, REFUTED, UNDECIDED = Verdict


def judged(p_value: float | None, verdict: Verdict = SUPPORTED) -> Judgement:
    return Judgement(verdict=verdict, finding="It holds.", numbers=[], p_value=p_value)


def test_holm_by_hand():
    """Of p = 0.01, 0.02, 0.03, 0.2 the smallest counts 4 times, the next 3 times, ..., never less than before."""
    found = corrected({name: judged(p) for name, p in zip("abcd", (0.02, 0.2, 0.01, 0.03), strict=True)})
    assert [found[name].p_value_corrected for name in "abcd"] == pytest.approx([0.06, 0.2, 0.04, 0.06])
    assert [found[name].p_value for name in "abcd"] == [0.02, 0.2, 0.01, 0.03]
    assert [found[name].verdict for name in "abcd"] == [UNDECIDED, UNDECIDED, SUPPORTED, UNDECIDED]
    assert "supported (p = 0.02); corrected for 4 claims judged together (Holm), p = 0.06" in found["a"].finding


def test_an_interval_that_its_own_test_contradicts_says_so():
    finding = corrected({"a": judged(0.22)})["a"].finding
    assert finding == "It holds. Its interval would support it, but its test gives p = 0.22, not below 0.05: undecided."


def test_claims_without_a_test_are_left_alone_and_do_not_count():
    found = corrected({"a": judged(0.04, REFUTED), "b": judged(None), "c": judged(None, UNDECIDED)})
    assert [one.verdict for one in found.values()] == [REFUTED, SUPPORTED, UNDECIDED]
    assert [one.p_value_corrected for one in found.values()] == [0.04, None, None]
    assert corrected({"b": judged(None)}) == {"b": judged(None)}


def test_an_undecided_claim_counts_as_a_test():
    found = corrected({"a": judged(0.03), "b": judged(0.9, UNDECIDED)})
    assert found["a"].verdict is UNDECIDED
    assert found["b"].finding == "It holds."


@pytest.mark.parametrize("seeds", [4, 9, 10, 30])
def test_the_p_value_is_5_percent_at_the_limits_of_the_95_percent_interval(seeds):
    values = np.random.default_rng(seeds).standard_normal((seeds, 1))
    found = over_seeds(values, lambda means: means[:, 0])
    for limit in (found.low, found.high):
        assert found.p_value(limit) == pytest.approx(0.05, abs=0.003)
    assert found.p_value(found.value) > 0.8
    assert 0 < found.p_value(found.value + 20) < 1e-3


@pytest.mark.parametrize("seeds", [5, 12])
def test_a_true_value_is_rejected_as_often_as_the_p_value_says(seeds):
    draw = np.random.default_rng(1)
    p_values = [
        over_seeds(draw.standard_normal((seeds, 1)), lambda means: means[:, 0], resamples=400).p_value(0.0)
        for _ in range(1500)
    ]
    assert np.mean(np.array(p_values) < 0.05) == pytest.approx(0.05, abs=0.02)
    assert np.mean(np.array(p_values) < 0.5) == pytest.approx(0.5, abs=0.04)


def test_cells_have_the_same_p_value_as_their_percentile_interval():
    found = over_cells(np.random.default_rng(2).standard_normal(40), np.mean, resamples=4000)
    assert found.p_value(found.low) == pytest.approx(0.05, abs=0.01)


@pytest.mark.parametrize("values", [np.zeros((2, 1)), np.full((5, 1), np.nan)], ids=["two seeds", "not finite"])
def test_nothing_to_resample_is_no_test(values):
    assert over_seeds(values, lambda means: means[:, 0]).p_value(1.0) is None


def normal(value: float, spread: float = 1.0, seeds: int = 8) -> Estimate:
    """An estimate of that value, from seeds with the quantiles of a normal distribution."""
    return over_seeds(value + spread * np.linspace(-1, 1, seeds)[:, None], lambda means: means[:, 0])


@pytest.mark.parametrize(
    ("value", "verdict"), [(1.0, SUPPORTED), (5.0, REFUTED), (-3.0, REFUTED), (2.0, UNDECIDED), (0.1, UNDECIDED)]
)
def test_within_needs_the_whole_interval_on_one_side_of_both(value, verdict):
    found, p = within(normal(value), 0.0, 2.0)
    assert found is verdict
    assert (p < 0.05) == (verdict is not UNDECIDED)


def test_every_one_must_be_above_and_one_below_refutes():
    near, far, below = normal(1.5), normal(4.0), normal(-1.5)
    assert every_above([near, far], 0.0) == (SUPPORTED, near.p_value(0.0))
    assert every_above([normal(0.1), far], 0.0)[0] is UNDECIDED
    verdict, p = every_above([far, below, normal(0.1)], 0.0)
    assert verdict is REFUTED
    assert p == pytest.approx(3 * below.p_value(0.0))
    assert every_above([], 0.0) == (UNDECIDED, None)
