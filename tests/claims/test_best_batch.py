"""Best batch against noise: its shift is found where it is known, and judged by the sign predicted for it."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import xarray as xr
from synthetic import cube_of
from test_claims import setup

from effbatch.claims import Case
from effbatch.claims.best_batch import BestBatchClaim
from effbatch.claims.shared import linearised, stored
from effbatch.core.errors import CubeError, SpecError

ALPHAS, BATCHES = (0.0, 1.0, 3.0, 7.0), (8, 16, 32, 64, 128, 256)
SHIFT = BestBatchClaim(measure="best_batch")


def best_at(power: float, start: float = 32.0):
    """Accuracy falls by 0.01 per squared octave from B = start (1+α)^power."""

    def accuracy(cube: xr.Dataset) -> xr.DataArray:
        octaves = np.log2(cube["batch_size"] / start) - power * np.log2(1 + cube["alpha"])
        return 0.8 - 0.01 * octaves**2 - 0.02 * np.log2(cube["learning_rate"] / 0.1) ** 2

    return accuracy


def cube(accuracy, *, alpha=ALPHAS, batch_size=BATCHES, noise=0.002, seeds=8, **axes) -> xr.Dataset:
    return cube_of(accuracy, noise=noise, alpha=alpha, batch_size=batch_size, seed=range(seeds), **axes)


def told(swept: xr.Dataset, **arms: float | None) -> dict:
    """A prediction with these signs; its surface says nothing."""
    surface = xr.full_like(swept["test_accuracy"].isel(seed=0, drop=True), np.nan, dtype=float)
    arms = {name.replace("_", " "): value for name, value in arms.items()}
    return {"linearised": stored.to_json(surface.to_dataset(name="accuracy")), "arms": arms}


@pytest.mark.parametrize("power", [-1.0, 0.0, 1.0])
def test_the_shift_of_the_best_batch_is_recovered_between_grid_points(power):
    batches = tuple(2 ** np.arange(1, 11))
    swept = cube(best_at(power, start=40.0), alpha=(0.0, 1.0, 3.0), batch_size=batches, noise=0.0)
    judged = SHIFT.judge(Case(swept, told(swept, tuned_rate=1.0)))
    assert judged.numbers[0].estimate.value == pytest.approx(power, abs=1e-6)


@pytest.mark.parametrize(
    ("power", "predicted", "verdict"),
    [(0.5, 1.0, "supported"), (0.5, -1.0, "refuted"), (-0.5, -1.0, "supported"), (0.0, 1.0, "undecided")],
)
def test_the_shift_is_judged_by_its_predicted_sign(power, predicted, verdict):
    swept = cube(best_at(power))
    judged = SHIFT.judge(Case(swept, told(swept, tuned_rate=predicted)))
    assert judged.verdict == verdict
    assert (judged.p_value < 0.05) == (verdict != "undecided")
    assert "[" in judged.plain
    assert f"n = {judged.numbers[0].estimate.n}" in judged.plain


@pytest.mark.parametrize("predicted", [None, 0.0], ids=["nothing", "no change"])
def test_without_a_predicted_sign_nothing_is_judged(predicted):
    swept = cube(best_at(0.5))
    judged = SHIFT.judge(Case(swept, told(swept, tuned_rate=predicted)))
    assert judged.verdict == "undecided"
    assert judged.p_value is None
    assert "no sign is judged there" in judged.limits[0]


@pytest.mark.parametrize(("gain", "verdict"), [(0.1, "supported"), (-0.1, "refuted"), (0.0, "undecided")])
def test_the_advantage_is_a_difference_of_differences(gain, verdict):
    def accuracy(swept: xr.Dataset) -> xr.DataArray:
        share = np.log2(swept["batch_size"] / BATCHES[0]) / np.log2(BATCHES[-1] / BATCHES[0])
        return 0.7 - 0.03 * swept["alpha"] + (0.05 + gain * swept["alpha"] / ALPHAS[-1]) * share

    swept = cube(accuracy, noise=0.01)
    judged = BestBatchClaim().judge(Case(swept, told(swept, tuned_rate=0.2)))
    assert judged.verdict == verdict
    assert judged.numbers[0].estimate.low < 100 * gain < judged.numbers[0].estimate.high


def test_what_a_seed_does_to_all_cells_alike_does_not_widen_the_interval():
    swept = cube(best_at(0.5))
    shifted = cube(best_at(0.5), seed_shift=0.2)
    widths = [
        judged.numbers[0].estimate.high - judged.numbers[0].estimate.low
        for judged in (BestBatchClaim().judge(Case(one, told(one, tuned_rate=1.0))) for one in (swept, shifted))
    ]
    assert widths[1] == pytest.approx(widths[0], rel=1e-6)


def test_a_clean_rate_is_chosen_at_the_smallest_alpha_of_each_batch():
    """The best rate falls with noise for large batches only: kept at its clean value it ruins them."""

    def accuracy(swept: xr.Dataset) -> xr.DataArray:
        large = swept["batch_size"] > 50
        best = xr.where(large, 0.4 / (1 + swept["alpha"]), 0.1)
        return 0.9 - 0.05 * np.log2(swept["learning_rate"] / best) ** 2 + 0.0 * swept["batch_size"]

    swept = cube(accuracy, alpha=(0.0, 3.0), batch_size=(8, 128), learning_rate=(0.1, 0.2, 0.4), noise=1e-4)
    judged = BestBatchClaim(rates=("tuned", "clean")).judge(Case(swept, told(swept, tuned_rate=1.0, clean_rate=-1.0)))
    tuned, clean = (number.estimate for number in judged.numbers)
    assert tuned.value == pytest.approx(0, abs=0.1)
    assert clean.value == pytest.approx(-20, abs=0.1)


def test_budgets_are_arms_of_their_own_and_one_wrong_sign_refutes():
    def accuracy(swept: xr.Dataset) -> xr.DataArray:
        power = xr.where(swept["budget"] == "500 steps", 0.5, -0.5)
        octaves = np.log2(swept["batch_size"] / 32) - power * np.log2(1 + swept["alpha"])
        return 0.8 - 0.01 * octaves**2 + 0 * swept["learning_rate"]

    swept = cube(accuracy, budget=["500 steps", "9000 examples"])
    right = {"500 steps, tuned rate": 1.0, "9000 examples, tuned rate": -1.0}
    for signs, verdict in ((right, "supported"), (dict.fromkeys(right, 1.0), "refuted")):
        judged = SHIFT.judge(Case(swept, told(swept) | {"arms": signs}))
        assert judged.verdict == verdict
    assert [panel.title for panel in judged.figures[0].panels] == list(right)


def test_the_infinite_batch_is_drawn_but_not_judged():
    swept = cube(best_at(0.5), copies=["fresh", "expected"])
    judged = SHIFT.judge(Case(swept, told(swept) | {"arms": {"fresh labels, tuned rate": 1.0}}))
    assert judged.verdict == "supported"
    assert "infinite copies" in [series.name for series in judged.figures[0].panels[0].series]


def test_the_prediction_is_the_measure_of_the_predicted_surface():
    made, claim = setup(), BestBatchClaim(rates=("tuned", "clean"))
    prediction = json.loads(json.dumps(claim.predict(made), allow_nan=False))
    surface = linearised.surface(made)["accuracy"]
    lead = surface.max("learning_rate").isel(batch_size=-1) - surface.max("learning_rate").isel(batch_size=0)
    assert prediction["arms"]["tuned rate"] == pytest.approx(float(lead[-1] - lead[0]))
    kept = surface.isel(learning_rate=surface.isel(alpha=0, drop=True).argmax("learning_rate"))
    lead = kept.isel(batch_size=-1) - kept.isel(batch_size=0)
    assert prediction["arms"]["clean rate"] == pytest.approx(float(lead[-1] - lead[0]))


def test_where_the_theory_is_silent_nothing_is_predicted():
    made, claim = setup(), BestBatchClaim()
    options = made.settings({}) | {"copies": "fixed"}
    prediction = claim.predict(replace(made, settings=lambda point: options))
    assert prediction["arms"] == {"tuned rate": None}
    assert "tuned rate: nothing" in claim.describe(prediction)


@pytest.mark.parametrize(
    ("rule", "sentence"),
    [
        ({"measure": "advantag"}, "did you mean 'advantage'"),
        ({"rates": ["tuned", "best"]}, "rates must be a list of names, each one of tuned, clean, got"),
        ({"rates": []}, "rates needs at least one"),
    ],
    ids=str,
)
def test_a_wrong_rule_is_named_before_the_run(rule, sentence):
    with pytest.raises(SpecError, match=sentence):
        BestBatchClaim.by(rule).predict(setup())


def test_several_networks_are_refused():
    swept = cube(best_at(0.5), network=["mlp1", "mlp2"])
    with pytest.raises(CubeError, match="the grid also varies network"):
        SHIFT.judge(Case(swept, told(swept)))
