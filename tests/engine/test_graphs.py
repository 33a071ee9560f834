"""Steps that are captured and replayed: on the CPU, with a stand-in that replays by calling; never run on a GPU."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch
from synthetic import unit

from effbatch.engine import graphs
from effbatch.engine.train import train_unit

unit_of = partial(unit, checkpoints=(5, 12), alphas=(0.0, 2.0), learning_rates=(0.01, 0.1))


class Recorder:
    """Captures by keeping the step; counts captures and replays."""

    def __init__(self):
        self.captured = self.replayed = 0

    def __call__(self, step):
        self.captured += 1

        def replay():
            self.replayed += 1
            step()

        return replay


def trained(unit, images, monkeypatch, capture):
    monkeypatch.setattr(graphs, "capture_on", lambda device: capture)
    found = train_unit(unit, images, device=torch.device("cpu"))
    return np.stack([found["test_loss_history"], found["train_loss_history"]])


@pytest.mark.parametrize(
    ("train", "calls"),
    [  # of 46 steps, the first checkpoint after 23; plain descent takes four steps of seven images at once
        ({}, (10, 6)),
        ({"momentum": 0.9, "nesterov": True, "schedule": "cosine"}, (46,)),
        ({"optimizer": "adadelta"}, (46,)),
    ],
    ids=str,
)
def test_replayed_steps_train_the_same_networks(train, calls, little_images, monkeypatch):
    cells = unit_of(steps=46, checkpoints=(23, 46), **train)
    plain = trained(cells, little_images, monkeypatch, None)
    recorder = Recorder()
    replayed = trained(cells, little_images, monkeypatch, recorder)
    np.testing.assert_array_equal(replayed, plain)
    parts, left = divmod(recorder.captured, len(calls))
    assert parts >= 1
    assert left == 0
    assert recorder.replayed == parts * sum(of_one - graphs.WARM_UP for of_one in calls)


def test_a_step_that_counts_in_python_is_not_captured(little_images, monkeypatch):
    recorder = Recorder()
    trained(unit_of(optimizer="adam"), little_images, monkeypatch, recorder)
    assert recorder.captured == 0


def test_inputs_reach_the_captured_step_through_its_buffers():
    seen = []
    step = graphs.Replayed(lambda x: seen.append((x.data_ptr(), x.clone())), lambda run: run)
    for i in range(6):
        step(torch.tensor([float(i)]))
    assert [value.item() for _, value in seen] == [0, 1, 2, 3, 4, 5]
    assert len({place for place, _ in seen[graphs.WARM_UP :]}) == 1


def refused(error):
    def capture(step):
        raise error

    return capture


def test_where_capturing_fails_steps_go_on_and_the_reason_is_kept():
    seen = []
    step = graphs.Replayed(lambda x: seen.append(x.item()), refused(RuntimeError("not permitted\nwhen capturing")))
    for i in range(6):
        step(torch.tensor(i))
    assert seen == [0, 1, 2, 3, 4, 5]
    assert step.reason == "not permitted"


def test_too_little_memory_is_not_taken_for_a_failed_capture():
    step = graphs.Replayed(lambda x: None, refused(torch.OutOfMemoryError("too little")))
    for _ in range(graphs.WARM_UP):
        step(torch.tensor(0))
    with pytest.raises(torch.OutOfMemoryError, match="too little"):
        step(torch.tensor(0))


def test_only_gpus_capture():
    assert graphs.capture_on(torch.device("cpu")) is None
    assert graphs.capture_on(torch.device("cuda")) is not None
