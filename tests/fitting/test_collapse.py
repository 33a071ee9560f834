"""Data collapse: δ and ζ recovered from made-up steps, with honest intervals, or "cannot tell"."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from scipy.optimize import approx_fprime, least_squares
from synthetic import rising_cube

from effbatch.core.errors import InputError
from effbatch.fitting import CollapseOutcome, best_steps, collapse_exponent
from effbatch.fitting.collapse import fit_hyperbola, hyperbola, many_starts

ALPHA, BATCH_SIZE = np.array([0.0, 1.0, 3.0, 7.0]), np.array([8, 32, 128, 512])


def made(delta, *, zeta=0.0, clean=20.0, noise=0.1, seeds=5, rng=0):
    draw = np.random.default_rng(rng)
    a = 1 + ALPHA[:, None, None]
    true = 100 * a**zeta * (1 + clean * a**delta / BATCH_SIZE[:, None])
    scatter = draw.standard_normal((4, 4, seeds)) + draw.standard_normal(seeds)
    return xr.DataArray(
        true * np.exp(noise * scatter),
        coords={"alpha": ALPHA, "batch_size": BATCH_SIZE, "seed": np.arange(seeds)},
    )


@pytest.mark.parametrize("delta", [1.0, 1.5, 2.0])
def test_without_noise_the_truth_is_found(delta):
    found = collapse_exponent(made(delta, zeta=0.3, noise=1e-7), resamples=20).extended
    assert found.delta.value == pytest.approx(delta, abs=1e-5)
    assert found.zeta.value == pytest.approx(0.3, abs=1e-5)
    assert found.smallest_steps.value == pytest.approx(100, rel=1e-5)
    assert found.critical_batch_size.value == pytest.approx(20, rel=1e-5)


@pytest.mark.parametrize("delta", [1.0, 1.5, 2.0])
def test_the_interval_covers_the_truth_and_excludes_the_rival(delta):
    found = [collapse_exponent(made(delta, rng=i), resamples=200) for i in range(80)]
    covered = np.mean([not f.base.delta.excludes(delta) for f in found])
    assert 0.89 <= covered <= 1.0
    for rival in {1.0, 2.0} - {delta}:
        assert np.mean([rival in f.excluded for f in found]) > 0.9
    assert np.mean([f.quality for f in found]) == pytest.approx(1.0, abs=0.15)
    assert np.mean([f.base.spread < f.spread_before for f in found]) == 1.0


def test_where_the_smallest_steps_grow_with_alpha_the_extended_fit_says_so():
    found = collapse_exponent(made(1.0, zeta=0.8, noise=0.05))
    assert not found.extended.zeta.excludes(0.8)
    assert found.extended.zeta.excludes(0.0)
    assert found.extended.spread < found.base.spread
    assert found.quality > 4  # the base curve does not collapse


def test_the_batched_fit_equals_scipy_and_its_derivatives_are_right():
    alpha, batch_size = (grid.ravel() for grid in np.meshgrid(ALPHA, BATCH_SIZE.astype(float), indexing="ij"))
    log_steps = np.log(made(1.5, zeta=0.2).mean("seed").values.ravel())
    starts = many_starts(batch_size, log_steps, 4)
    theta, squares = fit_hyperbola(alpha, batch_size, np.tile(log_steps, (len(starts), 1)), starts)
    ours = theta[squares.argmin()]
    scipys = least_squares(lambda t: hyperbola(t[None], alpha, batch_size)[0][0] - log_steps, [4.0, 3.0, 1.5, 0.2])
    np.testing.assert_allclose(ours, scipys.x, atol=1e-4)
    numeric = approx_fprime(ours, lambda t: hyperbola(t[None], alpha, batch_size)[0][0], 1e-6)
    np.testing.assert_allclose(hyperbola(ours[None], alpha, batch_size)[1][0], numeric, atol=1e-4)


def test_far_below_the_critical_batch_delta_is_known_but_not_apart_from_zeta():
    found = collapse_exponent(made(2.0, clean=1e7, noise=0.05))
    assert found.base.delta.value == pytest.approx(2.0, abs=0.2)
    assert found.extended is None
    assert "cannot tell" in found.sentences[-1]


def test_steps_that_do_not_depend_on_alpha_or_batch_exclude_nothing_wrongly():
    """B far above the critical batch: δ is not in the data, and at most a rare interval may claim otherwise."""
    found = [collapse_exponent(made(1.5, clean=1e-6, rng=i), resamples=200) for i in range(25)]
    claims = [f.base is not None and f.base.delta.excludes(1.5) for f in found]
    assert np.mean(claims) < 0.2


def test_a_setting_that_some_seed_did_not_finish_is_left_out_whole():
    steps = made(1.0)
    steps[3, 0, 1] = np.nan
    steps[3, 1, 2] = np.nan
    found = collapse_exponent(steps)
    assert (found.cells, found.censored, found.seeds) == (14, 2, 5)
    assert "2 settings left out" in found.sentences[0]


@pytest.mark.parametrize(
    ("steps", "outcome"),
    [
        (made(1.0, seeds=2), CollapseOutcome.TOO_FEW_SEEDS),
        (made(1.0)[:1], CollapseOutcome.TOO_FEW_CELLS),
        (made(1.0)[:, :1], CollapseOutcome.TOO_FEW_CELLS),
        (made(1.0)[:2, :2], CollapseOutcome.TOO_FEW_CELLS),
        (made(1.0) * np.nan, CollapseOutcome.TOO_FEW_CELLS),
    ],
    ids=["two seeds", "one alpha", "one batch size", "four settings", "never reached"],
)
def test_too_little_is_answered_with_cannot_tell(steps, outcome):
    found = collapse_exponent(steps)
    assert found.outcome is outcome
    assert found.base is None
    assert found.excluded == ()
    assert found.sentences[0].startswith("Cannot tell")


@pytest.mark.parametrize(
    ("steps", "match"),
    [
        (made(1.0).expand_dims(network=["a"]), "got network, alpha, batch_size, seed"),
        (-made(1.0), "must be positive"),
    ],
)
def test_unusable_steps_are_named(steps, match):
    with pytest.raises(InputError, match=match):
        collapse_exponent(steps)


def test_from_histories_to_delta():
    def steps(alpha, batch_size, learning_rate):
        best = 2.0**-5 * batch_size**0.5
        return 100 * (1 + 20 * (1 + alpha) ** 1.5 / batch_size) * 2 ** (0.3 * np.log2(learning_rate / best) ** 2)

    cube = rising_cube(
        steps, alpha=ALPHA, batch_size=BATCH_SIZE, learning_rate=2.0 ** np.arange(-6.0, 2.0), seeds=4, noise=0.05
    )
    found = collapse_exponent(best_steps(cube, 0.7)["seed_steps"])
    assert found.outcome is CollapseOutcome.FITTED
    assert found.base.delta.value == pytest.approx(1.5, abs=0.1)
    assert found.excluded == (1.0, 2.0)
