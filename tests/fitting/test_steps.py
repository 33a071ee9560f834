"""Steps to a target: exact crossings, censoring, and a best learning rate chosen without luck."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from synthetic import rising_cube

from effbatch.core.errors import InputError
from effbatch.fitting import StepsOutcome, best_steps, steps_to_target
from effbatch.plan.cube import Outcome

RATES = 2.0 ** np.arange(-8, 1)


def bowl(alpha, batch_size, learning_rate):
    """Least steps 200 (1+α) at a learning rate of 2^-4, growing by 2^(0.3 x²) x octaves away."""
    return 200 * (1 + alpha) * 2 ** (0.3 * (np.log2(learning_rate) + 4) ** 2) + 0 * batch_size


def made(**options):
    return rising_cube(bowl, **({"alpha": (0, 3), "batch_size": (8, 32), "learning_rate": RATES, "seeds": 4} | options))


def test_crossings_are_exact_where_accuracy_is_linear_in_log_steps():
    cube = made()
    steps = steps_to_target(cube, 0.7)
    true = bowl(cube["alpha"], cube["batch_size"], cube["learning_rate"])
    within = (true < 2**14).broadcast_like(steps)
    np.testing.assert_allclose(steps.where(within), true.where(within).broadcast_like(steps), rtol=1e-4)
    assert steps.where(~within).isnull().all()
    assert not within.all()


def test_the_first_crossing_counts_whatever_comes_later():
    cube = made(step=(10, 100, 1000, 10000))
    cube["test_accuracy_history"][:] = np.float32([0.2, 0.8, 0.3, 0.9])
    np.testing.assert_allclose(steps_to_target(cube, 0.5), np.sqrt(1000), rtol=1e-5)
    np.testing.assert_allclose(steps_to_target(cube, 0.85), 10 ** (3 + (0.85 - 0.3) / 0.6), rtol=1e-5)
    assert steps_to_target(cube, 0.95).isnull().all()


def test_a_target_met_at_the_first_checkpoint_is_an_upper_bound_and_counted():
    cube = made(step=(50, 100), seeds=1)
    cube["test_accuracy_history"][:] = np.float32([0.6, 0.7])
    steps = steps_to_target(cube, 0.55)
    assert (steps == 50).all()
    assert steps.attrs["at_first_checkpoint"] == steps.size


def test_steps_may_depend_on_the_batch_size():
    cube = made(step=(10, 100, 1000))
    cube["test_accuracy_history"][:] = np.float32([0.2, 0.4, 0.6])
    cube = cube.drop_vars(["step", "examples"])
    step = xr.DataArray([10, 100, 1000], dims="checkpoint") * xr.DataArray([1, 4], coords={"batch_size": [8, 32]})
    steps = steps_to_target(cube.assign_coords(step=step), 0.4)
    np.testing.assert_allclose(steps.sel(batch_size=8), 100, rtol=1e-5)
    np.testing.assert_allclose(steps.sel(batch_size=32), 400, rtol=1e-5)


@pytest.mark.parametrize("target", [0.1, 1.0, 70.0])
def test_a_target_out_of_range_is_an_error(target):
    with pytest.raises(InputError, match=rf"above chance \(0.1\) and below 1, got {target}: 0.85, say"):
        steps_to_target(made(), target)


def test_the_held_out_choice_has_no_selection_bias_and_the_per_seed_minimum_has():
    """All learning rates are equally good: any lasting deviation from the truth is luck that was selected."""
    cube = rising_cube(
        lambda alpha, batch_size, learning_rate: 300.0 + 0 * alpha * batch_size * learning_rate,
        alpha=np.arange(200),
        batch_size=(8,),
        learning_rate=RATES,
        seeds=4,
        noise=0.3,
    )
    logs = np.log(best_steps(cube, 0.7, resamples=10)["seed_steps"] / 300)
    error = 0.3 / np.sqrt(logs.size)
    assert abs(float(logs.mean())) < 4 * error
    lucky = np.log(steps_to_target(cube, 0.7).min("learning_rate") / 300)
    assert float(lucky.mean()) < -0.3


def test_intervals_cover_the_mean_of_the_seeds():
    cube = rising_cube(
        bowl, alpha=np.zeros(400), batch_size=(8,), learning_rate=2.0 ** np.arange(-6, -1), seeds=5, noise=0.1
    )
    best = best_steps(cube, 0.7)
    at_best = (best["low"] <= 200) & (best["high"] >= 200)
    assert 0.9 <= float(at_best.mean()) <= 0.99


def test_outcomes_tell_censored_edge_few_seeds_and_not_run_apart():
    cube = made(alpha=(0, 1, 2, 3), batch_size=(8,), noise=0.05)
    cube["test_accuracy_history"].loc[{"alpha": 1, "seed": 2}] = 0.2
    cube["outcome"].loc[{"alpha": 2, "seed": [0, 1]}] = int(Outcome.NOT_RUN)
    cube["outcome"].loc[{"alpha": 3}] = int(Outcome.NOT_RUN)
    cube["test_accuracy_history"].loc[{"alpha": 2, "seed": [0, 1]}] = np.nan
    cube["test_accuracy_history"].loc[{"alpha": 3}] = np.nan
    best = best_steps(cube, 0.7)
    names = [StepsOutcome(value).name for value in best["outcome"].squeeze().values]
    assert names == ["REACHED", "CENSORED", "TOO_FEW_SEEDS", "NOT_RUN"]
    assert best.attrs["censored"] == 1
    assert best["steps"].notnull().squeeze().values.tolist() == [True, False, False, False]
    edge = best_steps(cube.isel(alpha=[0], learning_rate=slice(6, None)), 0.7)
    assert int(edge["outcome"].squeeze()) == StepsOutcome.AT_EDGE


def test_the_first_seed_only_chooses_and_is_not_counted():
    assert best_steps(made(noise=0.05), 0.7)["seeds"].values.tolist() == [[3, 3], [3, 3]]
    three = best_steps(made(noise=0.05, seeds=3), 0.7)
    assert (three["outcome"] == StepsOutcome.TOO_FEW_SEEDS).all()
    assert three["low"].isnull().all()


def test_a_rate_that_fails_one_seed_is_not_chosen_for_the_others():
    cube = made(alpha=(0,), batch_size=(8,))
    cube["test_accuracy_history"].loc[{"learning_rate": 2.0**-4, "seed": 1}] = 0.2
    best = best_steps(cube, 0.7).squeeze()
    np.testing.assert_allclose(best["seed_steps"].sel(seed=[2, 3]), 200 * 2**0.3, rtol=1e-4)
    assert np.isnan(best["seed_steps"].sel(seed=1))  # the seed before it chooses 2^-4, where it fails
    assert int(best["outcome"]) == StepsOutcome.CENSORED


def test_a_setting_at_the_target_from_the_start_is_left_out():
    """Its steps are upper bounds; taken for values they would hide how few steps suffice."""
    cube = rising_cube(
        lambda a, b, rate: 2.0 + 100 * a + 0 * b + 0 * rate,
        alpha=(0.0, 1.0),
        batch_size=(8,),
        learning_rate=(0.1,),
        seeds=4,
        step=(16, 32, 64, 128, 256, 512),
    )
    best = best_steps(cube, 0.7)
    early, later = (best.sel(alpha=alpha).squeeze() for alpha in (0.0, 1.0))
    assert int(early["outcome"]) == int(StepsOutcome.TOO_EARLY)
    assert np.isnan(early["steps"])
    assert early["seed_steps"].isnull().all()
    assert float(later["steps"]) == pytest.approx(102, rel=1e-3)
    assert best.attrs["too_early"] == 1
