"""Model-steps done and the seconds they took -> the seconds that the rest will take.

A model-step costs more with a larger batch, and less in a larger ensemble, so an average over all of them misleads. A
kind of unit (data set, network, batch size, number of cells) that was timed goes on at its own pace. For one that was
not yet, of a network that was, the seconds are taken as

    t = x₁ c₁ · steps + x₂ c₂ · model-steps + x₃ c₃ · labelled copies,        x ≥ 0,

with x by least squares on the kinds timed, drawn a little towards x₁ = x₂ = x₃; the proportions c were measured once. A
network that was not timed leaves the time left unknown. Seconds are those of training; what else passes (commits, and
several workers at once) scales them by the time on the clock.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from effbatch.training.cells import Unit

PROPORTIONS = np.array([4e-4, 2e-5, 1.3e-6])  # c, in seconds: network mlp1 on one core; only their ratios matter
PRIOR_WEIGHT = 0.01  # of x = the same for all, against one timed kind


class Kind(NamedTuple):
    """Units that cost the same per model-step."""

    dataset: str
    network: str
    batch_size: int
    cells: int

    @property
    def costs(self) -> NDArray[np.float64]:
        """c times (steps, model-steps, labelled copies) of one model-step."""
        return PROPORTIONS * np.array([1 / self.cells, 1.0, self.batch_size])


def kind_of(unit: Unit) -> Kind:
    return Kind(unit.data.dataset, unit.train.network, unit.batch_size, unit.cells)


class TimeLeft:
    """What is done and what is left of a run; what was learnt about a kind holds for all rounds and sweeps after it."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self.timed: dict[Kind, tuple[int, float]] = {}  # model-steps and seconds
        self.on_clock = 0.0

    def start(self, waiting: Sequence[Unit]) -> None:
        """A round of units begins."""
        self.left: Counter[Kind] = Counter()
        for unit in waiting:
            self.left[kind_of(unit)] += unit.model_steps
        self.began = self.last = self.clock()
        self.done = 0

    def advance(self, unit: Unit, model_steps: int, seconds: float) -> None:
        """Of `unit`, so many model-steps are done, in so many seconds of training."""
        kind, moment = kind_of(unit), self.clock()
        self.left[kind] -= model_steps
        before = self.timed.get(kind, (0, 0.0))
        self.timed[kind] = (before[0] + model_steps, before[1] + seconds)
        self.on_clock += moment - self.last
        self.last = moment
        self.done += model_steps

    @property
    def per_second(self) -> float:
        """Model-steps per second of this round."""
        return self.done / max(self.last - self.began, 1e-9)

    def seconds(self) -> float | None:
        """Seconds left of this round, None while that is unknown."""
        total = 0.0
        for kind, model_steps in self.left.items():
            if model_steps:
                pace = self._pace(kind)
                if pace is None:
                    return None
                total += model_steps * pace
        trained = sum(seconds for _, seconds in self.timed.values())
        return total * self.on_clock / trained if trained else None

    def _pace(self, kind: Kind) -> float | None:
        """Seconds of training per model-step."""
        paces = {k: seconds / steps for k, (steps, seconds) in self.timed.items() if k[:2] == kind[:2] and seconds > 0}
        if kind in paces or not paces:
            return paces.get(kind)
        costs = np.array([k.costs for k in paces])
        return float(kind.costs @ _multipliers(costs, np.array(list(paces.values()))))


def _multipliers(costs: NDArray[np.float64], paces: NDArray[np.float64]) -> NDArray[np.float64]:
    """x ≥ 0 that makes costs·x/paces one, in the least squares, and with a little weight all x the same."""
    from scipy.optimize import nnls

    scale = float(np.exp(np.log(paces / costs.sum(axis=1)).mean()))
    prior = np.sqrt(PRIOR_WEIGHT) * np.eye(costs.shape[1])
    rows = np.vstack([scale * costs / paces[:, None], prior])
    wanted = np.concatenate([np.ones(len(paces)), prior.diagonal()])
    return scale * nnls(rows, wanted)[0]
