"""Settings that ran different learning rates, as adaptive grids leave them: each is judged on its own rates alone."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from synthetic import peaked_cube, rising_cube

from effbatch.fitting import FitOutcome, StepsOutcome, best_learning_rates, best_steps, compare_all, regret
from effbatch.fitting.honest import honest_best
from effbatch.fitting.peak import peak
from effbatch.plan.cube import Outcome, score

RATES = 2.0 ** np.arange(-9, 1, 0.25)
OWN = {  # alpha -> the octaves that it ran, refined around its best rate 2^(-4 - alpha)
    0.0: [-7, -6, -5, -4.5, -4.25, -4, -3.75, -3.5, -3, -2],
    1.0: [-9, -7, -6, -5.5, -5.25, -5, -4.75, -4.5, -4, -3],
    2.0: [-8, -6.5, -6, -5.5, -5, -4],
    3.0: [-6, -5, -4, -3],  # its best rate lies below its own grid, inside that of the others
}


def ragged(whole: xr.Dataset) -> xr.Dataset:
    """The cube with only the rates of OWN run."""
    cube = whole.copy(deep=True)
    ran = xr.zeros_like(cube["outcome"], dtype=bool)
    for alpha, octaves in OWN.items():
        ran.loc[{"alpha": alpha, "learning_rate": 2.0 ** np.array(octaves)}] = True
    cube["outcome"] = cube["outcome"].where(ran, int(Outcome.NOT_RUN))
    for name in ("test_accuracy", "test_accuracy_history"):
        cube[name] = cube[name].where(ran)
    return cube


def alone(cube: xr.Dataset, alpha: float) -> xr.Dataset:
    """The setting as a cube of its own, with its own rates as the grid."""
    return cube.sel(alpha=[alpha], learning_rate=2.0 ** np.array(OWN[alpha]))


@pytest.fixture(scope="module")
def peaked() -> xr.Dataset:
    return ragged(
        peaked_cube(
            lambda alpha, batch_size: 2.0 ** (-4.1 - alpha) + 0 * batch_size,
            alpha=tuple(OWN),
            learning_rate=RATES,
            seeds=6,
            seed_shift=0.2,
        )
    )


def test_best_rates_are_those_of_each_setting_alone(peaked):
    best = best_learning_rates(peaked, resamples=200)
    for alpha in OWN:
        xr.testing.assert_allclose(best.sel(alpha=[alpha]), best_learning_rates(alone(peaked, alpha), resamples=200))
    assert best["outcome"].squeeze().values.tolist() == [FitOutcome.INTERIOR] * 3 + [FitOutcome.AT_LOWER_EDGE]
    true = 2.0 ** (-4.1 - best["alpha"])
    assert float(np.abs(np.log2(best["best_learning_rate"] / true)).isel(alpha=slice(3)).max()) < 0.2


def test_a_prediction_off_the_own_rates_counts_as_clamped_and_regret_is_that_of_the_setting_alone(peaked):
    best = best_learning_rates(peaked, resamples=20)
    predicted = xr.full_like(best["grid_best"], 2.0**-6.4)  # below all rates of alpha = 3 only
    found = regret(peaked, best, predicted)
    assert int(found["clamped"]) == 1
    for alpha in OWN:
        own = regret(alone(peaked, alpha), best.sel(alpha=[alpha]), predicted.sel(alpha=[alpha]))
        np.testing.assert_allclose(found["regret"].sel(alpha=[alpha]), own["regret"])


def test_laws_are_compared_on_a_ragged_grid_without_a_gap(peaked):
    compared = compare_all(best_learning_rates(peaked, resamples=20), peaked)
    row = compared.sel(law="none")
    assert int(row["cells"]) == 3
    assert float(row["median_error"]) == pytest.approx(1.0, abs=0.3)  # best rates 2^-4.1, 2^-5.1, 2^-6.1
    assert np.isfinite(float(row["regret"]))


def test_the_held_out_choice_of_a_rate_never_takes_one_that_did_not_run(peaked):
    honest = honest_best(score(peaked))
    assert bool(honest.notnull().all())
    for alpha in OWN:
        np.testing.assert_allclose(honest.sel(alpha=[alpha]), honest_best(score(alone(peaked, alpha))))


def test_steps_at_the_best_rate_are_those_of_each_setting_alone_and_an_edge_is_its_own():
    whole = rising_cube(
        lambda a, b, rate: 200 * 2.0 ** (0.5 * np.abs(np.log2(rate) + 4 + a)) + 0 * b,
        alpha=tuple(OWN),
        batch_size=(8,),
        learning_rate=RATES,
        seeds=4,
        noise=0.02,
    )
    cube = ragged(whole)
    best = best_steps(cube, 0.7, resamples=50)
    edge, inside = int(StepsOutcome.AT_EDGE), int(StepsOutcome.REACHED)
    assert best["outcome"].squeeze().values.tolist() == [inside, inside, inside, edge]
    for alpha in OWN:
        own = best_steps(alone(cube, alpha), 0.7, resamples=50)
        for name in ("steps", "low", "high", "seed_steps", "outcome"):
            np.testing.assert_allclose(best[name].sel(alpha=[alpha]), own[name], rtol=1e-6)


def test_a_parabola_whose_near_points_reach_further_on_one_side_is_no_cliff():
    x = np.array([-1.25, -0.75, -0.5, -0.25, 0.0, 0.25, 1.25])  # as left behind by two refinements
    scores = 0.8 - 0.05 * (x - 0.03) ** 2
    found = peak(x, scores[None])
    assert not found.cliff[0]
    assert found.location[0] == pytest.approx(0.03)


def test_a_cliff_beside_the_best_point_of_a_refined_grid_is_one():
    x = np.array([-2.0, -1.0, -0.5, -0.25, 0.0, 0.25, 0.5, 1.0])
    scores = np.where(x <= 0, 0.8 + 0.01 * x, 0.1)
    found = peak(x, scores[None])
    assert found.cliff[0]
    assert found.location[0] == 0.0
