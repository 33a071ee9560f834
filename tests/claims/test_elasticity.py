"""The claim that clean labels count twice: the slopes are found again in worlds of signal detection."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import xarray as xr
from test_claims import setup

from effbatch.claims import Case
from effbatch.claims.elasticity import ElasticityClaim, log_d
from effbatch.core.errors import SpecError
from effbatch.plan import cube as cubes
from effbatch.theory.detection import accuracy, d_prime, elasticities

CLEAN, ALPHAS = (80, 160, 320, 640), (0.0, 2.0, 4.0, 8.0)
CLAIM = ElasticityClaim()


def made(**grid):
    plain = setup()
    return replace(plain, grid={**plain.grid, "batch_size": (32,), "clean_examples": CLEAN, "alpha": ALPHAS, **grid})


def world(d, *, seeds: int = 8, noise: float = 0.005, rng: int = 0) -> xr.Dataset:
    """Accuracy A_10(d(n_clean, n_noisy)) with normal scatter, falling away from one learning rate."""
    cube = cubes.empty({**made().grid, "seed": range(seeds)}, checkpoints=1)
    clean = cube["clean_examples"].astype(float)
    grid = d(clean, clean * cube["alpha"]).transpose("clean_examples", "alpha")
    truth = xr.DataArray(accuracy(grid.values, 10), coords=grid.coords, dims=grid.dims)
    truth = truth - 0.01 * np.abs(np.log2(cube["learning_rate"] / 2.0**-4))
    scatter = noise * np.random.default_rng(rng).standard_normal(cube["outcome"].shape)
    cube["test_accuracy"] = truth.broadcast_like(cube["outcome"]).transpose(*cube["outcome"].dims) + scatter
    cube["outcome"] = xr.full_like(cube["outcome"], int(cubes.Outcome.FINISHED))
    cube.attrs["num_classes"] = 10
    return cube


def signal(clean, noisy):
    return 0.15 * clean / np.sqrt(clean + noisy)


def judge(d, **options):
    return CLAIM.judge(Case(world(d, **options), CLAIM.predict(made())))


def test_the_prediction_is_the_local_elasticity_where_alpha_hardly_varies():
    predicted = CLAIM.predict(made(alpha=(4.0, 4.001), clean_examples=(1000, 1001)))
    clean, noisy = elasticities(4.0)
    assert predicted["clean"] == pytest.approx(clean, abs=1e-3)
    assert predicted["noisy"] == pytest.approx(noisy, abs=1e-3)
    assert predicted["ratio"] == pytest.approx(9 / 4, abs=5e-3)


def test_signal_detection_is_supported():
    judged = judge(signal)
    assert judged.verdict == "supported"
    ratio = judged.numbers[0].estimate
    assert ratio.low < CLAIM.predict(made())["ratio"] < ratio.high
    assert ratio.value == pytest.approx(CLAIM.predict(made())["ratio"], rel=0.05)
    assert judged.tables[0].rows[0][:2] == [80, 160]


def test_a_power_law_is_found_again_and_refutes():
    judged = judge(lambda clean, noisy: 0.3 * clean**0.4 * np.maximum(noisy, 1) ** -0.4 * 4)
    assert judged.verdict == "refuted"
    ratio, _, clean, noisy = (number.estimate for number in judged.numbers)
    assert (clean.value, noisy.value) == (pytest.approx(0.4, abs=0.02), pytest.approx(-0.4, abs=0.02))
    assert ratio.value == pytest.approx(1.0, abs=0.05)


def test_noise_that_drowns_the_ratio_leaves_it_undecided():
    assert judge(signal, noise=0.1, seeds=3).verdict == "undecided"


def test_one_seed_decides_nothing():
    assert judge(signal, seeds=1).verdict == "undecided"


def test_settings_at_chance_are_left_out_and_told():
    """Below d = 0.3 nothing is learned: those settings say nothing of the slopes of the others."""
    judged = judge(lambda clean, noisy: signal(clean, noisy).where(signal(clean, noisy) > 0.6, -1), noise=0.001)
    assert any("settings at chance" in limit for limit in judged.limits)
    assert judged.verdict == "supported"


def test_the_table_of_d_agrees_with_bisection():
    share = np.array([0.11, 0.3, 0.8, 0.99])
    np.testing.assert_allclose(log_d(share, 10), np.log(d_prime(share, 10)), atol=1e-5)
    assert np.isnan(log_d(np.array([0.1 - 1e-9, 0.05, 1.0]), 10)).all()


def test_the_interval_holds_the_truth_as_often_as_it_says():
    truth = CLAIM.predict(made())["ratio"]
    ratios = [judge(signal, rng=rng, noise=0.02, seeds=6).numbers[0].estimate for rng in range(20)]
    assert sum(ratio.low <= truth <= ratio.high for ratio in ratios) >= 15  # of 20 at 95 %: fewer in one of 3,000


@pytest.mark.parametrize(
    "grid",
    [{"alpha": (0.0, 2.0)}, {"clean_examples": (0, 100)}, {"clean_examples": (100,)}, {"batch_size": (8, 32)}],
    ids=str,
)
def test_a_grid_that_cannot_tell_is_refused(grid):
    with pytest.raises(SpecError, match="needs lists of clean_examples and of alpha above 0"):
        CLAIM.predict(made(**grid))
