"""Batches of a training loop -> noise scale and effective batch size along the run, with intervals."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from time import perf_counter
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from torch import nn

from effbatch.core.errors import InputError, first_line
from effbatch.core.estimate import Estimate
from effbatch.core.formats import estimate_text
from effbatch.core.pages import Shown
from effbatch.laws.base import in_range
from effbatch.measure.measured import FEWEST_IMAGES, MeasuredMoments, PooledMoments
from effbatch.measure.shards import processes, told
from effbatch.measure.trained import Loss, Seen, Trained, seen
from effbatch.theory.moments import CoupledMoments, GradientMoments

if TYPE_CHECKING:
    import xarray as xr

FEWEST_WHOLE = 8  # batches measured, where their images are coupled
SMALL = 8  # images of a batch: of smaller ones more are kept,
FEWEST_IN_ALL = 32  # until there are so many images

_NEEDS_ALPHA = "it compares with clean labels, so it needs alpha: `effbatch estimate` finds it from hand-checked labels"
_ALONE = "not all processes track, or not in time: what is measured are the batches of this one alone"
_NEEDS_CLASSES = "it puts other labels in the place of those given, so it needs a loss that is a plain mean over labels"


@dataclass(frozen=True, kw_only=True)
class NoiseScaleRecord:
    """One measurement of `NoiseScaleTracker`; each number has the n images behind it, and says why where it has none.

    In those reasons, the index 0 stands for the labels as given; for clean ones in that of the effective batch size.

    step                  of the loop, from 1, at which the last of its batches came
    batch_size            B of that step, over its micro-batches and all processes
    norm_squared          ‖G‖² of the mean gradient with the labels as given, loss²/parameter²
    covariance_trace      trΣ of one labelled copy's gradient, loss²/parameter²
    noise_scale           B_noise = trΣ/‖G‖², in labelled copies (McCandlish et al. 2018, arXiv 1812.06162)
    effective_batch_size  B · B_noise(0)/B_noise(α), the clean batch with as good a gradient
    seconds               what measuring took
    """

    step: int
    batch_size: int
    norm_squared: Estimate
    covariance_trace: Estimate
    noise_scale: Estimate
    effective_batch_size: Estimate
    seconds: float


class NoiseScaleTracker(Shown):
    """Measure noise scale and effective batch size along a plain PyTorch training loop.

        with NoiseScaleTracker(network, alpha=3.0) as tracker:
            for x, y in loader:
                tracker.step(x, y)                     # before the update, so that the weights have not seen the batch
                ...                                    # forward, backward, optimizer.step() as ever
        tracker.history

    At step `every`, and again after as many steps, the tracker keeps `batches` consecutive batches and takes their
    gradients at the weights of the first: unbiased ‖G‖² and trΣ (U-statistics; see `MeasuredMoments`). If the 95 %
    interval of ‖G‖² reaches zero, the noise scale is "cannot tell" at this n. Few images often end so, because ‖G‖²
    drowns in noise while n is below the noise scale; more `batches` help.

    The tracker measures what you train: this `loss`, in the mode that the network is in. It takes the gradients of
    single images, and dropout draws once for each. Where BatchNorm, or a loss that is not a mean over images, couples
    the images of a batch, it takes the gradients of whole batches and keeps at least 8.

    loss        (logits as the network gives them, labels) -> mean loss; None is cross-entropy. Class weights of
                `nn.CrossEntropyLoss` count as in training, over the sum of the weights
    alpha       noisy labels per clean one, uniform; without it the effective batch size is not known
    images      how many images of each batch are measured at most, where they are measured one by one
    accumulate  micro-batches per optimiser step. Call `step` for each; the measurement covers them all
    overhead    how much of the loop's own time measuring may take, as a share. A measurement that would exceed it, if
                it took as long as the last, is put off; the first never is. math.inf puts off none

    Images, labels and outputs may be of any kind that `trained.seen` and `as_classifier` take. Where several processes
    train together (`torch.distributed`), each measures its own batches and gets what all of them found. If some do not
    track, `reason` says that these batches stand alone.

    Training continues as it would have, bit for bit: weights, gradients, buffers, modes and random states stay. An
    error while measuring becomes one warning and stands in `reason`; the tracker never raises it. While it measures,
    the tracker holds the batches and a copy of the weights. Measuring a batch costs as much as 5 to 10 of its training
    steps without alpha, 10 to 40 with it (K = 10), and 6 to 10 where batches are measured whole.
    Raises InputError for values out of range.

    >>> with effbatch.NoiseScaleTracker(torch.nn.Linear(5, 2), alpha=3.0, every=10, batches=2) as tracker:
    ...     for step in range(20):
    ...         tracker.step(torch.randn(8, 5), torch.randint(2, (8,)))
    >>> tracker.history[0].step  # the second of two batches
    11
    """

    _made = 0

    def __init__(
        self,
        network: nn.Module,
        *,
        loss: Loss | None = None,
        alpha: float | None = None,
        every: int = 100,
        batches: int = 4,
        images: int = 128,
        accumulate: int = 1,
        overhead: float = 0.1,
    ) -> None:
        in_range("alpha", alpha, "noisy labels per clean label", least=0)
        in_range("every", every, "steps", least=1)
        in_range("batches", batches, "consecutive batches per measurement", least=1)
        in_range("images", images, "of each batch", least=FEWEST_IMAGES)
        in_range("accumulate", accumulate, "micro-batches per step", least=1)
        if not overhead > 0:
            raise InputError(
                f"the overhead must be above 0, a share of the loop's own time, got {overhead}: 0.05 is usual"
            )
        self.network, self.loss, self.alpha = network, loss, alpha
        self.every, self.batches, self.images, self.allowed = every, batches, images, overhead
        self.accumulate = accumulate
        self.history: list[NoiseScaleRecord] = []
        self.reason: str | None = None
        self.steps, self.seconds = 0, 0.0
        self._calls, self._due, self._began, self._ended = 0, every, perf_counter(), 0.0
        self._trained: Trained | None = None
        self._seen: list[Seen] = []
        self._first, self._spent = 0, 0.0  # when those began to be kept: steps, seconds
        self._cost: float | None = None  # of the last measurement, or of the attempt
        self._parts: list[list[MeasuredMoments]] = []  # of every record
        self._warned, self._alone, self._tries = False, False, 0
        self._name = f"tracker {NoiseScaleTracker._made}"
        NoiseScaleTracker._made += 1

    def __enter__(self) -> Self:
        self._began, self._ended = perf_counter(), 0.0
        return self

    def __exit__(self, *_: object) -> None:
        self._ended = perf_counter()

    @property
    def overhead(self) -> float:
        """Seconds spent on measuring over those of the loop without it."""
        return self.seconds / self._loop_seconds

    @property
    def _loop_seconds(self) -> float:
        return max((self._ended or perf_counter()) - self._began - self.seconds, 1e-9)

    def step(self, images: Any, labels: Any = None) -> None:
        """Count one batch of the loop, and measure it if that is due; call it before the weights change.

        images, labels  as the loop has them; or the batch alone, (images, ..., labels), or a mapping of labels
                        ("labels", "label", "y", "target") and of what the network takes by name
        """
        self._calls += 1
        self.steps = -(-self._calls // self.accumulate)
        begins = self._calls % self.accumulate == 1 % self.accumulate
        if self._trained is None and not (begins and self._is_due()):
            return
        start = perf_counter()
        try:
            self._take(images, labels, start)
        except Exception as error:  # the user's code may raise anything, and memory may end: training goes on
            self._give_up(str(error) if isinstance(error, InputError) else first_line(error))
            self._cost = perf_counter() - start
        self.seconds += perf_counter() - start

    def _take(self, images: Any, labels: Any, start: float) -> None:
        """Keep a batch, and measure where there are enough of them."""
        batch = seen(self.network, images, labels)
        if self._trained is None:
            self._first, self._spent = self.steps, self.seconds
            self._trained = Trained(self.network, batch, self.loss, self.alpha)
        self._seen.append(batch)
        fewest = max(self.batches * self.accumulate, FEWEST_WHOLE * self._trained.whole)
        size = sum(one.n for one in self._seen[-self.accumulate :])
        enough = size >= SMALL or sum(one.n for one in self._seen) >= FEWEST_IN_ALL
        if self._calls % self.accumulate or len(self._seen) < fewest or not enough:
            if not self.history:
                why = ", as their images change each other's gradients" if self._trained.whole else ""
                self.reason = f"{len(self._seen)} kept so far, and a measurement needs more batches{why}"
            return
        found = self._trained.moments(self._seen, self.images, seed=self.steps)
        parts, size = self._of_all(found, size)
        self._cost = self.seconds - self._spent + perf_counter() - start
        self.history.append(self._record(parts, size, self._cost))
        self._parts.append(parts)
        self._rest()

    def _of_all(self, found: MeasuredMoments | None, size: int) -> tuple[list[MeasuredMoments], int]:
        """What all processes measured, and the images of a step in all of them; this one alone where others do not."""
        self.reason, self._tries = _ALONE if self._alone else None, self._tries + 1
        own = [] if found is None else [found]
        if processes() == 1 or self._alone:
            return own, size * processes()
        mine = None if found is None else [[v.tolist() for v in vars(found.per_image).values()], found.batch_size]
        every = told(f"{self._name}/{self._tries}", [mine, size, self.seconds, self._loop_seconds])
        if every is None:
            self._alone = True
            self._say(_ALONE)
            return own, size * processes()
        measured = [
            MeasuredMoments((GradientMoments if of is None else CoupledMoments)(*map(np.array, values)), of)
            for values, of in (theirs for theirs, *_ in every if theirs is not None)
        ]
        _, sizes, spent, loop = zip(*every, strict=True)
        # all put the next one off alike, as none may look at its own clock
        cost, pace = max(spent) * (1 + 1 / self._tries), min(loop) / self.steps
        self._due = math.ceil(min(cost / self.allowed / pace, 1e12))
        return [m for m in measured if m.batch_size == measured[0].batch_size], sum(sizes)

    def _give_up(self, why: str) -> None:
        with suppress(Exception):  # the reason that counts is the first one
            self._of_all(None, 0)
        self._say(why)
        self._rest()

    def _say(self, why: str) -> None:
        """One warning a run, as training is not to be stopped; the last reason stays."""
        self.reason = why
        if not self._warned:
            self._warned = True
            what = "of all processes " if why == _ALONE else ""
            with suppress(Warning):  # where warnings are errors
                warnings.warn(f"the noise scale {what}is not measured: {why}", stacklevel=4)

    def _rest(self) -> None:
        self._trained, self._seen = None, []
        self._due = max(self._due, self.steps + 1, max(self._first, self.steps - self.batches + 1) + self.every)

    def pooled(self, last: int | None = None) -> NoiseScaleRecord:
        """The last measurements (all, without a number) as one: means over that stretch of the run, where each alone
        cannot tell. InputError where nothing has been measured yet.
        """
        in_range("the number of measurements", last, "the last ones", least=1)
        if not self.history:
            why = f"; the last one: {self.reason}" if self.reason else ""
            raise InputError(f"a measurement is needed, got none after {self.steps} of {self._due} steps{why}")
        records = self.history[-last:] if last else self.history
        parts = [part for parts in self._parts[-len(records) :] for part in parts]
        parts = [part for part in parts if part.batch_size == parts[-1].batch_size]  # BatchNorm may have been frozen
        return self._record(parts, records[-1].batch_size, sum(record.seconds for record in records))

    def to_dataset(self) -> xr.Dataset:
        """The history along `step`: each number with its limits, NaN where there is none."""
        import xarray as xr

        def along(values: list[float | None]) -> tuple[str, Any]:
            return "step", np.array([np.nan if v is None else v for v in values], float)

        variables: dict[str, Any] = {}
        for name in ("norm_squared", "covariance_trace", "noise_scale", "effective_batch_size"):
            found: list[Estimate] = [getattr(record, name) for record in self.history]
            variables[name] = along([e.value for e in found])
            for i, limit in enumerate(("low", "high")):
                variables[f"{name}_{limit}"] = along([e.interval[i] if e.interval else None for e in found])
        variables["n"] = "step", [record.noise_scale.n for record in self.history]
        variables["batch_size"] = "step", [record.batch_size for record in self.history]
        attrs = {"confidence": 0.95, "overhead": self.overhead}
        attrs |= {} if self.alpha is None else {"alpha": self.alpha}
        return xr.Dataset(variables, {"step": [record.step for record in self.history]}, attrs)

    def __repr__(self) -> str:
        last = ""
        if self.history:
            record = self.history[-1]
            scale, batch = (estimate_text(e, n=False) for e in (record.noise_scale, record.effective_batch_size))
            last = f"; step {record.step}: noise scale {scale}, effective batch {batch}"
        last += f"; {self.reason}" if self.reason else ""
        return f"<NoiseScaleTracker: {self.steps} steps, {len(self.history)} measurements{last}>"

    def _is_due(self) -> bool:
        if self.steps < self._due or self._cost is None or (processes() > 1 and not self._alone):
            return self.steps >= self._due
        return self.seconds + self._cost <= self.allowed * self._loop_seconds

    def _record(self, parts: Sequence[MeasuredMoments], batch_size: int, seconds: float) -> NoiseScaleRecord:
        given = PooledMoments.of(parts)  # labels as they came stand at index 0
        effective = Estimate(None, n=given.n, reason=_NEEDS_ALPHA if self.alpha is None else _NEEDS_CLASSES)
        if self.alpha is not None and all(part.per_image.noisy_second_moment.any() for part in parts):
            clean = [MeasuredMoments(part.per_image.with_clean_labels(self.alpha), part.batch_size) for part in parts]
            effective = PooledMoments.of(clean).effective_batch_size(self.alpha, batch_size)
        return NoiseScaleRecord(
            step=self.steps,
            batch_size=batch_size,
            norm_squared=given.mean_norm_squared(0.0),
            covariance_trace=given.covariance_trace(0.0),
            noise_scale=given.noise_scale(0.0),
            effective_batch_size=effective,
            seconds=seconds,
        )
