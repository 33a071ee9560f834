"""Processes that train together: each tracks its shard, all know what all measured, none waits long for another."""

from __future__ import annotations

import json
import math
import os
import socket
import subprocess
import sys
from contextlib import ExitStack

import numpy as np
import pytest

WHO = ("all", "first alone", "one fails", "thrifty")
PROGRAM = """
import json, math, sys, warnings
import torch
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel
from effbatch.measure import shards
from effbatch.measure.tracker import NoiseScaleTracker

warnings.simplefilter("ignore")
rank = int(sys.argv[1])

def train(who):
    shards.PATIENCE = 2 if who == "first alone" else 60
    torch.manual_seed(0)
    network = DistributedDataParallel(nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 3)))
    x = torch.randn(24, 40, 4, generator=torch.Generator().manual_seed(1))
    tracks = who != "first alone" or rank == 0
    tracker = NoiseScaleTracker(network, every=3, batches=1, overhead=0.5 if who == "thrifty" else math.inf)
    optimizer = torch.optim.SGD(network.parameters(), 0.1)
    for step in range(12):
        batch = x[2 * step + rank]
        labels = batch[:, :3].argmax(1)
        if tracks:
            tracker.step(batch if (who, rank, step) != ("one fails", 1, 2) else batch[:, :2], labels)
        optimizer.zero_grad()
        nn.functional.cross_entropy(network(batch), labels).backward()
        optimizer.step()
    return {
        "steps": [r.step for r in tracker.history], "n": [r.noise_scale.n for r in tracker.history],
        "norms": [r.norm_squared.value for r in tracker.history], "sizes": [r.batch_size for r in tracker.history],
        "reason": tracker.reason, "weights": float(sum(w.double().sum() for w in network.parameters())),
    }

said = {}
for place in sys.argv[2:]:
    who, port = place.split(":")
    distributed.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=2)
    said[who] = train(who)
    distributed.barrier()
    distributed.destroy_process_group()
print(json.dumps(said))
"""


@pytest.fixture(scope="module")
def said(tmp_path_factory) -> dict[str, list[dict]]:
    """What both processes say of every training, one after the other in the same two."""
    program = tmp_path_factory.mktemp("processes") / "program.py"
    program.write_text(PROGRAM)
    with ExitStack() as stack:
        free = [stack.enter_context(socket.socket()) for _ in WHO]
        for one in free:
            one.bind(("127.0.0.1", 0))
        places = [f"{who}:{one.getsockname()[1]}" for who, one in zip(WHO, free, strict=True)]
    started = [
        subprocess.Popen(
            [sys.executable, program, str(rank), *places],
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            stdout=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    texts = [process.communicate(timeout=240)[0] for process in started]
    assert [process.returncode for process in started] == [0, 0]
    return {who: [json.loads(text.splitlines()[-1])[who] for text in texts] for who in WHO}


def test_all_know_what_all_measured(said):
    first, second = said["all"]
    assert first == second
    assert first["steps"] == [3, 6, 9, 12]
    assert set(first["n"]) == {80}
    assert set(first["sizes"]) == {80}
    assert first["reason"] is None
    assert np.isfinite(first["norms"]).all()


def test_one_shard_stands_alone_where_the_others_do_not_track(said):
    first, second = said["first alone"]
    assert first["weights"] == pytest.approx(second["weights"])
    assert (first["steps"], first["n"], first["sizes"]) == ([3, 6, 9, 12], [40] * 4, [80] * 4)
    assert "not all processes track" in first["reason"]
    assert second["steps"] == []


def test_a_process_that_fails_does_not_hold_up_the_others(said):
    first, second = said["one fails"]
    assert first["steps"][0] == 3
    assert first["n"][0] == 40
    assert second["steps"] == first["steps"][1:]
    assert set(second["n"]) == {80}


def test_all_put_measurements_off_alike(said):
    first, second = said["thrifty"]
    assert first["steps"] == second["steps"]
    assert first["n"] == second["n"]
    assert math.isfinite(first["norms"][0])
