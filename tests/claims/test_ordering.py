"""The claim that accuracies come in an order: on worlds in that order, in another, and in none that can be seen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest
import xarray as xr
from test_claims import setup

from effbatch.claims import Case
from effbatch.claims.ordering import OrderingClaim
from effbatch.core.errors import SpecError
from effbatch.plan import cube as cubes
from effbatch.show.charts import reading_key

NETWORKS = ("mlp1", "perceptron", "mlp2")  # the grid's order, not that of the claim
CLAIM = OrderingClaim(order=("perceptron", "mlp1", "mlp2"))
RISING = {"perceptron": 0.5, "mlp1": 0.6, "mlp2": 0.7}


def made():
    return setup(network=NETWORKS)


def world(left: Mapping[str, float], *, seeds: int = 6, shared: float = 0.0, own: float = 0.01, rng: int = 0):
    """0.9 without noise; under noise `left` of each network, less 5 points per octave from one learning rate.

    Scatter of a seed: `shared` by all cells, and their `own`.
    """
    grid = {**made().grid, "seed": range(seeds)}
    cube = cubes.empty(grid, checkpoints=1)
    draw = np.random.default_rng(rng)
    noisy = xr.DataArray([left[name] for name in NETWORKS], coords={"network": list(NETWORKS)})
    accuracy = xr.where(cube["alpha"] > 0, noisy, 0.9) - 0.05 * np.abs(np.log2(cube["learning_rate"] / 2.0**-4))
    accuracy = accuracy.broadcast_like(cube["outcome"])
    accuracy = accuracy + shared * xr.DataArray(draw.standard_normal(seeds), dims="seed")
    cube["test_accuracy"] = accuracy.transpose(*cube["outcome"].dims) + own * draw.standard_normal(
        cube["outcome"].shape
    )
    cube["outcome"] = xr.full_like(cube["outcome"], int(cubes.Outcome.FINISHED))
    cube.attrs["num_classes"] = 10
    return cube


def judge(left: Mapping[str, float], **world_options):
    return CLAIM.judge(Case(world(left, **world_options), CLAIM.predict(made())))


def test_the_order_said_is_supported_with_its_differences_and_drops():
    judged = judge(RISING)
    assert judged.verdict == "supported"
    numbers = {number.label: number for number in judged.numbers}
    assert numbers["accuracy, mlp2 minus mlp1"].estimate.value == pytest.approx(10, abs=1)
    assert numbers["accuracy lost to noise, perceptron"].estimate.value == pytest.approx(40, abs=1)
    assert numbers["accuracy lost to noise, mlp2"].note.startswith("predicted: ")
    assert [table.rows[0][0] for table in judged.tables] == ["perceptron"]


@pytest.mark.parametrize("alphas", [None, 1], ids=["every-alpha", "one-alpha"])
def test_the_first_figure_ranks_measured_and_predicted_accuracies_as_claimed(alphas):
    cube = world(RISING)
    noisy = cube["alpha"].values[cube["alpha"].values > 0][:alphas]
    prediction = CLAIM.predict(replace(made(), grid={**made().grid, "alpha": tuple(noisy)}))
    judged = CLAIM.judge(Case(cube.sel(alpha=noisy), prediction))
    panel = judged.figures[0].panels[0]
    assert tuple(panel.y.names) == CLAIM.order
    measured, *predicted = panel.series
    assert list(measured.y) == [0, 1, 2]
    assert measured.x == pytest.approx([50, 60, 70], abs=1.5)
    assert all(low < x < high for x, _, low, high in measured.points())
    assert [(one.role, list(one.y)) for one in predicted] == [("predicted", [place]) for place in range(3)]
    assert "Every step is in the order said." in judged.figures[0].caption
    assert reading_key(judged.figures[0]) == "Points, measured (bars: interval); points, predicted."
    assert len(judged.figures) == 1 + (len(noisy) > 1)


def test_one_step_the_other_way_refutes_and_comes_first():
    judged = judge({**RISING, "mlp2": 0.55})
    assert judged.verdict == "refuted"
    assert judged.numbers[0].label == "accuracy, mlp2 minus mlp1"
    assert judged.numbers[0].estimate.value == pytest.approx(-5, abs=1)
    assert "The other way round: mlp1 above mlp2." in judged.finding


def test_equal_neighbours_are_undecided():
    judged = judge({**RISING, "mlp2": 0.6})
    assert judged.verdict == "undecided"
    assert "Not told apart: mlp1 and mlp2." in judged.finding


def test_one_seed_decides_nothing():
    assert judge(RISING, seeds=1).verdict == "undecided"


def test_differences_are_paired_over_seeds():
    """Seeds that differ by 20 points, networks by 2: only differences within a seed can tell."""
    close = {"perceptron": 0.5, "mlp1": 0.52, "mlp2": 0.54}
    assert judge(close, shared=0.2, own=0.002).verdict == "supported"


def test_equal_networks_are_refuted_no_more_often_than_promised():
    """Two differences and nothing to find: in 2.5 % of worlds, at most, an interval lies below 0 by chance."""
    equal, prediction = dict.fromkeys(NETWORKS, 0.6), CLAIM.predict(made())
    verdicts = [CLAIM.judge(Case(world(equal, rng=rng, own=0.02), prediction)).verdict for rng in range(20)]
    assert verdicts.count("refuted") <= 3  # more by chance in one of 500


def test_what_the_grid_also_varies_is_averaged():
    """The batch sizes differ by 30 points; each network is what is left on average."""
    cube = world(RISING)
    cube["test_accuracy"] = cube["test_accuracy"] + 0.3 * (np.log2(cube["batch_size"]) - 5) / 4
    judged = CLAIM.judge(Case(cube, CLAIM.predict(made())))
    assert judged.verdict == "supported"
    assert judged.numbers[0].estimate.value == pytest.approx(10, abs=1)


@pytest.mark.parametrize(
    ("rule", "sentence"),
    [
        ({"along": "netwrok"}, r"no list of \[grid\] to compare along; did you mean 'network'"),
        ({"order": ["perceptron", "mlp1"]}, r"order needs the values of network .* got \['perceptron', 'mlp1'\]"),
        ({"order": []}, r"got \[\]"),
    ],
    ids=["along", "short", "empty"],
)
def test_an_order_that_does_not_fit_the_grid_is_refused(rule, sentence):
    with pytest.raises(SpecError, match=sentence):
        replace(CLAIM, **{key: tuple(value) if key == "order" else value for key, value in rule.items()}).predict(
            made()
        )


def test_a_grid_without_noise_is_refused():
    clean = replace(made(), grid={**made().grid, "alpha": (0.0,)})
    with pytest.raises(SpecError, match=r"got no alpha above 0 in \[grid\]: add one"):
        CLAIM.predict(clean)


@pytest.mark.parametrize(
    ("left", "verdict"),
    [
        (RISING, "supported"),
        ({**RISING, "mlp1": 0.3}, "refuted"),
        ({**RISING, "mlp1": 0.5}, "undecided"),
    ],
)
def test_the_p_value_goes_with_the_verdict(left, verdict):
    judged = judge(left)
    assert judged.verdict == verdict
    assert (judged.p_value < 0.05) == (verdict != "undecided")
