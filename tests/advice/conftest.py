"""A world in which short real runs say what a parabola does, so that every answer is known."""

from __future__ import annotations

import numpy as np
import pytest

from effbatch.core.estimate import Estimate
from effbatch.probe import runs
from effbatch.probe.rule import Probe
from effbatch.probe.runs import Price
from effbatch.probe.stages import Stage

RATES = tuple(0.01 * 2.0**k for k in range(5))
SEEDS = (0, 1, 2)


class World:
    """Accuracy 0.8 − 0.05 (log2 η/η*)² with η* = 0.04 √(B/32) /√(1 + α); what was asked is kept in `asked`."""

    def __init__(self) -> None:
        self.asked: list[dict] = []
        self.accuracy = Estimate(0.8, 0.77, 0.82, n=11, level=0.9)
        self.changes: dict = {}

    def probe(self, network, data, recipe, labels, **how) -> Probe:
        self.asked.append({"network": network, "data": data, "recipe": recipe, "labels": labels, **how})
        best = 0.04 * (recipe.batch_size / 32) ** 0.5 / (1 + labels.alpha) ** 0.5
        scores = 0.8 - 0.05 * np.log2(np.array(RATES) / best)[:, None] ** 2 + 0.001 * np.array(SEEDS)
        same = {"learning_rates": RATES, "seeds": SEEDS, "accuracy": scores, "loss": 1 - scores, "spacing": 1}
        stages = [
            Stage(fraction=f, steps=int(90 * f), history=scores[..., None], peak=float(np.log2(best)), **same)
            for f in (1 / 9, 1 / 3)
        ]
        found = {
            "learning_rate": Estimate(best, best / 1.5, best * 1.5, n=20, level=0.9),
            "plateau": (best / 1.4, best * 1.4),
            "accuracy": self.accuracy,
            "stop_at": None,
            "stages": tuple(stages),
            "full_runs": 1.4,
            "seconds": 3.0,
        }
        return Probe(**(found | self.changes))


@pytest.fixture
def world(monkeypatch) -> World:
    made = World()
    monkeypatch.setattr(runs, "probe", made.probe)

    def price(network, data, recipe, labels, *, effort, **how) -> Price:
        network(0)
        full_runs = effort or 1.5
        return Price(full_runs, 60.0, 0.8 * full_runs, 1.5 * full_runs)

    monkeypatch.setattr(runs, "price", price)
    return made
