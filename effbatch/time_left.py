"""Model-steps and evaluations done and the seconds they took -> the seconds that the rest will take.

A model-step costs more with a larger batch, and less in a larger ensemble, so an average over all of them misleads. A
kind of unit (data set, network, batch size, number of cells) that was timed goes on at its own pace. For one that was
not yet, or for a moment only, of a network that was, the seconds are taken as

    t = x₁ c₁ · steps + x₂ c₂ · model-steps + x₃ c₃ · labelled copies,        x ≥ 0,

with x by least squares on the kinds timed, drawn a little towards x₁ = x₂ = x₃; the proportions c were measured once. A
network that was not timed leaves the time left unknown. Evaluations are timed apart from steps: half of them come in
the first tenth of a unit, and with them its first steps would seem several times slower than the rest. They do not
depend on the batch size. Seconds are those of training; what else passes (set-up, commits, and several workers at once)
scales them by the time on the clock. That workers will stand idle at the end, while the last units train, is not
foreseen.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from effbatch.training.cells import Unit

# c, in seconds: mlp1 on one core, geometric mean of those on 8×8 and on 14×14 images; only their ratios matter
PROPORTIONS = np.array([1.2e-4, 3.1e-6, 6e-7])
COLD_SECONDS = 5.0  # first steps are slow: a kind timed for so long tells as much of its pace as all others do
PRIOR_WEIGHT = 0.01  # of x = the same for all, against one timed kind


class Kind(NamedTuple):
    """Steps, or evaluations, of units that cost the same per member; evaluations have no batch size."""

    dataset: str
    network: str
    cells: int
    batch_size: int | None

    @property
    def family(self) -> tuple[str, str, bool]:
        """What costs of one kind tell something of the other."""
        return self.dataset, self.network, self.batch_size is None

    @property
    def costs(self) -> NDArray[np.float64]:
        """c times (steps, model-steps, labelled copies) of one model-step; of an evaluation, as for one copy."""
        return PROPORTIONS * np.array([1 / self.cells, 1.0, self.batch_size or 1])


def kinds_of(unit: Unit) -> tuple[Kind, Kind]:
    """Its steps and its evaluations."""
    of = unit.data.dataset, unit.train.network, unit.cells
    return Kind(*of, unit.batch_size), Kind(*of, None)


class TimeLeft:
    """What is done and what is left of a run; what was learnt about a kind holds for all rounds and sweeps after it."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self.timed: dict[Kind, tuple[int, float]] = {}  # how many and how many seconds
        self.on_clock = 0.0

    def start(self, waiting: Sequence[Unit]) -> None:
        """A round of units begins."""
        self.left: Counter[Kind] = Counter()
        for unit in waiting:
            steps, evaluations = kinds_of(unit)
            self.left[steps] += unit.model_steps
            self.left[evaluations] += unit.evaluations
        self.began = self.last = self.clock()
        self.done = 0

    def advance(self, unit: Unit, model_steps: int, evaluations: int, seconds: float) -> None:
        """Of `unit`, so many model-steps or evaluations are done, in so many seconds of training; neither: set-up."""
        moment = self.clock()
        kinds = dict(zip(kinds_of(unit), (model_steps, evaluations), strict=True))
        for kind, number in kinds.items():
            if number:
                self.left[kind] -= number
                before = self.timed.get(kind, (0, 0.0))
                share = number / (model_steps + evaluations)
                self.timed[kind] = (before[0] + number, before[1] + seconds * share)
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
        for kind, number in self.left.items():
            if number > 0:
                pace = self._pace(kind)
                if pace is None:
                    return None
                total += number * pace
        trained = sum(seconds for _, seconds in self.timed.values())
        if total and trained < COLD_SECONDS / 2:
            return None
        return total * self.on_clock / trained if trained else None

    def _pace(self, kind: Kind) -> float | None:
        """Seconds of training per model-step, or per evaluation of one cell."""
        paces = {
            k: seconds / number
            for k, (number, seconds) in self.timed.items()
            if k.family == kind.family and number > 0 and seconds > 0
        }
        own = paces.pop(kind, None)
        if not paces:
            return own
        x = _multipliers(np.array([k.costs for k in paces]), np.array(list(paces.values())), self._trusts(paces))
        others = float(kind.costs @ x)
        if own is None:
            return others
        (trust,) = self._trusts([kind])
        return float(own**trust * others ** (1 - trust))

    def _trusts(self, kinds: Iterable[Kind]) -> NDArray[np.float64]:
        """From 0 to 1, how far the pace of a kind is known."""
        return np.array([1 / (1 + COLD_SECONDS / self.timed[kind][1]) for kind in kinds])


def _multipliers(
    costs: NDArray[np.float64], paces: NDArray[np.float64], trusts: NDArray[np.float64]
) -> NDArray[np.float64]:
    """x ≥ 0 that makes costs·x/paces one, in the weighted least squares, and with a little weight all x the same."""
    from scipy.optimize import nnls

    scale = float(np.exp(np.average(np.log(paces / costs.sum(axis=1)), weights=trusts)))
    prior = np.sqrt(PRIOR_WEIGHT) * np.eye(costs.shape[1])
    rows = np.vstack([(trusts * scale / paces)[:, None] * costs, prior])
    wanted = np.concatenate([trusts, prior.diagonal()])
    return scale * nnls(rows, wanted)[0]
