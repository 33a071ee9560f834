"""A look at a unit: its pace within a moment, and nothing of it stays."""

from __future__ import annotations

import time

import numpy as np
import pytest
import torch
from synthetic import unit

from effbatch.data import datasets
from effbatch.engine import train as engine
from effbatch.sweep import pace
from effbatch.sweep.workers import train_unit

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def images(little_images, monkeypatch):
    monkeypatch.setattr(datasets, "load", lambda name: little_images)


def trained(one) -> tuple[float, float]:
    """Seconds per model-step and per evaluation of one cell, of the whole unit."""
    number, seconds = np.zeros(2), np.zeros(2)

    def advance(_, steps, evaluations, took):
        done = np.array([steps, evaluations]) > 0
        number[done] += max(steps, evaluations)
        seconds[done] += took

    train_unit(one, CPU, advance)
    return tuple(seconds / number)


@pytest.mark.parametrize("network", ["mlp1", "conv2"])
def test_a_look_ends_long_before_the_unit_and_tells_its_pace(network):
    """The least of three, as other jobs may slow any."""
    long = unit(network, steps=10**7, checkpoints=(10**7,))  # a quarter of an hour
    began = time.monotonic()
    seen = np.min([pace.pace_of(long, CPU) for _ in range(3)], axis=0)
    assert time.monotonic() - began < 100
    whole = np.min([trained(unit(network, steps=400, checkpoints=(100, 200, 300, 400))) for _ in range(3)], axis=0)
    assert (seen / whole < 5).all()
    assert (whole / seen < 5).all()


def test_a_unit_shorter_than_a_look_tells_its_pace_too():
    for steps in (1, 2, 3):
        assert min(pace.pace_of(unit(steps=steps, checkpoints=(steps,)), CPU)) > 0


def test_a_look_changes_nothing(little_images):
    before = engine.train(unit(), little_images, device=CPU)
    pace.pace_of(unit(steps=50), CPU)
    threads = torch.get_num_threads()
    after = engine.train(unit(), little_images, device=CPU)
    assert torch.get_num_threads() == threads
    for name, values in before.items():
        np.testing.assert_array_equal(after[name], values)


def test_a_report_is_timed_by_its_own_thread(monkeypatch):
    """Else the time of a slow report goes to whichever thread reports next."""
    moment = [0.0]
    monkeypatch.setattr(pace.time, "monotonic", lambda: moment[0])
    thread = [1]
    monkeypatch.setattr(pace, "get_ident", lambda: thread[0])
    laps, told = pace.Laps(), []
    for thread[0], moment[0] in ((1, 1.0), (2, 1.0), (1, 2.0), (1, 3.0), (2, 11.0), (1, 11.0)):
        told.append(laps.lap())
    assert told == [1.0, 0.5, 0.5, 0.5, 5.0, 4.0]


def test_a_look_measures_nothing(monkeypatch):
    monkeypatch.setitem(engine.MEASURES, "moments", None)
    assert min(pace.pace_of(unit(measure=("moments",)), CPU)) > 0


def test_an_error_is_told_as_in_training():
    with pytest.raises(Exception, match="nowhere"):
        pace.pace_of(unit("nowhere:network"), CPU)
