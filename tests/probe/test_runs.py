"""Short real runs: what they see, what they cost, what they leave untouched, and that they find what a sweep finds."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from effbatch.core.errors import InputError
from effbatch.data import datasets
from effbatch.data.dataset import DataSet
from effbatch.networks import zoo
from effbatch.plan.recipe import Recipe
from effbatch.probe import runs
from effbatch.probe.rule import find
from effbatch.probe.runs import Hooks, KnownLabels, price, probe
from effbatch.theory.schedules import SCHEDULES

RECIPE = Recipe(optimizer="momentum", schedule="cosine", steps=60, batch_size=16)
SIMULATED = KnownLabels(alpha=1.0)


@pytest.fixture(scope="module")
def digits() -> DataSet:
    return datasets.load("digits")


def mlp1(seed: int) -> nn.Module:
    return zoo.build("mlp1", (1, 8, 8), 10, seed=seed)


def with_batch_norm(seed: int) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Flatten(), nn.Linear(64, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.1), nn.Linear(16, 10)
    )


def test_the_test_set_never_chooses(digits):
    blind = replace(digits, x_test=np.full_like(digits.x_test, np.nan), y_test=np.zeros_like(digits.y_test))
    seen, unseen = (probe(mlp1, data, RECIPE, SIMULATED) for data in (digits, blind))
    assert seen.learning_rate == unseen.learning_rate
    assert seen.accuracy == unseen.accuracy


def test_noisy_labels_are_scored_by_twice_as_many_of_them_at_rates_farther_apart(digits, monkeypatch):
    """One held-out example for 16 copies, not for 32; but few checked labels are not noisy, whatever trains."""
    entropies = []

    def finding(train, plan, full, scored, **how):
        entropies.append(scored.entropy)
        return find(train, plan, full, scored, **how)

    monkeypatch.setattr(runs, "find", finding)
    recipe = replace(RECIPE, steps=100, batch_size=64)
    clean, noisy = (probe(mlp1, digits, recipe, KnownLabels(noisy=is_so)) for is_so in (False, True))
    assert noisy.accuracy.n == 100 * 64 // 16
    assert clean.accuracy.n == max(300, 100 * 64 // 32)
    assert [found.stages[-1].spacing for found in (clean, noisy)] == [1, 2]
    checked = probe(mlp1, digits, recipe, KnownLabels(noisy=True, held_out=digits))
    assert checked.stages[-1].spacing == 1
    assert entropies == [None, pytest.approx(np.log(10), abs=2e-3), None]  # ten classes, about as frequent


@pytest.mark.parametrize("make", [mlp1, with_batch_norm])
def test_the_users_network_stays_as_it_is_to_the_bit(make, digits):
    network = make(0)
    before = deepcopy(network.state_dict())
    state = torch.random.get_rng_state()
    found = probe(lambda seed: network, digits, RECIPE)
    assert found.learning_rate.value is not None
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert network.training
    assert all(weight.grad is None for weight in network.parameters())
    assert torch.equal(torch.random.get_rng_state(), state)


def test_what_is_kept_is_not_trained_again_and_gives_the_same(digits):
    kept, made = {}, []

    def keep(key, make):
        if key not in kept:
            kept[key] = make()
            made.append(key)
        return kept[key]

    first = probe(mlp1, digits, RECIPE, SIMULATED, hooks=Hooks(keep=keep))
    trained = len(made)
    again = probe(mlp1, digits, RECIPE, SIMULATED, hooks=Hooks(keep=keep))
    assert len(made) == trained
    assert again.learning_rate == first.learning_rate
    others = [
        (replace(SIMULATED, alpha=2.0), digits, RECIPE, mlp1),
        (SIMULATED, replace(digits, fingerprint="another"), RECIPE, mlp1),
        (SIMULATED, digits, replace(RECIPE, weight_decay=0.1), mlp1),
        (SIMULATED, digits, RECIPE, lambda seed: mlp1(seed + 1)),
        (replace(SIMULATED, matrices=np.eye(10)[None]), digits, RECIPE, mlp1),
    ]
    for labels, data, recipe, make in others:
        before = len(made)
        probe(make, data, recipe, labels, hooks=Hooks(keep=keep))
        assert len(made) > before, (labels, recipe)


def test_progress_ends_near_the_announced_cost_and_a_price_is_told(digits):
    told: list[float] = []
    found = probe(mlp1, digits, RECIPE, SIMULATED, hooks=Hooks(on_progress=told.append))
    announced = price(mlp1, digits, RECIPE, SIMULATED)
    assert announced.seconds > 0
    assert sum(told) == pytest.approx(found.full_runs / announced.full_runs)
    assert found.seconds > 0


def test_a_price_counts_what_every_call_begins_with_once_a_call(digits, monkeypatch):
    clock = 0.0

    def train(self, rates, fraction, seeds):
        nonlocal clock
        full_runs = len(rates) * self._cost(fraction)
        clock += 0.1 + 60 * full_runs
        self.full_runs += full_runs

    monkeypatch.setattr(runs._ShortRuns, "train", train)
    monkeypatch.setattr(runs, "perf_counter", lambda: clock)
    priced = price(mlp1, digits, RECIPE, SIMULATED)
    assert priced.seconds == pytest.approx(60 * priced.full_runs + 0.1 * runs.CALLS)


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("steps", [100, 500, 2000])
def test_what_is_spent_was_announced(steps, schedule, little_images):
    """By the price, or, where a stage goes on past its rates, before these runs begin."""

    def make(seed: int) -> nn.Module:
        return zoo.build("perceptron", little_images.image_shape, 3, seed=seed)

    recipe = Recipe(schedule=schedule, steps=steps, batch_size=4)
    more: list[float] = []
    labels = KnownLabels(alpha=2.0)
    priced = price(make, little_images, recipe, labels)
    announced = priced.full_runs
    found = probe(make, little_images, recipe, labels, hooks=Hooks(on_more=more.append))
    first, last = found.stages
    went_on = len(first.learning_rates) > 5 or len(last.learning_rates) > 3
    assert bool(more) == (found.full_runs > 1.05 * announced)
    assert went_on or not more
    assert found.full_runs <= 1.05 * [announced, *more][-1]
    assert went_on or found.full_runs == pytest.approx(priced.least)
    assert priced.least < announced < priced.most
    assert 0.99 * priced.least <= found.full_runs <= 1.01 * priced.most


def test_the_effort_is_what_is_announced_and_a_price_takes_few_steps(digits, monkeypatch):
    """With its scoring, also where noisy labels score; less than five in a hundred of a run are timed."""
    steps = []
    train_unit = runs.train_unit
    monkeypatch.setattr(
        runs, "train_unit", lambda unit, *a, **k: steps.append(unit.steps * unit.cells) or train_unit(unit, *a, **k)
    )
    recipe = replace(RECIPE, steps=1000, batch_size=4)
    for effort in (1.5, 2.0):
        assert price(mlp1, digits, recipe, SIMULATED, effort=effort).full_runs == pytest.approx(effort, rel=0.01)
    assert price(mlp1, digits, recipe, KnownLabels(noisy=True), effort=2.5).full_runs == pytest.approx(2.5, rel=0.01)
    assert price(mlp1, digits, recipe, KnownLabels(noisy=True)).full_runs > 2
    assert sum(steps) / 4 <= 0.05 * 1000


def test_noise_by_a_matrix_is_trained_on(digits):
    """Every class becomes the next: with many noisy copies the network learns those, and scores nothing."""
    to_the_next = np.roll(np.eye(10), 1, axis=1)[None]
    found = probe(mlp1, digits, RECIPE, KnownLabels(alpha=9.0, matrices=to_the_next))
    assert found.learning_rate.value is None
    assert max(stage.accuracy.max() for stage in found.stages) < 0.25


def test_labels_that_stay_are_seen_as_often_as_in_the_full_run(digits, monkeypatch):
    """Fixed labels: a fraction of the steps comes with that fraction of the examples; fresh noise with all of them."""
    sizes: list[tuple[int, int]] = []
    scored: set[int] = set()
    train_unit = __import__("effbatch.probe.runs", fromlist=["x"]).train_unit

    def spy(unit, data, **options):
        sizes.append((unit.steps, unit.data.clean_examples))
        scored.add(len(data.y_test))
        return train_unit(unit, data, **options)

    monkeypatch.setattr("effbatch.probe.runs.train_unit", spy)
    recipe = replace(RECIPE, steps=600)
    probe(mlp1, digits, recipe)
    whole = len(digits.y_train)
    for steps, examples in sizes:
        assert examples / whole == pytest.approx(steps / 600, rel=0.02)
    assert scored == {300}, "one for 32 copies, and at least so many"
    scored.clear()
    probe(mlp1, digits, replace(recipe, steps=1200))
    assert scored == {whole // 3}, "of those that short runs leave out"
    for known in (sizes, scored):
        known.clear()
    probe(mlp1, digits, recipe, SIMULATED)
    assert len({examples for _, examples in sizes}) == 1
    assert scored == {300}


def test_finds_the_best_rate_of_a_sweep_of_other_seeds(digits):
    """Softmax regression, α = 4, B = 16, plain SGD, 200 steps: the optimum of eight seeds is near 2^-3.5."""
    from effbatch.engine.train import train_unit
    from effbatch.fitting.peak import peak
    from effbatch.plan.spec import Data, Train
    from effbatch.plan.units import Unit

    rates = tuple(2.0 ** np.arange(-8, 0))
    unit = Unit(
        {},
        Data(),
        Train(network="perceptron"),
        batch_size=16,
        steps=200,
        checkpoints=(200,),
        alphas=(4.0,),
        learning_rates=rates,
        seeds=tuple(range(8)),
    )
    swept = train_unit(unit, digits, device=torch.device("cpu"))["test_accuracy"][0].mean(1)
    best = float(peak(np.log2(rates), swept[None]).location[0])
    recipe = Recipe(steps=200, batch_size=16)
    found = [
        probe(
            lambda seed: zoo.build("perceptron", (1, 8, 8), 10, seed=seed),
            digits,
            recipe,
            KnownLabels(alpha=4.0),
            seed=seed,
        )
        for seed in (100, 200, 300, 400)
    ]
    assert np.mean([np.log2(one.learning_rate.value) for one in found]) == pytest.approx(best, abs=0.75)
    expected = float(np.interp(best, np.log2(rates), swept))
    assert np.mean([one.accuracy.value for one in found]) == pytest.approx(expected, abs=0.06)


@pytest.mark.parametrize(
    ("network", "recipe", "message"),
    [
        (mlp1, Recipe(steps=50), "needs a recipe with batch size and budget"),
        (mlp1, Recipe(batch_size=8), "needs a recipe with batch size and budget"),
        (lambda seed: nn.Sequential(nn.Flatten(), nn.Linear(64, 7)), RECIPE, "needs to return 10 logits per example"),
    ],
    ids=["no batch size", "no budget", "seven logits"],
)
def test_what_does_not_fit_is_named(network, recipe, message, digits):
    with pytest.raises(InputError, match=message):
        probe(network, digits, recipe)
