"""Memorising: the crossing of the noise floor is found where it is known, and the claim judged by all of its parts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import xarray as xr
from synthetic import cube_of
from test_claims import setup

from effbatch.claims import Case
from effbatch.claims.memorisation import MemorisationClaim
from effbatch.core.errors import CubeError, SpecError
from effbatch.noise import UniformNoise
from effbatch.plan.cube import Outcome

CLAIM = MemorisationClaim()
ALPHAS = (1.0, 3.0)
FLOORS = [float(UniformNoise(alpha, 10).loss_floor) for alpha in ALPHAS]
EPOCHS, CHECKPOINTS = 64, 13
PREDICTION = {"epochs": EPOCHS, "alpha": list(ALPHAS), "floor": FLOORS}


def world(
    *, crossing: float = 8.0, lost: float = 0.2, first: float = 0.4, noise: float = 0.01, seeds: int = 6, rng: int = 0
) -> xr.Dataset:
    """Loss minus floor is `first` up to epoch 1, then linear in ln(epochs) through 0 at `crossing`.

    Accuracy rises up to epoch 4 and falls linearly in ln(epochs) from there, by `lost` until the end. One epoch is 32
    steps at the first α and 64 at the second, as there are more copies.
    """
    cube = cube_of(lambda cube: 0.5 + 0 * cube["alpha"], alpha=(0.0, *ALPHAS), seed=range(seeds))
    epochs = xr.DataArray(np.geomspace(EPOCHS / 4096, EPOCHS, CHECKPOINTS), dims="checkpoint")
    draw = np.random.default_rng(rng)
    dims, shape = (*cube["outcome"].dims, "checkpoint"), (*cube["outcome"].shape, CHECKPOINTS)
    scatter = [noise * xr.DataArray(draw.standard_normal(shape), dims=dims) for _ in range(2)]
    floor = xr.DataArray([0.0, *FLOORS], {"alpha": cube["alpha"]})
    later = first * (1 - np.log(epochs) / np.log(crossing))
    fall = lost * np.log(epochs / 4) / np.log(EPOCHS / 4)
    accuracy = 0.8 - xr.where(epochs > 4, fall, -0.05 * np.log(epochs / 4))
    cube = cube.drop_dims("checkpoint").assign_coords(
        step=(32 * epochs * xr.DataArray([1, 1, 2], {"alpha": cube["alpha"]})).transpose("alpha", "checkpoint")
    )
    cube["train_loss_history"] = (floor + xr.where(epochs > 1, later, first) + scatter[0]).transpose(*dims)
    cube["test_accuracy_history"] = (accuracy + scatter[1]).transpose(*dims)
    return cube


def named(judged, start: str):
    return next(number for number in judged.numbers if number.label.startswith(start))


def test_a_world_of_memorising_is_recognised():
    judged = CLAIM.judge(Case(world(), PREDICTION))
    assert judged.verdict == "supported"
    assert judged.p_value < 0.05
    for alpha in ALPHAS:
        crossing = named(judged, f"epochs to the floor, α = {alpha:g}").estimate
        assert crossing.low < 8 < crossing.high
        for gap in ("loss of the first epoch minus H", "H minus loss at the end"):
            assert named(judged, f"{gap}, α = {alpha:g}").estimate.value == pytest.approx(0.4, abs=0.02)
    assert judged.numbers[0].estimate.value == pytest.approx(20, abs=1.5)


def test_accuracies_of_the_table_are_those_of_the_scored_seeds():
    """The first seed only chooses: whatever it scores, the table does not change."""
    cube = world()
    (before,) = CLAIM.judge(Case(cube, PREDICTION)).tables
    assert [row[-1] for row in before.rows] == [5, 5]
    cube["test_accuracy_history"].loc[{"seed": 0}] -= 0.3
    (after,) = CLAIM.judge(Case(cube, PREDICTION)).tables
    assert [row[5:] for row in after.rows] == [row[5:] for row in before.rows]


@pytest.mark.parametrize(
    ("change", "verdict"),
    [
        ({"lost": 0.0, "noise": 0.003}, "refuted"),
        ({"lost": 0.01, "noise": 0.02}, "undecided"),
        ({"crossing": 1000.0}, "refuted"),
        ({"first": -0.2}, "refuted"),
        ({"seeds": 2}, "undecided"),
    ],
    ids=["accuracy stays", "accuracy hardly falls", "loss stays above", "loss below at once", "two seeds"],
)
def test_every_part_of_the_rule_counts(change, verdict):
    assert CLAIM.judge(Case(world(**change), PREDICTION)).verdict == verdict


def test_a_loss_that_never_crosses_is_not_extrapolated():
    judged = CLAIM.judge(Case(world(crossing=1000.0), PREDICTION))
    assert named(judged, "epochs to the floor").estimate.value is None
    assert named(judged, "epochs to the floor").note == "not within 64 epochs"
    assert "At 2 noise levels" in judged.limits[0]


def test_the_first_epoch_is_averaged_over_its_steps():
    """Losses are means since the checkpoint before: with steps 8, 24 and 32 of 32 they weigh 8, 16 and 8."""
    cube = world(noise=0.0).isel(checkpoint=slice(4))
    step = xr.DataArray([8, 24, 32, 32 * EPOCHS], dims="checkpoint")
    cube = cube.drop_vars("step").assign_coords(step=step)
    cube["train_loss_history"][:] = np.array([3.0, 2.5, 4.0, 0.5])
    judged = CLAIM.judge(Case(cube, PREDICTION))
    expected = (8 * 3.0 + 16 * 2.5 + 8 * 4.0) / 32 - FLOORS[0]
    assert named(judged, "loss of the first epoch minus H, α = 1").estimate.value == pytest.approx(expected)


def test_luck_in_the_best_checkpoint_is_no_loss():
    """Accuracy that only fluctuates: a seed's best checkpoint is high by chance, that of the seeds before is not."""
    lost = [
        CLAIM.judge(Case(world(lost=0.0, noise=0.05, rng=rng), PREDICTION)).numbers[0].estimate.value
        for rng in range(20)
    ]
    assert abs(np.mean(lost)) < 1.5


def test_a_diverged_seed_leaves_its_alpha_unjudged():
    cube = world()
    cube["outcome"][1, 0, 0, 0] = int(Outcome.DIVERGED)
    judged = CLAIM.judge(Case(cube, PREDICTION))
    assert judged.verdict == "undecided"
    assert any("Diverged runs" in limit for limit in judged.limits)


def test_several_rates_are_refused():
    cube = world()
    twice = xr.concat([cube, cube], xr.Variable("network", ["mlp1", "mlp2"]))
    with pytest.raises(CubeError, match="the grid also varies network"):
        CLAIM.judge(Case(twice, PREDICTION))


@pytest.mark.parametrize(
    ("other", "sentence"),
    [
        ({"copies": "fresh"}, "got noise = 'uniform' and copies = 'fresh'"),
        ({"budget": {"steps": 100}}, "more than one epoch, got {'steps': 100}"),
        ({"budget": {"epochs": 1}}, "more than one epoch, got {'epochs': 1}"),
        ({"budget": {"epochs": 300}}, "within the first epoch, .*got {'epochs': 300}: give at most 128 epochs"),
    ],
    ids=str,
)
def test_what_the_claim_needs_is_checked_before_the_run(other, sentence):
    made = setup()
    options = made.settings({}) | {"copies": "fixed", "budget": {"epochs": 20}} | other
    with pytest.raises(SpecError, match=sentence):
        CLAIM.predict(replace(made, settings=lambda point: options))


def test_the_floor_is_that_of_the_noise():
    made = setup()
    options = made.settings({}) | {"copies": "fixed", "budget": {"epochs": 20}}
    prediction = CLAIM.predict(replace(made, settings=lambda point: options))
    assert prediction["alpha"] == [1.0, 3.0]
    assert prediction["floor"] == pytest.approx(FLOORS)
    with pytest.raises(SpecError, match=r"got no alpha above 0 in \[grid\]: add one"):
        CLAIM.predict(replace(made, grid={**made.grid, "alpha": (0.0,)}, settings=lambda point: options))
