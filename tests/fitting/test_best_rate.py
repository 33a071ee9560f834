"""Best learning rates: known peaks, coverage, a slow twin, and every way of not being able to tell."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from synthetic import peaked_cube

from effbatch.fitting import FitOutcome, best_learning_rates
from effbatch.fitting.peak import peak, slope_limits
from effbatch.fitting.resampling import bootstrap_weights
from effbatch.plan.cube import Outcome, empty


def truth(alpha, batch_size):
    return 0.05 * (batch_size / 32) ** 0.5 * (1 + alpha) ** -0.5


def everywhere(rate):
    return lambda alpha, batch_size: rate + 0 * alpha * batch_size


def test_a_parabola_is_found_exactly_between_grid_points():
    x = np.arange(-6.0, 4.0)
    location, height, _ = peak(x, 0.7 - 0.05 * (x - np.array([[-1.3], [0.5], [1.99]])) ** 2)
    np.testing.assert_allclose(location, [-1.3, 0.5, 1.99], atol=1e-10)
    np.testing.assert_allclose(height, 0.7, atol=1e-10)


def test_a_cliff_does_not_push_the_peak_out_of_its_neighbourhood():
    x = np.arange(-3.0, 1.5, 0.5)
    scores = np.array([[0.80, 0.801, 0.802, 0.803, 0.804, 0.805, 0.10, 0.10, 0.10]])
    location = peak(x, scores).location
    assert x[4] < location[0] <= x[5]


def test_noiseless_peaks_are_found_everywhere_with_their_accuracy():
    cube = peaked_cube(truth, alpha=(0, 1, 3), batch_size=(8, 128), noise=0.0)
    best = best_learning_rates(cube, resamples=50)
    assert (best["outcome"] == int(FitOutcome.INTERIOR)).all()
    np.testing.assert_allclose(
        best["best_learning_rate"], truth(cube["alpha"], cube["batch_size"]).transpose(), rtol=1e-5
    )
    np.testing.assert_allclose(best["best_accuracy"], 0.8, rtol=1e-6)


@pytest.mark.parametrize("seeds", [3, 5, 10, 20])
@pytest.mark.parametrize("spacing", [1.0, 0.5], ids=["factor=2", "factor=root2"])
def test_the_nominal_95_percent_interval_covers_the_truth_in_95_percent_of_settings(seeds, spacing):
    cube = peaked_cube(
        lambda alpha, batch_size: 2.0 ** (-4.5 + (alpha % 100) / 100 + 0 * batch_size),
        alpha=np.arange(1500),
        learning_rate=2.0 ** np.arange(-8, 0, spacing),
        seeds=seeds,
        noise=0.01,
        seed_shift=0.3,
        rng=seeds,
    )
    best = best_learning_rates(cube, resamples=20)
    true = 2.0 ** (-4.5 + (cube["alpha"] % 100) / 100)
    most = 0.98 if seeds == 3 else 0.97  # three seeds cannot always rule out the far end of the grid
    assert 0.93 <= float(((best["low"] <= true) & (true <= best["high"])).mean()) <= most


@pytest.mark.parametrize("seeds", [4, 12])
def test_the_batched_bootstrap_of_the_accuracy_equals_a_loop_over_draws_with_polyfit(seeds):
    cube = peaked_cube(everywhere(0.06), seeds=seeds, noise=0.01, seed_shift=0.2)
    best = best_learning_rates(cube, resamples=200).squeeze()
    x = np.log2(cube["learning_rate"].values)
    scores = cube["test_accuracy"].squeeze().transpose("seed", "learning_rate").values

    def vertex(curve):
        i = int(curve.argmax())
        a, b, c = np.polyfit(x[i - 1 : i + 2], curve[i - 1 : i + 2], 2)
        return -b / (2 * a), c - b * b / (4 * a)

    draws = np.array([vertex(row @ scores)[1] for row in bootstrap_weights(seeds, 200)])
    location, estimate = vertex(scores.mean(axis=0))
    if seeds < 10:  # t(0.975, 3) = 3.18245
        half = 3.18245 * np.sqrt(4 / 3) * draws.std()
        low, high = estimate - half, estimate + half
    else:  # t(0.025, 11) √(12/11) = -2.29885, and Φ(-2.29885) = 0.010756
        low, high = np.sort(draws)[[int(0.010756 * 199), int(np.ceil((1 - 0.010756) * 199))]]
    np.testing.assert_allclose(np.log2(best["best_learning_rate"]), location, atol=1e-6)
    np.testing.assert_allclose([best["best_accuracy_low"], best["best_accuracy_high"]], [low, high], atol=1e-6)


def limits_one_by_one(x, scores, mesh):
    """The slow twin of `slope_limits`: of all places of a mesh those that no t-test of scipy rules out."""
    best, last = int(scores.mean(axis=1).argmax()), len(x) - 2
    lower = [
        i != best and stats.ttest_rel(scores[best], score, alternative="greater").pvalue < 0.05 / 2 / len(x)
        for i, score in enumerate(scores)
    ]
    kept = []
    for m in mesh:
        i = min(max(int(np.abs(x - m).argmin()), 1), last)
        window = {1: [0, 1], last: [last, last + 1]}.get(i, [i])  # those at the edges stand for two points
        near = np.abs(x - x[i]) <= 1 + 1e-9
        curvature, slope, _ = np.polyfit(x[near] - x[i], scores[near], 2)
        p_value = stats.ttest_1samp(slope + 2 * curvature * (m - x[i]), 0).pvalue
        if p_value >= 0.05 and not all(lower[j] for j in window):
            kept.append(m)
    return min(kept), max(kept)


@pytest.mark.parametrize("spacing", [1.0, 0.5], ids=["factor=2", "factor=root2"])
@pytest.mark.parametrize("noise", [0.01, 0.06], ids=["sharp", "drowned"])
@pytest.mark.parametrize("seeds", [3, 5, 12])
def test_limits_equal_a_loop_of_t_tests_at_every_place(seeds, noise, spacing):
    x = np.arange(-8, 0.1, spacing)
    rng = np.random.default_rng(seeds)
    scores = 0.8 - 0.03 * (x[:, None] + 4.3 + 0.2 * rng.standard_normal(seeds)) ** 2
    scores = scores + noise * rng.standard_normal((len(x), seeds))
    low, high = slope_limits(x, scores[None], peak(x, scores.mean(axis=1)[None]).location)
    mesh = np.arange(-8, 1e-9, 1 / 64) + 1e-6
    assert [low[0], high[0]] == pytest.approx(limits_one_by_one(x, scores, mesh), abs=1.5 / 64)


def test_limits_of_scores_without_scatter_are_the_peak_itself():
    x = np.arange(-6.0, 3.0)
    scores = np.repeat((0.8 - 0.03 * (x + 1.3) ** 2)[:, None], 4, axis=1)
    low, high = slope_limits(x, scores[None], np.array([-1.3]))
    assert [low[0], high[0]] == pytest.approx([-1.3, -1.3], abs=1e-6)


def test_two_rates_of_which_one_is_surely_better_are_an_edge():
    scores = np.array([[0.5, 0.52, 0.51, 0.5], [0.7, 0.71, 0.69, 0.7]])
    low, high = slope_limits(np.array([-3.0, -2.0]), scores[None], np.array([-2.0]))
    assert [low[0], high[0]] == [-2.0, -2.0]


@pytest.mark.parametrize(
    ("rate", "outcome", "grid_best"),
    [(2.0**-12, FitOutcome.AT_LOWER_EDGE, 2.0**-9), (2.0**4, FitOutcome.AT_UPPER_EDGE, 1.0)],
)
def test_a_maximum_at_an_edge_is_no_best_rate_but_keeps_the_grid_point(rate, outcome, grid_best):
    best = best_learning_rates(peaked_cube(everywhere(rate)), resamples=100).squeeze()
    assert int(best["outcome"]) == outcome
    assert np.isnan([best["best_learning_rate"], best["low"], best["high"]]).all()
    assert float(best["grid_best"]) == grid_best
    assert float(best["best_accuracy_low"]) <= float(best["best_accuracy"]) <= float(best["best_accuracy_high"])


def test_pure_noise_is_mostly_flat_and_never_a_sure_interior_peak():
    cube = peaked_cube(everywhere(0.05), alpha=np.arange(300), curvature=0.0, noise=0.02, seeds=5)
    best = best_learning_rates(cube, resamples=300)
    assert float((best["outcome"] == int(FitOutcome.FLAT)).mean()) > 0.85
    inside = (best["low"] > 2.0**-9) & (best["high"] < 1.0)
    assert float(inside.mean()) < 0.02


def test_all_diverged_is_flat_at_chance():
    cube = peaked_cube(everywhere(0.05))
    cube["outcome"][:] = int(Outcome.DIVERGED)
    best = best_learning_rates(cube, resamples=50).squeeze()
    assert int(best["outcome"]) == FitOutcome.FLAT
    assert float(best["best_accuracy"]) == pytest.approx(0.1)


@pytest.mark.parametrize("seeds", [1, 2])
def test_too_few_seeds_keep_the_grid_point_only(seeds):
    best = best_learning_rates(peaked_cube(everywhere(2.0**-4), seeds=seeds, noise=0.001)).squeeze()
    assert int(best["outcome"]) == FitOutcome.TOO_FEW_SEEDS
    assert float(best["grid_best"]) == 2.0**-4
    assert int(best["seeds"]) == seeds
    assert np.isnan([best["best_learning_rate"], best["low"], best["best_accuracy_low"]]).all()


def test_gaps_drop_the_seed_or_the_rate_that_lacks_cells_and_nothing_else():
    cube = peaked_cube(truth, alpha=(0, 1, 3, 7), seeds=6)
    cube["outcome"].loc[{"alpha": 1, "seed": 2, "learning_rate": 2.0**-3}] = int(Outcome.NOT_RUN)
    cube["outcome"].loc[{"alpha": 3, "learning_rate": 2.0**-9}] = int(Outcome.NOT_RUN)
    cube["outcome"].loc[{"alpha": 7}] = int(Outcome.NOT_RUN)
    best = best_learning_rates(cube, resamples=200).squeeze()
    assert best["seeds"].values.tolist() == [6, 5, 6, 0]
    assert best["outcome"].values.tolist() == [1, 1, 1, 0]
    without = best_learning_rates(cube.sel(alpha=[1]).drop_sel(seed=2), resamples=200).squeeze()
    assert float(best["low"].sel(alpha=1)) == float(without["low"])


def test_learning_rates_in_any_order_give_the_same_answer():
    cube = peaked_cube(everywhere(0.03), learning_rate=(0.3, 0.01, 0.1, 0.03, 1.0))
    shuffled, ordered = (best_learning_rates(c) for c in (cube, cube.sortby("learning_rate")))
    assert shuffled.identical(ordered)
    assert float(ordered["grid_best"].squeeze()) in (0.01, 0.03, 0.1)


def test_outcomes_are_stored_as_cf_flags_with_a_sentence_each():
    best = best_learning_rates(peaked_cube(everywhere(0.05)), resamples=20)
    meanings = best["outcome"].attrs["flag_meanings"].split()
    assert meanings == [outcome.name.lower() for outcome in FitOutcome]
    assert best["outcome"].attrs["flag_values"].tolist() == [0, 1, 2, 3, 4, 5]  # as files on disk have them
    assert all(outcome.sentence for outcome in FitOutcome)


def test_at_a_cliff_the_grid_point_stands_for_its_neighbours():
    """Just below the edge of stability a parabola would peak above every score, and with false precision."""
    x = np.arange(-6.0, 3.0)
    curve = np.where(x <= 0, 0.9 + 0.01 * x, 0.1)
    found = peak(x, np.stack([curve, 0.9 - 0.01 * (x + 1.2) ** 2]))
    assert found.cliff.tolist() == [True, False]
    assert found.location == pytest.approx([0.0, -1.2])
    assert found.height == pytest.approx([0.9, 0.9])


def test_limits_at_a_cliff_hold_the_neighbours():
    rates = 2.0 ** np.arange(-6, 3)
    cube = empty({"alpha": [0.0], "batch_size": [8], "learning_rate": rates, "seed": range(10)}, 1)
    cube.attrs["num_classes"] = 10
    noise = np.random.default_rng(0).normal(0, 0.002, (1, 1, 9, 10))
    cube["outcome"][:] = int(Outcome.FINISHED)
    cube["test_accuracy"][:] = np.where(rates <= 1, 0.9 + 0.01 * np.log2(rates), 0.1)[:, None] + noise
    best = best_learning_rates(cube).squeeze()
    assert float(best["best_learning_rate"]) == 1.0
    assert float(best["low"]) <= 0.5
    assert float(best["high"]) >= 2.0
    assert float(best["best_accuracy"]) < 0.91
