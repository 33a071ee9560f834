"""Clean labels needed: found where they are known, never extrapolated; linear growth told from steeper growth."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from synthetic import cube_of
from test_claims import setup

from effbatch.claims import Case
from effbatch.claims.labels_needed import LabelsNeededClaim
from effbatch.core.errors import CubeError, SpecError
from effbatch.fitting import LabelsOutcome, common_exponent, fit_labels, labels_needed, slope_ratio
from effbatch.theory.detection import accuracy_curve

SIZES, ALPHAS = (20, 40, 80, 160, 320, 640, 1280), (0.0, 1.0, 2.0, 4.0, 8.0)
CLAIM = LabelsNeededClaim(targets=(0.6, 0.8))
PREDICTION = {"targets": [0.6, 0.8], "exponent": 1.0}


def world(power: float, *, alpha=ALPHAS, sizes=SIZES, noise: float = 0.01, rates=(0.1,), **options) -> xr.Dataset:
    """Accuracy of a ten-way choice with d = κ √(n/(1+α)^power), so that n* ∝ (1+α)^power."""

    def accuracy(cube: xr.Dataset) -> xr.DataArray:
        n = cube["clean_examples"] / (1 + cube["alpha"]) ** power
        detected = xr.apply_ufunc(lambda n: accuracy_curve(n, 0.0, 0.25, 10), n)
        return detected - 0.02 * np.log2(cube["learning_rate"] / 0.1) ** 2

    axes = {"clean_examples": sizes, "alpha": alpha, "learning_rate": rates, "seed": range(options.pop("seeds", 8))}
    return cube_of(accuracy, noise=noise, **axes, **options)


def by_size(cube: xr.Dataset) -> xr.DataArray:
    return cube["test_accuracy"].isel(batch_size=0, learning_rate=0, drop=True)


def curve(points: dict[int, float], seeds: int = 3) -> xr.DataArray:
    values = np.broadcast_to(np.array(list(points.values()))[:, None, None], (len(points), 1, seeds))
    coords = {"clean_examples": list(points), "alpha": [0.0], "seed": range(seeds)}
    return xr.DataArray(values, coords, ("clean_examples", "alpha", "seed"))


@pytest.mark.parametrize(
    ("points", "expected"),
    [
        ({10: 0.2, 40: 0.6, 160: 0.8}, 20.0),
        ({160: 0.8, 10: 0.2, 40: 0.6}, 20.0),  # in any order
        ({10: 0.2, 40: 0.4, 160: 0.9}, 40.0),  # exactly at a grid point
        ({10: 0.2, 40: 0.7, 160: 0.5, 640: 0.9}, 40 ** (1 / 2) * 10 ** (1 / 2)),  # a dip is levelled to 0.6
    ],
    ids=["inside", "shuffled", "on the grid", "a dip"],
)
def test_the_target_is_met_by_linear_interpolation_in_log_n(points, expected):
    target = 0.4
    assert labels_needed(curve(points), target, resamples=10)["labels"].item() == pytest.approx(expected)


@pytest.mark.parametrize(
    ("target", "outcome"),
    [(0.95, LabelsOutcome.NOT_REACHED), (0.2, LabelsOutcome.TOO_EASY), (0.1, LabelsOutcome.TOO_EASY)],
)
def test_nothing_is_extrapolated(target, outcome):
    found = labels_needed(curve({10: 0.2, 40: 0.6}), target, resamples=10)
    assert found["outcome"].item() == outcome
    assert np.isnan(found["labels"].item())
    assert np.isnan(found["resampled"]).all()


def test_a_target_that_only_some_seeds_reach_is_not_known():
    accuracy = curve({10: 0.2, 40: 0.6}, seeds=5) + xr.DataArray([0.0, 0, 0, 0, 0.5], dims="seed") * 0.9
    assert labels_needed(accuracy, 0.62)["outcome"].item() == LabelsOutcome.NOT_REACHED
    assert labels_needed(curve({10: 0.2, 40: 0.6}, seeds=2), 0.4)["outcome"].item() == LabelsOutcome.TOO_FEW_SEEDS


def test_the_interval_holds_the_labels_that_were_put_in():
    truth = labels_needed(by_size(world(1.0, noise=0.0, seeds=3)), 0.8, resamples=10)["labels"].values
    held = []
    for rng in range(60):
        found = labels_needed(by_size(world(1.0, noise=0.02, seeds=6, rng=rng)), 0.8, resamples=300)
        known = found["outcome"].values == LabelsOutcome.BRACKETED
        held += list(((found["low"] <= truth) & (truth <= found["high"])).values[known])
    assert len(held) > 200
    assert 0.9 < np.mean(held) <= 0.99


def test_the_line_and_the_exponent_are_recovered_from_exact_labels():
    """n* = 30 + 20 α and its exponent, by the formulas of numpy's own least squares."""
    alpha = np.array(ALPHAS)
    labels = 30 + 20 * alpha
    needed = xr.Dataset(
        {
            "labels": ("alpha", labels),
            "resampled": (("resample", "alpha"), np.log(labels) + np.zeros((4, 1))),
            "outcome": ("alpha", np.full(len(alpha), LabelsOutcome.BRACKETED)),
        },
        coords={"alpha": alpha},
        attrs={"seeds": 5},
    )
    fit = fit_labels(needed)
    assert (fit.intercept.value, fit.slope.value) == pytest.approx((30, 20))
    assert fit.linear_spread == pytest.approx(0, abs=1e-9)
    beta, constant = np.polyfit(np.log1p(alpha), np.log(labels), 1)
    assert fit.exponent.value == pytest.approx(beta)
    relative = 1 - np.exp(constant + beta * np.log1p(alpha)) / labels
    assert fit.power_spread == pytest.approx(np.sqrt((relative**2).sum() / 3))
    twice = needed.assign(labels=2 * needed["labels"], resampled=needed["resampled"] + np.log(2))
    assert slope_ratio(needed, twice).value == pytest.approx(2)
    assert common_exponent([needed, twice]).value == pytest.approx(beta)
    assert fit_labels(needed.isel(alpha=slice(2))) is None


@pytest.mark.parametrize(
    ("power", "verdict"), [(1.0, "supported"), (1.6, "refuted"), (0.5, "refuted")], ids=["linear", "steeper", "flatter"]
)
def test_growth_is_judged_by_its_exponent(power, verdict):
    judged = CLAIM.judge(Case(world(power), PREDICTION))
    assert judged.verdict == verdict
    assert judged.p_value < 0.05
    assert judged.numbers[0].estimate.low <= power <= judged.numbers[0].estimate.high
    assert "[" in judged.plain
    assert f"n = {judged.numbers[0].estimate.n}" in judged.plain
    assert len(judged.figures[0].panels) == 3


def test_slopes_grow_with_the_target():
    judged = CLAIM.judge(Case(world(1.0), PREDICTION))
    ratio = next(number.estimate for number in judged.numbers if "over that" in number.label)
    assert ratio.low > 1


def test_growth_at_the_tolerance_is_undecided():
    judged = CLAIM.judge(Case(world(1 + CLAIM.tolerance), PREDICTION))
    assert judged.verdict == "undecided"
    assert judged.p_value > 0.05


def test_targets_out_of_reach_are_undecided_and_counted():
    judged = CLAIM.judge(Case(world(1.0, sizes=(5, 10)), PREDICTION))
    assert judged.verdict == "undecided"
    assert judged.p_value is None
    assert "10 of 10 settings take no part" in judged.limits[0]


def test_the_learning_rate_is_chosen_per_setting():
    tuned = CLAIM.judge(Case(world(1.0, rates=(0.05, 0.1, 0.2), noise=0.002), PREDICTION))
    single = CLAIM.judge(Case(world(1.0, noise=0.002), PREDICTION))
    assert tuned.numbers[0].estimate.value == pytest.approx(single.numbers[0].estimate.value, abs=0.05)


def test_other_grids_are_refused():
    with pytest.raises(CubeError, match=r"give \[grid\] clean_examples"):
        CLAIM.judge(Case(world(1.0).isel(clean_examples=0, drop=True), PREDICTION))
    with pytest.raises(CubeError, match="the grid also varies batch_size"):
        CLAIM.judge(Case(world(1.0, batch_size=(8, 32)), PREDICTION))


@pytest.mark.parametrize(
    ("targets", "said"),
    [
        ([0.8], r"at least two accuracies, got \[0.8\]"),
        ([0.8, 1.5], r"each a number above 0 and below 1, got \[0.8, 1.5\]"),
        ([0.8, "a"], r"each a number above 0 and below 1, got \[0.8, 'a'\]"),
    ],
    ids=str,
)
def test_targets_are_checked_before_the_run(targets, said):
    with pytest.raises(SpecError, match=said):
        LabelsNeededClaim.by({"targets": targets}).predict(setup())
