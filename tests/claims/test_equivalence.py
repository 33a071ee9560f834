"""The claim that two kinds of noise leave the same accuracy: on worlds where they do, do not, or hardly."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import xarray as xr
from test_claims import setup

from effbatch.claims import Case
from effbatch.claims.equivalence import EquivalenceClaim
from effbatch.core.errors import SpecError
from effbatch.plan import cube as cubes

KINDS = ("given", "same_matrix", "same_rate")
CLAIM = EquivalenceClaim(margin=0.02)
RATE = "uniform noise of the same rate"


def world(lost: float, *, seeds: int = 6, shared: float = 0.05, own: float = 0.003):
    """0.6 at the best rate, `lost` less with the labels given, half of that with their matrix."""
    grid = {"alpha": (0.0,), "batch_size": (32, 128), "learning_rate": (0.01, 0.04, 0.16), "seed": range(seeds)}
    cube = cubes.empty({**grid, "noise": KINDS}, checkpoints=2, measured=("memorised",))
    draw = np.random.default_rng(0)
    kinds = xr.DataArray([lost, lost / 2, 0.0], coords={"noise": list(KINDS)})
    accuracy = 0.6 - kinds - 0.02 * np.log2(cube["learning_rate"] / 0.04) ** 2
    accuracy = accuracy + shared * xr.DataArray(draw.standard_normal(seeds), dims="seed")
    accuracy = accuracy.broadcast_like(cube["outcome"]).transpose(*cube["outcome"].dims)
    cube["test_accuracy"] = accuracy + own * draw.standard_normal(cube["outcome"].shape)
    cube["outcome"] = xr.full_like(cube["outcome"], int(cubes.Outcome.FINISHED))
    cube["memorised_history"] = xr.full_like(cube["memorised_history"], 0.25)
    cube.attrs |= {"num_classes": 10, "given_labels": '{"asked": {"noise_rate": 0.4, "alpha": 0.8}}'}
    return cube


def judge(lost: float, **options):
    return CLAIM.judge(Case(world(lost, **options), CLAIM.predict(setup(noise=KINDS))))


@pytest.mark.parametrize(("lost", "verdict"), [(0.0, "supported"), (0.06, "refuted"), (-0.06, "refuted")])
def test_a_difference_is_judged_by_the_margin(lost, verdict):
    judged = judge(lost)
    assert judged.verdict == verdict
    assert judged.numbers[0].label == f"accuracy, the labels given minus {RATE}"
    assert judged.numbers[0].estimate.value == pytest.approx(-100 * lost, abs=0.5)


def test_a_difference_of_the_size_of_the_margin_is_undecided_and_so_is_one_seed():
    assert judge(0.015, own=0.01).verdict == "undecided"
    one = judge(0.0, seeds=1)
    assert one.verdict == "undecided"
    assert "(no interval)" in one.finding


def test_the_other_values_and_every_setting_stand_beside_it():
    judged = judge(0.06)
    numbers = {number.label: number.estimate.value for number in judged.numbers}
    assert numbers[f"accuracy, noise of the same matrix minus {RATE}"] == pytest.approx(-3, abs=0.5)
    assert numbers[f"accuracy, the labels given minus {RATE}, B = 32"] == pytest.approx(-6, abs=0.7)
    table = judged.tables[0]
    assert "40.0 % are wrong, as many as of uniform noise with α = 0.80" in table.caption
    assert [row[2] for row in table.rows] == [25.0] * 6
    assert {len(panel.series) for panel in judged.figures[0].panels} == {3}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"along": "nois"}, "along = 'nois' is no list of .grid. to compare along; did you mean 'noise'"),
        ({"value": "uniform"}, "must be two values of noise in .grid., got 'uniform' and 'same_rate'"),
        ({"value": "same_rate"}, "must be two values of noise in .grid., got 'same_rate' and 'same_rate'"),
    ],
)
def test_what_the_grid_cannot_compare_is_refused(options, said):
    with pytest.raises(SpecError, match=said):
        replace(CLAIM, **options).predict(setup(noise=KINDS))
