"""Model-steps and evaluations done and the seconds they took -> the seconds that the rest will take.

An average over all that is done misleads: a model-step costs more with a larger batch or network, and half of the
evaluations come in the first tenth of a unit. So steps and evaluations are timed apart, and each kind of unit (data
set, network, batch size, number of cells) for itself. The pace of a kind that has not come yet, or for a moment only,
is taken from a look at it before the round began (`training.pace`), times how much slower than their looks the kinds
timed so far came out. Short rounds take no looks: there, kinds of one network are taken to cost the same per labelled
copy, and the time left is unknown until every network was timed.

Seconds are those of training; what else passes (set-up, the last evaluation on all test images, commits, and several
workers at once) scales them by the time on the clock. That workers will stand idle at the end, while the last units
train, is not foreseen.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from effbatch.plan.units import Unit

FIRST_SECONDS = 2.5  # of training tell nothing
COLD_SECONDS = 8.0  # first steps are slow: a kind timed for so long tells as much of its pace as its look does
FEW_COPIES = 5e6  # labelled copies of a round that is over before its looks are
FEWER_CELLS = 2.0  # times as few or as many may have another pace
SHORT_SECONDS = 30.0  # of a round that is not worth a look at every batch size


class Kind(NamedTuple):
    """Steps, or evaluations, that cost the same per member."""

    what: str
    dataset: str
    network: str
    images: int  # of a step: the batch size
    cells: int


def kinds_of(unit: Unit) -> tuple[Kind, Kind]:
    """Its steps and its evaluations."""
    dataset, network = unit.data.dataset, unit.train.network
    return (
        Kind("step", dataset, network, unit.batch_size, unit.cells),
        Kind("evaluation", dataset, network, unit.train.history_images or 1, unit.cells),
    )


class TimeLeft:
    """What is done and what is left of a run; what was learnt about a kind holds for all rounds and sweeps after it."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self.looks: dict[Kind, float] = {}  # seconds of one
        self.nearest: dict[Kind, Kind | None] = {}  # of the looks, found so far
        self.timed: dict[Kind, tuple[int, float]] = {}  # how many and how many seconds
        self.on_clock = 0.0

    def start(self, waiting: Sequence[Unit]) -> None:
        """A round of units begins."""
        self.left: Counter[Kind] = Counter()
        self.kinds: dict[Kind, Unit] = {}  # one unit of each
        for unit in waiting:
            steps, evaluations = kinds_of(unit)
            self.left[steps] += unit.model_steps
            self.left[evaluations] += unit.evaluations
            self.kinds.setdefault(steps, unit)
        self.began = self.last = self.clock()
        self.done = 0

    def wanted(self) -> Unit | None:
        """Before the first unit: one to look at, None where no further look is worth its time."""
        copies: Counter[tuple[str, str]] = Counter()
        for kind, number in self.left.items():
            if kind.what == "step":
                copies[kind.dataset, kind.network] += number * kind.images
        if copies.total() < FEW_COPIES:
            return None
        per_copy: dict[tuple[str, str], float] = {}
        for kind, seconds in self.looks.items():
            if kind.what == "step":
                of = kind.dataset, kind.network
                per_copy[of] = max(per_copy.get(of, 0.0), seconds / kind.images)
        unseen = [kind for kind in self.kinds if not (look := self._nearest(kind)) or _factor(look, kind) > FEWER_CELLS]
        new = [kind for kind in unseen if (kind.dataset, kind.network) not in per_copy]
        short = not new and sum(number * per_copy[of] for of, number in copies.items()) < SHORT_SECONDS
        return None if short or not unseen else self.kinds[(new or unseen)[0]]

    def look(self, unit: Unit, step: float, evaluation: float) -> None:
        """The first moments of `unit` took so many seconds per model-step, and per evaluation of one cell."""
        self.looks |= dict(zip(kinds_of(unit), (step, evaluation), strict=True))
        self.nearest.clear()
        self.began = self.last = self.clock()

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
        slower = {what: self._slower(what) for what in ("step", "evaluation")}
        for kind, number in self.left.items():
            if number > 0:
                pace = self._pace(kind, slower[kind.what])
                if pace is None:
                    return None
                total += number * pace
        trained = sum(seconds for _, seconds in self.timed.values())
        if total and trained < FIRST_SECONDS:
            return None
        return total * self.on_clock / trained if trained else None

    def _pace(self, kind: Kind, slower: float) -> float | None:
        """Seconds of training for one."""
        look = self._nearest(kind)
        expected = self.looks[look] * slower if look else self._per_image(kind)
        number, seconds = self.timed.get(kind, (0, 0.0))
        if number <= 0 or seconds <= 0:
            return expected
        trust = _trust(seconds)
        return seconds / number if expected is None else (seconds / number) ** trust * expected ** (1 - trust)

    def _nearest(self, kind: Kind) -> Kind | None:
        """This kind where it was looked at, else the one with as near a number of cells as there is."""
        if kind not in self.nearest:
            alike = [look for look in self.looks if look[:-1] == kind[:-1]]
            self.nearest[kind] = min(alike, key=lambda look: _factor(look, kind), default=None)
        return self.nearest[kind]

    def _slower(self, what: str) -> float:
        """How many times longer than by their looks the kinds timed so far took (geometric mean)."""
        logs = trusts = 0.0
        for kind, (number, seconds) in self.timed.items():
            look = self._nearest(kind)
            if kind.what == what and look and number > 0 and seconds > 0:
                logs += _trust(seconds) * math.log(seconds / number / self.looks[look])
                trusts += _trust(seconds)
        return math.exp(logs / trusts) if trusts else 1.0

    def _per_image(self, kind: Kind) -> float | None:
        """What those of the same network took per image."""
        images = taken = 0.0
        for k, (number, seconds) in self.timed.items():
            if k[:3] == kind[:3]:
                images += number * k.images
                taken += seconds
        return taken / images * kind.images if images > 0 else None


def _factor(one: Kind, other: Kind) -> float:
    return max(one.cells / other.cells, other.cells / one.cells)


def _trust(seconds: float) -> float:
    """From 0 to 1, how far the pace of a kind timed for so long is known."""
    return 1 / (1 + COLD_SECONDS / seconds)
