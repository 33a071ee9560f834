"""The claim that the best rate goes as a power of what the grid varies: on worlds where it does, and does not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import xarray as xr
from synthetic import cube_of
from test_claims import setup

from effbatch.claims import Case, Setup
from effbatch.claims.rate_exponent import RateExponentClaim
from effbatch.core.errors import CubeError, SpecError
from effbatch.theory.dynamics import best_learning_rate

RATES = tuple(2.0 ** np.arange(-10, 3, 0.5))
BUDGETS = ("50 steps", "500 steps", "5000 steps")


def world(log2_rate, *, noise: float = 0.004, seed_shift: float = 0.002, **axes):
    """Accuracy falls with the square of the distance from the best rate, in octaves."""
    grid = {"learning_rate": RATES, "seed": range(6), **axes}

    def accuracy(cube):
        return 0.8 - 0.03 * (np.log2(cube["learning_rate"]) - log2_rate(cube)) ** 2

    return cube_of(accuracy, noise=noise, seed_shift=seed_shift, **grid)


def noisy(power: float):
    """The rate goes as this power of 1 + α, twice as high at B = 128."""
    alphas = {"alpha": (0.0, 1.0, 3.0, 7.0), "batch_size": (32, 128)}
    return world(lambda c: -3 + power * np.log2(1 + c["alpha"]) + (c["batch_size"] > 32), **alphas)


def judge(claim: RateExponentClaim, cube: xr.Dataset):
    return claim.judge(Case(cube, {"exponent": claim.exponent}))


@pytest.mark.parametrize(("power", "verdict"), [(-0.5, "supported"), (0.0, "refuted"), (-1.0, "refuted")])
def test_a_power_of_noise_is_judged_by_the_margin(power, verdict):
    judged = judge(RateExponentClaim(exponent=-0.5), noisy(power))
    assert judged.verdict == verdict
    assert judged.numbers[0].label == "exponent of 1 + α in the best rate"
    assert judged.numbers[0].estimate.value == pytest.approx(power, abs=0.06)
    assert ("is excluded" in judged.finding) == (power != 0)
    by_batch = [number.estimate.value for number in judged.numbers if "B = " in number.label]
    assert by_batch == pytest.approx([power, power], abs=0.08)
    assert {len(panel.series) for panel in judged.figures[0].panels} == {2}


def test_an_exponent_at_the_margin_is_undecided_and_so_are_few_seeds():
    claim = RateExponentClaim(exponent=-0.3)
    assert judge(claim, noisy(-0.5)).verdict == "undecided"
    assert judge(replace(claim, exponent=-0.5), noisy(-0.5).isel(seed=slice(2))).verdict == "undecided"


def test_the_budget_counts_as_its_number():
    cube = world(lambda c: -xr.DataArray([0.0, 1.0, 2.0], coords={"budget": list(BUDGETS)}), budget=BUDGETS)
    judged = judge(RateExponentClaim(along="budget", exponent=-0.3), cube)
    assert judged.numbers[0].estimate.value == pytest.approx(-1 / np.log2(10), abs=0.03)
    assert judged.figures[0].panels[0].x.ticks == pytest.approx([50, 500, 5000])


def test_a_list_of_two_names_counts_octaves_and_the_rest_is_averaged():
    kinds = xr.DataArray([0.0, 1.5], coords={"loss": ["cross_entropy", "gce"]})
    cube = world(lambda c: -4 + kinds * (1 + (c["alpha"] > 1)), loss=("cross_entropy", "gce"), alpha=(1.0, 3.0))
    judged = judge(RateExponentClaim(along="loss", exponent=2.25), cube)
    assert judged.verdict == "supported"
    assert [number.estimate.value for number in judged.numbers[-2:]] == pytest.approx([1.5, 3.0], abs=0.15)
    assert list(judged.figures[0].panels[0].x.names) == ["cross-entropy", "generalised cross-entropy"]
    assert judged.finding.startswith("From cross-entropy to generalised cross-entropy, the best rate changes by 2.2")


def test_between_two_values_the_change_of_the_exponent_counts():
    starts, alphas = (3.0, 0.0), (1.0, 3.0, 7.0)
    cube = world(
        lambda c: -3 - (0.5 + 0.4 * (c["last_layer"] < 1)) * np.log2(1 + c["alpha"]), last_layer=starts, alpha=alphas
    )
    claim = RateExponentClaim(between="last_layer", exponent=-0.4)
    judged = judge(claim, cube)
    assert judged.verdict == "supported"
    assert judged.numbers[0].estimate.value == pytest.approx(-0.4, abs=0.06)
    assert judged.finding.startswith("From scale of the last layer = 3 to 0, the exponent of 1 + α in the best rate")
    assert judge(claim, cube.isel(last_layer=slice(None, None, -1))).numbers[0].estimate.value > 0.3
    with pytest.raises(CubeError, match=r"needs a cube along last_layer, got none"):
        judge(claim, cube.isel(last_layer=0))


def of_grid(spectrum=None, **extras) -> Setup:
    """The grid of `setup` at α > 0, whose untrained networks have this spectrum whatever the seed."""
    made = setup(**extras)
    options, spectrum = made.settings({}), spectrum or made.spectrum({})
    return replace(
        made,
        grid={**made.grid, "alpha": (1.0, 3.0, 7.0), "batch_size": (32,)},
        settings=lambda point: options | point,
        spectrum=lambda point, seed=0: spectrum,
    )


def test_by_default_the_theory_says_the_exponent():
    made = of_grid()
    told = RateExponentClaim().predict(made)
    rates = best_learning_rate(made.spectrum({}), np.array([1.0, 3, 7]), 32, 100)
    assert told["exponent"] == pytest.approx(np.polyfit([1, 2, 3], np.log2(rates), 1)[0], abs=1e-3)
    judged = RateExponentClaim(rival=1.0).judge(Case(noisy(told["exponent"]), told))
    assert judged.verdict == "supported"
    assert "says the linearised theory" in RateExponentClaim().describe(told)


@pytest.mark.parametrize(
    ("claim", "lists", "exponent"),
    [
        ({"along": "loss"}, {"loss": ("cross_entropy", "gce")}, np.log2(10**0.7 / 0.3)),
        ({"between": "loss"}, {"loss": ("cross_entropy", "forward")}, 2.0),
        ({"along": "label_smoothing", "rival": 0.5}, {"label_smoothing": (0.0, 0.3)}, 0.0),
    ],
    ids=["gce", "forward", "label smoothing"],
)
def test_without_an_initial_function_other_losses_move_the_rate_by_their_curvature(claim, lists, exponent):
    spectrum = setup().spectrum({})
    made = of_grid(replace(spectrum, initial_energies=0 * spectrum.initial_energies), **lists)
    assert RateExponentClaim(**claim).predict(made)["exponent"] == pytest.approx(exponent, abs=0.01)


@pytest.mark.parametrize(
    ("claim", "lists", "said"),
    [
        ({"along": "alfa"}, {}, "'alfa' is no list of .grid. for rate_exponent; did you mean 'alpha'"),
        ({"between": "loss"}, {}, "'loss' is no list of .grid. for rate_exponent"),
        ({"along": "loss"}, {"loss": ("cross_entropy", "gce", "forward")}, "needs two values of loss in .grid., got 3"),
        ({"along": "batch_size"}, {}, "needs at least two values of batch_size in .grid., got 1"),
        ({"exponent": "theory"}, {}, "must be a number or \"linearised\", got 'theory'"),
        ({"exponent": 0.1}, {}, "must tell the exponent 0.1 from the rival 0, got 0.2"),
        ({}, {"optimizer": ("sgd", "adam")}, "exponent needs to be a number where the linearised theory is silent"),
    ],
)
def test_what_the_grid_cannot_judge_is_refused(claim, lists, said):
    with pytest.raises(SpecError, match=said):
        RateExponentClaim(**claim).predict(of_grid(**lists))
