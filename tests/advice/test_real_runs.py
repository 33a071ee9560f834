"""Advice from runs that really train: the user's module stays, interruptions are resumed, labels are taken as given."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

import effbatch
from effbatch.core.kept import Kept
from effbatch.data.dataset import DataSet
from effbatch.data.held_out import checked_out
from effbatch.probe.runs import Price


def normalised() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 8), nn.LayerNorm(8), nn.Linear(8, 3))


@pytest.fixture(scope="module")
def images() -> DataSet:
    """Three classes of noisy 8×8 images, 700 to train on."""
    rng = np.random.default_rng(3)
    patterns, y = rng.normal(size=(3, 1, 8, 8)), np.arange(700) % 3
    x = (patterns[y] + 2 * rng.normal(size=(700, 1, 8, 8))).astype(np.float32)
    return DataSet(
        name="some", x_train=x, y_train=y, x_test=x[:30], y_test=y[:30], num_classes=3, source="made in the tests"
    )


def ask(images, network="perceptron", **how):
    usual = {"steps": 60, "batch_sizes": (16,), "labels": "clean", "alpha": 1.0, "tell": lambda sentence: None}
    return effbatch.advise(network, images, **usual | how)


def numbers(advice) -> dict:
    said = advice.to_dict()
    said["cost"]["seconds"] = 0
    return said


def test_the_rate_lies_where_the_runs_are_best_and_the_answer_is_repeatable(images):
    said = ask(images)
    low, high = said.chosen.learning_rate.interval
    assert low < said.learning_rate < high
    last = said.chosen.probe.stages[-1]
    best = last.learning_rates[int(last.loss.mean(1).argmin())]
    assert low / 2 < best < high * 2
    assert said.accuracy > 0.5
    assert said.cost.full_runs > 0
    assert numbers(ask(images)) == numbers(said)


@pytest.mark.parametrize("labels", ["clean", "noisy"])
def test_a_module_keeps_weights_buffers_modes_and_random_state(images, labels):
    module = nn.Sequential(nn.Flatten(), nn.Linear(64, 8), nn.BatchNorm1d(8), nn.Dropout(0.1), nn.Linear(8, 3))
    module[3].eval()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    modes, state = [m.training for m in module], torch.random.get_rng_state()
    ask(images, module, labels=labels, effort=0.5)
    assert all(torch.equal(before[name], value) for name, value in module.state_dict().items())
    assert [m.training for m in module] == modes
    assert all(w.grad is None for w in module.parameters())
    assert torch.equal(torch.random.get_rng_state(), state)


def test_an_interrupted_answer_goes_on_to_the_same_one(images, tmp_path, monkeypatch):
    whole = numbers(ask(images, out=tmp_path / "whole"))
    trained: list[str] = []
    keep = Kept.__call__

    def stopping(self, unit, train):
        def one():
            if len(trained) == stop_at:
                raise KeyboardInterrupt
            trained.append(unit)
            return train()

        return keep(self, unit, one)

    monkeypatch.setattr(Kept, "__call__", stopping)
    stop_at = 1
    with pytest.raises(KeyboardInterrupt):
        ask(images, out=tmp_path / "stopped")
    stop_at = -1
    assert numbers(ask(images, out=tmp_path / "stopped")) == whole
    assert len(trained) == len(set(trained)) > 1  # nothing was trained twice


def test_two_answers_share_a_folder(images, tmp_path):
    first, second = ask(images, out=tmp_path), ask(images, alpha=3.0, out=tmp_path)
    assert numbers(ask(images, out=tmp_path)) == numbers(first)
    assert numbers(ask(images, alpha=3.0, out=tmp_path)) == numbers(second) != numbers(first)


def test_noisy_labels_are_trained_on_as_they_are_and_accuracy_is_told_on_clean_ones(images):
    rng = np.random.default_rng(4)
    wrong = rng.random(700) < 0.5
    noisy = replace(images, y_train=np.where(wrong, rng.integers(0, 3, 700), images.y_train))  # α = 1
    said = ask(noisy, labels="noisy", steps=120)
    scored, clean = said.chosen.as_scored, said.chosen.accuracy
    known = zip((clean.value, *clean.interval), (scored.value, *scored.interval), strict=True)
    assert all(a == pytest.approx(np.clip(2 * (s - 1 / 6), 0, 1)) for a, s in known)
    assert (said.chosen.of, ask(noisy, labels=None, alpha=None).chosen.of) == ("clean labels", "noisy labels")


@pytest.mark.parametrize(
    ("network", "alpha", "steps", "told"),
    [
        ("perceptron", 3.0, 400, "above the interval; train once at 8 and at 64 times the rate, too"),
        ("perceptron", 0.5, 400, None),
        ("perceptron", 3.0, 60, None),
        (normalised(), 0.5, 400, "beside the interval; train once at ⅛, 8 and at 64 times the rate, too"),
    ],
)
def test_many_passes_over_mostly_wrong_labels_may_ask_for_another_rate(images, network, alpha, steps, told):
    rng = np.random.default_rng(4)
    wrong = rng.random(700) < alpha / (1 + alpha)
    noisy = replace(images, y_train=np.where(wrong, rng.integers(0, 3, 700), images.y_train))
    limits = ask(noisy, network, labels="noisy", alpha=alpha, steps=steps, effort=2.0).limits
    assert told in limits[0] if told else not any("train once" in limit for limit in limits)
    assert not told or "or give --effort 10 (full runs, where " in limits[0]


@pytest.fixture
def mostly_wrong(images):
    rng = np.random.default_rng(4)
    return replace(images, y_train=np.where(rng.random(700) < 0.75, rng.integers(0, 3, 700), images.y_train))


def test_runs_are_whole_unasked_where_short_ones_may_miss_and_whole_ones_are_soon_done(mostly_wrong, monkeypatch):
    told: list[str] = []
    monkeypatch.setattr("effbatch.advice.probing.SOON", 1e9)
    said = ask(mostly_wrong, labels="noisy", alpha=3.0, steps=400, tell=told.append)
    why = "wrong labels come back many times (--effort 2 asks for short runs)"
    assert told[0].startswith(f"{why}: whole runs will cost ")
    assert said.chosen.probe.kind == "whole"
    assert 6 < said.cost.full_runs < 11
    assert f"n = {said.chosen.runs.runs} whole runs" in str(said)
    assert not any("train once" in limit for limit in said.limits)
    assert len(str(said).splitlines()) <= 24
    others = {"alpha": 0.5}, {"steps": 60}, {"effort": 2.0}, {"labels": "clean"}
    for other in others:
        assert ask(mostly_wrong, **{"labels": "noisy", "alpha": 3.0, "steps": 400} | other).chosen.probe.kind == "short"
    monkeypatch.setattr("effbatch.advice.probing.SOON", 0.0)
    said = ask(mostly_wrong, labels="noisy", alpha=3.0, steps=400)
    assert said.chosen.probe.kind == "short"
    assert f"or give --effort 10 (full runs, where {said.cost.full_runs:.2g} were spent)" in said.limits[0]


def test_whether_runs_are_whole_does_not_hang_on_how_busy_the_machine_is(mostly_wrong, monkeypatch):
    monkeypatch.setattr("effbatch.probe.runs.price", lambda *given, **how: Price(10.0, 1e9, 6.0, 12.0, whole=True))
    assert ask(mostly_wrong, labels="noisy", alpha=3.0, steps=400).chosen.probe.kind == "whole"


def test_enough_checked_labels_score_the_runs_on_clean_labels(images, tmp_path):
    rng = np.random.default_rng(4)
    wrong = rng.random(700) < 0.5
    noisy = replace(images, y_train=np.where(wrong, rng.integers(0, 3, 700), images.y_train))  # α = 1
    drawn = rng.permutation(700)
    many, few = (list(zip(drawn[:n].tolist(), images.y_train[drawn[:n]].tolist(), strict=True)) for n in (320, 299))
    how = {"labels": None, "alpha": None, "steps": 120, "out": tmp_path}
    said, usual = (ask(noisy, checked_labels=rows, **how) for rows in (many, few))
    assert (said.labels.scored, usual.labels.scored) == ("checked", "as given")
    assert (said.alpha.checked, said.chosen.accuracy.n, usual.chosen.accuracy.n) == (320, 320, 300)
    assert (said.chosen.of, said.chosen.as_scored, usual.chosen.of) == ("clean labels", None, "clean labels")
    assert usual.chosen.as_scored is not None
    width = [np.diff(one.chosen.accuracy.interval).item() for one in (said, usual)]
    assert width[0] < width[1]  # 1 + α times the signal
    assert usual.accuracy < 1
    low, high = said.chosen.accuracy.interval
    assert low - 0.05 < ask(images, alpha=1.0, steps=120).accuracy < high + 0.05
    assert "on the examples checked by hand" in said.to_dict()["accuracy"]["how"]
    mistaken = [(i, (c + 1) % 3) for i, c in many]
    assert ask(noisy, checked_labels=mistaken, **how).accuracy != said.accuracy  # not read from the runs kept before


def test_more_than_half_of_the_examples_are_not_taken_from_training(images):
    index = np.arange(351)
    assert checked_out(images, index, images.y_train[index]) is None
    part = checked_out(images, index[:350], images.y_train[index[:350]])
    assert (len(part.y_train), len(part.y_test)) == (350, 350)
    assert np.array_equal(part.x_test, images.x_train[:350])
    assert np.array_equal(part.x_train, images.x_train[350:])
