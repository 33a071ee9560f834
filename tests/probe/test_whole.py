"""Whole runs: worlds with one hump of rates or two, known to the test, and what is told of them."""

from __future__ import annotations

from dataclasses import replace
from math import log, log2

import numpy as np
import pytest

from effbatch.data import datasets
from effbatch.networks import zoo
from effbatch.plan.recipe import Recipe
from effbatch.probe import whole
from effbatch.probe.effort import FARTHEST, FEWEST_WHOLE, NOISY, WHOLE, Plan, planned
from effbatch.probe.rule import FullRun
from effbatch.probe.runs import Hooks, KnownLabels, price, probe
from effbatch.probe.stages import COARSE, Runs, Scored
from effbatch.probe.whole import SCATTER

HELD_OUT = 1000
PLAN = Plan(2 / 3, 2 / 3, 1, NOISY, 14)


class Humps:
    """Accuracy 0.2 and humps 2.25 octaves wide, (octave, height) each; by seed and rate it scatters by σ."""

    def __init__(self, *humps: tuple[float, float], scatter: float = 0.0, seed: int = 0) -> None:
        self.humps, self.scatter, self.rng = humps, scatter, np.random.default_rng(seed)
        self.asked: list[tuple[float, int]] = []

    def at(self, octaves) -> np.ndarray:
        octaves = np.asarray(octaves, float)
        return 0.2 + sum((height * np.exp(-(((octaves - m) / 2.25) ** 2) / 2) for m, height in self.humps), 0 * octaves)

    def train(self, rates, fraction, seeds) -> Runs:
        assert fraction == PLAN.last
        self.asked += [(rate, seed) for rate in rates for seed in seeds]
        accuracy = self.at(np.log2(rates))[:, None] + np.zeros(len(seeds))
        accuracy = accuracy + self.scatter * self.rng.normal(size=accuracy.shape)
        return Runs(accuracy=accuracy, loss=log(5) - (accuracy - 0.2) / 4, history=accuracy[..., None])

    def found(self, *, start=2.0**-5, plan=PLAN):
        scored = Scored(n=HELD_OUT, num_classes=5, majority=0.2, parts=3, entropy=log(5))
        return whole.find(self.train, plan, FullRun(steps=300, alpha=None), scored, start=start)


def octaves_of(estimate) -> tuple[float, float, float]:
    return tuple(map(log2, (estimate.value, estimate.low, estimate.high)))


@pytest.mark.parametrize("m", [-16, -5, 7], ids="best=2^{}".format)
def test_one_hump_is_found_wherever_it_is_and_nothing_is_trained_twice(m):
    world = Humps((m, 0.3))
    found = world.found()
    value, low, high = octaves_of(found.learning_rate)
    assert value == m
    assert low < m < high
    assert high - low <= 2 * COARSE
    assert found.learning_rate.n == len(world.asked) == len(set(world.asked))
    assert found.full_runs == pytest.approx(len(world.asked) * 2 / 3)
    assert found.kind == "whole"


def test_the_higher_of_two_humps_is_found_and_the_lower_is_left_out_where_labels_tell_them_apart():
    for low, high in ((0.15, 0.3), (0.3, 0.15)):
        found = Humps((-9, low), (-1, high)).found()
        best, other = (-1, -9) if high > low else (-9, -1)
        value, least, most = octaves_of(found.learning_rate)
        assert value == best
        assert not least <= other <= most


def test_two_humps_that_labels_do_not_tell_apart_are_both_in_the_interval():
    found = Humps((-9, 0.30), (-1, 0.31)).found()
    value, low, high = octaves_of(found.learning_rate)
    assert value == -1
    assert low < -9
    assert high > -1


def test_more_seeds_tell_more_and_an_answer_that_is_clear_costs_less():
    humps = (-9, 0.29), (-1, 0.31)
    dear, cheap = (Humps(*humps).found(plan=replace(PLAN, whole=runs)).learning_rate for runs in (45, 9))
    assert log2(cheap.low) < -9 < log2(dear.low)
    clear = Humps((-5, 0.5)).found(plan=replace(PLAN, whole=45))
    assert clear.full_runs < 45 * 2 / 3
    assert len(clear.stages[0].learning_rates) == FEWEST_WHOLE


def test_ninety_percent_intervals_hold_the_best_rate_in_so_many_worlds():
    """Accuracies scatter as is assumed, 400 draws (± 3 %); the rate lost is a small part of what either hump gives."""
    held, lost = 0, []
    sigma = (SCATTER * 0.45 * 0.55 / HELD_OUT) ** 0.5
    for draw in range(400):
        world = Humps((-9, 0.24), (-2, 0.25), scatter=sigma, seed=draw)
        value, low, high = octaves_of(world.found().learning_rate)
        held += low <= -2 <= high
        lost.append(float(world.at(-2) - world.at(value)))
    assert held / 400 > 0.87
    assert np.mean(lost) < 0.02


def test_what_seeds_show_counts_beside_what_is_expected_of_them():
    """Ten times the scatter that is expected of seeds: rates near the best are told apart from it no longer."""

    def wide(scatter):
        found = [Humps((-1, 0.3), scatter=scatter, seed=seed).found(plan=replace(PLAN, whole=45)) for seed in range(9)]
        return np.mean([log2(one.learning_rate.high / one.learning_rate.low) for one in found])

    sigma = (SCATTER * 0.5 * 0.5 / HELD_OUT) ** 0.5
    assert wide(10 * sigma) > wide(sigma) + 1


def test_the_plateau_and_the_accuracy_are_those_of_the_best_rate():
    found = Humps((-9, 0.1), (-1, 0.3)).found()
    assert found.accuracy.low < 0.55 < found.accuracy.high  # 0.5 at two thirds of the full run
    assert found.accuracy.n == HELD_OUT * len(found.stages[-1].seeds)
    low, high = map(log2, found.plateau)
    assert low < -1 < high
    assert low >= -2
    assert high <= 0


def test_runs_that_never_beat_chance_give_no_rate_and_say_why():
    found = Humps().found()
    assert found.learning_rate.value is None
    scored = HELD_OUT * min(3, len(found.stages[-1].seeds) + len(found.stages) - 1)
    assert f"no run of 200 steps beat chance on n = {scored:,} held-out examples" in found.learning_rate.reason


def test_what_one_seed_does_not_show_to_be_learned_several_may():
    assert Humps((-5, 0.03)).found(plan=replace(PLAN, whole=9)).learning_rate.value is None  # 0.03 are 2.4 errors
    found = Humps((-5, 0.03)).found(plan=replace(PLAN, whole=30)).learning_rate
    assert log2(found.value) == -5


@pytest.mark.parametrize("effort", [10, 20, 30])
def test_from_ten_full_runs_on_all_are_whole_and_cost_no_more(effort):
    plan = planned(500, effort, shape=NOISY, scoring=(0.01, 0.03), whole=2 / 3)
    ((fraction, runs),) = plan.usual_runs
    assert plan.whole == runs
    assert effort - 1 < runs * (fraction + 0.03) <= effort
    ((_, least),), ((_, most),) = plan.least_runs, plan.most_runs
    assert least == FEWEST_WHOLE <= runs <= most
    assert most >= FEWEST_WHOLE + FARTHEST
    assert planned(500, WHOLE - 0.1, shape=NOISY, whole=2 / 3).whole == 0
    assert planned(500, None, shape=NOISY, whole=2 / 3).whole == 0


@pytest.fixture(scope="module")
def digits():
    data = datasets.load("digits")
    wrong = np.random.default_rng(0).random(len(data.y_train)) < 0.5
    y = np.where(wrong, np.random.default_rng(1).integers(10, size=len(wrong)), data.y_train)
    return replace(data, y_train=y, fingerprint="half drawn anew")


RECIPE = Recipe(optimizer="momentum", schedule="cosine", steps=300, batch_size=32)
NOISY_LABELS = KnownLabels(noisy=True, known_alpha=1.0)


def perceptron(seed):
    return zoo.build("perceptron", (1, 8, 8), 10, seed=seed)


def test_whole_runs_see_all_that_is_not_held_out_as_often_as_the_full_run_and_hold_other_parts_out(digits, monkeypatch):
    seen = []
    train_unit = __import__("effbatch.probe.runs", fromlist=["x"]).train_unit

    def spy(unit, data, **options):
        seen.append((unit.steps, unit.data.clean_examples, unit.seeds, data))
        return train_unit(unit, data, **options)

    monkeypatch.setattr("effbatch.probe.runs.train_unit", spy)
    priced = price(perceptron, digits, RECIPE, NOISY_LABELS, effort=10)
    seen.clear()
    more: list[float] = []
    found = probe(perceptron, digits, RECIPE, NOISY_LABELS, effort=10, hooks=Hooks(on_more=more.append))
    whole_set = len(digits.y_train)
    for steps, examples, seeds, data in seen:
        assert examples == len(data.y_train) == whole_set - len(data.y_test)
        assert steps / 300 == pytest.approx(examples / whole_set, abs=0.003)
        assert len(seeds) == 1
    parts = {seeds[0] % 3: {tuple(x.ravel()) for x in data.x_test} for _, _, seeds, data in seen}
    assert len(parts) > 1
    shared = set.intersection(*list(parts.values())[:2])
    assert len(shared) < 0.02 * len(parts[0])
    assert priced.whole
    assert priced.least <= found.full_runs * 1.001
    assert found.full_runs <= 1.05 * [priced.full_runs, *more][-1]
    assert priced.full_runs == pytest.approx(10, abs=0.7)


def test_what_is_kept_of_whole_runs_is_not_trained_again(digits):
    kept, made = {}, []

    def keep(key, make):
        if key not in kept:
            kept[key] = make()
            made.append(key)
        return kept[key]

    hooks = Hooks(keep=keep)
    first = probe(perceptron, digits, RECIPE, NOISY_LABELS, effort=10, hooks=hooks)
    trained = len(made)
    assert probe(perceptron, digits, RECIPE, NOISY_LABELS, effort=10, hooks=hooks).learning_rate == first.learning_rate
    assert len(made) == trained
    dearer = probe(perceptron, digits, RECIPE, NOISY_LABELS, effort=20, hooks=hooks)
    assert dearer.stages[0].learning_rates == first.stages[0].learning_rates
    assert set(list(kept)[:2]) == set(made[:2]), "the scan and the rates halfway are those of the cheaper answer"


def test_checked_labels_score_whole_runs_as_they_are(digits):
    clean = datasets.load("digits")
    labels = KnownLabels(noisy=True, held_out=replace(digits, x_test=clean.x_test))
    found = probe(perceptron, digits, RECIPE, labels, effort=10)
    assert found.kind == "whole"
    assert found.accuracy.n == len(clean.x_test)
    assert found.accuracy.value > 0.6
