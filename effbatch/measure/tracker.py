"""Batches of a training loop -> noise scale and effective batch size along the run, with intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import TYPE_CHECKING, Any, Self

import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn

from effbatch.core.errors import InputError
from effbatch.core.estimate import Estimate
from effbatch.core.formats import estimate_text
from effbatch.core.pages import Shown
from effbatch.laws.base import in_range
from effbatch.measure.gradients import measure_moments
from effbatch.measure.measured import FEWEST_IMAGES, MeasuredMoments, PooledMoments
from effbatch.networks.evaluation_mode import evaluation_mode
from effbatch.networks.per_image import Images, as_images

if TYPE_CHECKING:
    import xarray as xr

_NEEDS_ALPHA = "it compares with clean labels, so it needs alpha: `effbatch estimate` finds it from hand-checked labels"


@dataclass(frozen=True)
class NoiseScaleRecord:
    """One measurement of `NoiseScaleTracker`; each number has the n images behind it, and says why where it has none.

    In those reasons, the index 0 stands for the labels as given; for clean ones in that of the effective batch size.

    step                  of the loop, from 1, at which the last of its batches came
    batch_size            B of that step
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
    """Noise scale and effective batch size along a plain PyTorch training loop.

        with NoiseScaleTracker(network, alpha=3.0) as tracker:
            for x, y in loader:
                tracker.step(x, y)                     # before the update, so that the weights have not seen the batch
                ...                                    # forward, backward, optimizer.step() as ever
        tracker.history

    From step `every` on, and every so many steps, it takes the gradients of single images of `batches` consecutive
    batches, at most `images` of each: unbiased ‖G‖² and trΣ (U-statistics; see `MeasuredMoments`), averaged over the
    batches. Where the 95 % interval of ‖G‖² reaches zero there is no noise scale: "cannot tell" at this n. That is the
    rule with few images, as ‖G‖² then drowns at n below the noise scale itself; more `batches` help by their square
    root, larger ones in proportion.

    alpha     noisy labels per clean one, uniform: without it the effective batch size is not known
    overhead  most that measuring may take, as a share of the loop's own time since the start: a measurement that would
              go beyond it if it took as long as the last one is put off (the first never is); math.inf: none is
    The loss is cross-entropy, labels are whole numbers (n,) and the network maps images (n, ...) to logits (n, K). It
    runs in evaluation mode while measured, keeps weights, gradients and modes, and draws no random number, so training
    goes on as it would have. One measurement of a batch costs as much as 10 to 40 of its training steps (K = 10).
    Batches of fewer than 3 images are passed over.
    Raises InputError for values out of range, and from `step` where network, images and labels do not fit together.
    """

    def __init__(
        self,
        network: nn.Module,
        *,
        alpha: float | None = None,
        every: int = 100,
        batches: int = 4,
        images: int = 128,
        overhead: float = 0.1,
    ) -> None:
        in_range("alpha", alpha, "noisy labels per clean label", least=0)
        in_range("every", every, "steps", least=1)
        in_range("batches", batches, "consecutive batches per measurement", least=1)
        in_range("images", images, "of each batch", least=FEWEST_IMAGES)
        if not overhead > 0:
            raise InputError(f"the overhead must be above 0, a share of the loop's own time; {overhead} came")
        self.network, self.alpha = network, alpha
        self.every, self.batches, self.images, self.allowed = every, batches, images, overhead
        self.history: list[NoiseScaleRecord] = []
        self.steps, self.seconds = 0, 0.0
        self._due, self._parts, self._began, self._ended = every, list[MeasuredMoments](), perf_counter(), 0.0
        self._measured_batches: list[list[MeasuredMoments]] = []
        self._num_classes = 0

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

    def step(self, images: Images, labels: ArrayLike | Tensor) -> None:
        """Count one step of the loop, and measure its batch if that is due; call it before the weights change."""
        self.steps += 1
        if len(images) < FEWEST_IMAGES or not (self._parts or self._is_due()):
            return
        start = perf_counter()
        self._parts.append(self._measured(images, labels))
        self.seconds += perf_counter() - start
        if len(self._parts) == self.batches:
            took = self.seconds - sum(record.seconds for record in self.history)
            self.history.append(self._record(self._parts, len(images), took))
            self._measured_batches.append(self._parts)
            self._parts = []
            self._due = self.steps + max(1, self.every - self.batches + 1)

    def pooled(self, last: int | None = None) -> NoiseScaleRecord:
        """The last measurements (all, without a number) as one: means over that stretch of the run, where each alone
        cannot tell. InputError where nothing has been measured yet.
        """
        in_range("the number of measurements", last, "the last ones", least=1)
        if not self.history:
            raise InputError(f"a measurement is needed, and none is done: {self.steps} steps of {self._due} came")
        records = self.history[-last:] if last else self.history
        parts = [part for batches in self._measured_batches[-len(records) :] for part in batches]
        return self._record(parts, records[-1].batch_size, sum(record.seconds for record in records))

    def to_dataset(self) -> xr.Dataset:
        """The history along `step`: each number with its limits, NaN where there is none."""
        import numpy as np
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
        return f"<NoiseScaleTracker: {self.steps} steps, {len(self.history)} measurements{last}>"

    def _is_due(self) -> bool:
        if self.steps < self._due or not self.history:
            return self.steps >= self._due
        return self.seconds + self.history[-1].seconds <= self.allowed * self._loop_seconds

    def _measured(self, images: Images, labels: ArrayLike | Tensor) -> MeasuredMoments:
        if not self._num_classes:
            with evaluation_mode(self.network), torch.no_grad():
                self._num_classes = int(self.network(as_images(self.network, images[:1])).shape[-1])
        return measure_moments(
            self.network, images, labels, num_classes=self._num_classes, max_examples=self.images, seed=self.steps
        )

    def _record(self, parts: Sequence[MeasuredMoments], batch_size: int, seconds: float) -> NoiseScaleRecord:
        given = PooledMoments.of(parts)  # labels as they came stand at index 0
        effective = Estimate(None, n=given.n, reason=_NEEDS_ALPHA)
        if self.alpha is not None:
            clean = [MeasuredMoments(part.per_image.with_clean_labels(self.alpha)) for part in parts]
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
