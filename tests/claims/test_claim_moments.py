"""The claim on gradient moments: coverage and noise scales are found where they are known; every part of it counts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import xarray as xr
from synthetic import cube_of
from test_claims import setup

from effbatch.claims import Case
from effbatch.claims.moments import MomentsClaim, _coverage
from effbatch.core.errors import CubeError, SpecError
from effbatch.plan import cube as cubes
from effbatch.plan.cube import MOMENTS, Outcome
from effbatch.show import charts
from effbatch.theory.moments import GradientMoments

CLAIM = MomentsClaim()
ALPHAS = (1.0, 3.0)
PREDICTION = {"alpha": list(ALPHAS), "factor": [4.0, 16.0]}
UNIFORM = GradientMoments.at_uniform_output(50.0)
LEARNED = GradientMoments(0.1, -0.02, 0.05, 8.0, 20.0)  # G_N has grown, B_noise(α) + 1 is not (1 + α)² that at 0


def world(
    *,
    norm: float = 0.97,
    second: float = 0.97,
    error: float = 1e-15,
    noise: float = 0.01,
    sets: int = 20,
    seeds: int = 6,
    rng: int = 0,
) -> xr.Dataset:
    """Networks with the moments UNIFORM at the first checkpoint and LEARNED at the last; intervals hold that often."""
    cube = cube_of(lambda cube: 0.5 + 0 * cube["alpha"], alpha=(0.0, *ALPHAS), seed=range(seeds))
    draw = np.random.default_rng(rng)
    shape = (*cube["outcome"].shape, 2)
    dims = (*cube["outcome"].dims, "checkpoint")
    values = {name: np.empty(shape) for name in cubes.MEASURED["moments"]}
    for name in MOMENTS:
        truth = np.array([getattr(UNIFORM, name), getattr(LEARNED, name)])
        found = truth + noise * np.abs(truth) * draw.standard_normal(shape)
        values |= {name: found, f"{name}_low": found - 0.05, f"{name}_high": found + 0.05}
    values["noised_sets"][:] = sets
    values["norm_squared_inside"][:] = draw.binomial(sets, norm, shape)
    values["second_moment_inside"][:] = draw.binomial(sets, second, shape)
    values["exact_error"][:] = error
    cube = cube.assign({f"{name}_history": (dims, value) for name, value in values.items()})
    return cube.assign_coords(examples=32 * cube["step"])


def named(judged, start: str):
    return next(number for number in judged.numbers if number.label.startswith(start))


def test_a_closed_form_that_holds_is_recognised():
    judged = CLAIM.judge(Case(world(), PREDICTION))
    assert judged.verdict == "supported"
    assert judged.p_value < 0.05
    assert judged.numbers[0].estimate.low < 97 < judged.numbers[0].estimate.high
    assert judged.numbers[0].estimate.n == 2 * 6 * 2 * 20, "α = 0 is not counted"


@pytest.mark.parametrize(
    ("change", "verdict"),
    [
        ({"norm": 0.6}, "refuted"),
        ({"second": 0.6}, "refuted"),
        ({"norm": 0.9, "sets": 4}, "undecided"),
        ({"error": 1e-3}, "refuted"),
    ],
    ids=["norm outside", "second moment outside", "at the threshold", "not exact"],
)
def test_every_part_of_the_rule_counts(change, verdict):
    assert CLAIM.judge(Case(world(**change), PREDICTION)).verdict == verdict


def test_intervals_of_clean_labels_are_not_judged():
    cube = world()
    for name in ("norm_squared_inside_history", "second_moment_inside_history"):
        cube[name][0] = 0.0
    judged = CLAIM.judge(Case(cube, PREDICTION))
    assert judged.verdict == "supported"
    assert any("(0 and 0 % hold" in limit for limit in judged.limits)


def test_the_noise_scale_leaves_uniform_output_as_the_moments_do():
    judged = CLAIM.judge(Case(world(), PREDICTION))
    for alpha in ALPHAS:
        first = named(judged, f"B_noise over that at uniform output, first checkpoint, α = {alpha:g}").estimate
        last = named(judged, f"B_noise over that at uniform output, end, α = {alpha:g}").estimate
        truth = LEARNED.noise_scale(alpha) / ((1 + alpha) ** 2 * (LEARNED.noise_scale(0.0) + 1) - 1)
        assert first.low < 1 < first.high
        assert last.low < truth < last.high
        assert not last.low < 1 < last.high
    scales = {series.name: series for series in judged.figures[0].panels[0].series}
    assert scales["α = 3"].y[1] == pytest.approx(LEARNED.noise_scale(3.0), rel=0.05)
    assert scales["α = 0"].y[0] == pytest.approx(50, rel=0.05)


def test_a_norm_that_may_be_zero_is_not_divided_by():
    judged = CLAIM.judge(Case(world(noise=3.0), PREDICTION))
    last = named(judged, "B_noise over that at uniform output, end, α = 3")
    assert last.estimate.value is None
    assert last.note.startswith("cannot tell")
    assert "(cannot tell)" in judged.finding
    assert judged.tables[0].rows[-1][7] is None


def test_two_seeds_leave_the_noise_scale_open_but_not_the_closed_form():
    judged = CLAIM.judge(Case(world(seeds=2, sets=100), PREDICTION))
    assert judged.verdict == "supported"
    assert [panel.title for panel in judged.figures[0].panels] == ["ratio to uniform output"]
    charts.draw(judged.figures[0])


@pytest.mark.parametrize(("count", "n"), [(185, 200), (188, 200), (172, 200), (180, 200)])
def test_the_p_value_and_the_limits_agree(count, n):
    cube = xr.Dataset({"inside": xr.DataArray([count]), "noised_sets": xr.DataArray([n])})
    estimate = _coverage(cube, "inside")
    assert estimate.excludes(0.9) == (estimate.p_value(0.9) < 0.05)
    for limit in (estimate.low, estimate.high):
        assert estimate.p_value(limit) == pytest.approx(0.05)


def test_a_diverged_network_is_left_out():
    cube = world()
    cube["outcome"][1, 0, 0, 0] = int(Outcome.DIVERGED)
    cube["norm_squared_inside_history"][1, 0, 0, 0] = 0.0
    judged = CLAIM.judge(Case(cube, PREDICTION))
    assert judged.numbers[0].estimate.n == (2 * 6 - 1) * 2 * 20
    assert judged.limits[0].startswith("1 networks diverged")


def test_what_the_claim_needs_is_said():
    made = setup()
    options = made.settings({})
    with pytest.raises(SpecError, match=r'needs .train. measure = \["moments"\]'):
        CLAIM.predict(replace(made, settings=lambda point: options | {"measure": ()}))
    measured = replace(made, settings=lambda point: options | {"measure": ("moments",)})
    assert CLAIM.predict(measured) == {"alpha": [1.0, 3.0], "factor": [4.0, 16.0]}
    with pytest.raises(SpecError, match=r"got no alpha above 0 in \[grid\]: add one"):
        CLAIM.predict(replace(measured, grid={**made.grid, "alpha": (0.0,)}))
    with pytest.raises(CubeError, match="this one was not measured"):
        CLAIM.judge(Case(cube_of(lambda cube: 0.5 + 0 * cube["alpha"]), PREDICTION))
    twice = xr.concat([world(), world()], xr.Variable("network", ["mlp1", "mlp2"]))
    with pytest.raises(CubeError, match="the grid also varies network"):
        CLAIM.judge(Case(twice, PREDICTION))
