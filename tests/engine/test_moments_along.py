"""Moments along training: those of each member's own weights, whatever trains beside it, and by name in the cube."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from synthetic import unit
from torch.nn.functional import cross_entropy

from effbatch.claims import Case
from effbatch.claims.moments import MomentsClaim
from effbatch.engine.moments_along import moments_along
from effbatch.engine.train import train_unit
from effbatch.measure.gradients import measure_moments
from effbatch.measure.moments_check import of_these_images
from effbatch.networks import zoo
from effbatch.plan import cube as cubes
from effbatch.plan import spec as specs
from effbatch.plan.cube import MOMENTS, Outcome
from effbatch.plan.units import units
from effbatch.sweep import runner

CPU = torch.device("cpu")
NAMES = set(cubes.MEASURED["moments"])
HISTORIES = {f"{name}_history" for name in NAMES}
FIVE = MOMENTS
MEASURED = unit(network="perceptron", measure=("moments",))


def test_the_five_numbers_are_those_of_the_images_that_the_seed_trains_on(little_images):
    net = zoo.build("perceptron", (1, 8, 8), 3, seed=0)
    found = moments_along(net, little_images, clean_examples=60, alpha=2.5, seed=0, step=4)
    x, y = little_images.x_train.astype(np.float64), little_images.y_train
    for name, number in measure_moments(net.double(), x, y, num_classes=3).numbers().items():
        assert found[name] == pytest.approx(number.value, rel=1e-9)
        assert (found[f"{name}_low"], found[f"{name}_high"]) == pytest.approx(number.interval, rel=1e-9)
    assert set(found) == NAMES
    assert found["exact_error"] < 1e-12


def test_the_numbers_of_these_images_are_sums_over_all_of_them(little_images):
    """The slow twin: one backward pass for each image and label."""
    net = zoo.build("perceptron", (1, 8, 8), 3, seed=1).double()
    x, y = little_images.x_train[:9].astype(np.float64), little_images.y_train[:9]

    def gradient(i: int, k: int) -> np.ndarray:
        loss = cross_entropy(net(torch.as_tensor(x[i : i + 1])), torch.tensor([k]))
        return torch.cat([g.flatten() for g in torch.autograd.grad(loss, list(net.parameters()))]).numpy()

    g = np.array([[gradient(i, k) for k in range(3)] for i in range(9)])
    G_0, G_N = g[np.arange(9), y].mean(0), g.mean((0, 1))
    found = of_these_images(net, x, y, measure_moments(net, x, y, num_classes=3).estimate, num_classes=3)
    expected = (G_0 @ G_0, G_0 @ G_N, G_N @ G_N, (g[np.arange(9), y] ** 2).sum(1).mean(), (g**2).sum(2).mean())
    assert [getattr(found, name) for name in FIVE] == pytest.approx(expected, rel=1e-9)


def test_a_cell_is_measured_alike_alone_and_among_others(little_images):
    whole = train_unit(MEASURED, little_images, device=CPU)
    assert all(whole[name].shape == (2, 2, 2, 2) and np.isfinite(whole[name]).all() for name in HISTORIES)
    for a, r, s in ((1, 0, 1), (0, 1, 0)):
        chosen = {"alphas": (MEASURED.alphas[a],), "learning_rates": (MEASURED.learning_rates[r],)}
        alone = train_unit(replace(MEASURED, **chosen, seeds=(MEASURED.seeds[s],)), little_images, device=CPU)
        for name in FIVE:
            np.testing.assert_allclose(alone[f"{name}_history"][0, 0, 0], whole[f"{name}_history"][a, r, s], rtol=1e-3)
    plain = train_unit(replace(MEASURED, train=replace(MEASURED.train, measure=())), little_images, device=CPU)
    np.testing.assert_array_equal(plain["test_loss_history"], whole["test_loss_history"])
    assert set(whole) - set(plain) == HISTORIES


def test_a_diverged_network_has_no_moments(little_images):
    wild = replace(MEASURED, train=replace(MEASURED.train, network="mlp1"), learning_rates=(0.05, 1e30))
    found = train_unit(wild, little_images, device=CPU)
    diverged = found["outcome"] == int(Outcome.DIVERGED)
    assert diverged[:, 1].all()
    assert not diverged[:, 0].any()
    for name in HISTORIES:
        assert np.isnan(found[name][:, 1, :, -1]).all()
        assert np.isfinite(found[name][:, 0]).all()


def test_what_is_not_measured_leaves_no_trace_in_names(spec_text):
    plain, measured = (
        specs.parse(text) for text in (spec_text, spec_text.replace("[grid]", 'measure = ["moments"]\n[grid]'))
    )
    assert specs.parse(spec_text.replace("[grid]", "measure = []\n[grid]")).resolved() == plain.resolved()
    assert "measure" not in plain.resolved()["train"]
    assert measured.resolved()["train"]["measure"] == ["moments"]
    keys, others = ([unit.key for unit in units(spec, {"digits": 1297})] for spec in (plain, measured))
    assert not set(keys) & set(others)


def test_a_sweep_holds_what_was_measured_and_is_judged(spec_text, tmp_path):
    text = spec_text.replace("[grid]", 'measure = ["moments"]\n[grid]').replace("[0.1, 0.4]", "[0.1]")
    spec = specs.parse(text.replace("seed = 2", "seed = 3").replace('kind = "collapse"', 'kind = "moments"'))
    swept = runner.simulate(spec, tmp_path, device="cpu")
    assert set(swept.data_vars) >= HISTORIES
    assert swept["clean_norm_squared_history"].attrs["units"] == "nat2"
    assert swept["clean_norm_squared_history"].dims[-1] == "checkpoint"
    assert bool(swept["noisy_norm_squared_history"].notnull().all())
    prediction = {"alpha": [2.5], "factor": [3.5**2]}
    judged = MomentsClaim().judge(Case(swept, prediction))
    assert judged.verdict != "refuted"
    assert judged.numbers[3].estimate.value < 1e-12
    assert runner.simulate(spec, tmp_path, device="cpu").identical(swept), "from the units on disk"
