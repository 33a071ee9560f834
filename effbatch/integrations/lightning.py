"""A Lightning `Trainer` -> `NoiseScaleTracker`, as a callback."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from effbatch.core.errors import InputError

if TYPE_CHECKING:
    from effbatch.measure.tracker import NoiseScaleTracker


def noise_scale_callback(tracker: NoiseScaleTracker) -> Any:
    """A `lightning.pytorch.Callback` that gives every training batch to the tracker before the step.

        tracker = NoiseScaleTracker(module, alpha=3.0)
        Trainer(callbacks=[noise_scale_callback(tracker)]).fit(module, loader)

    A batch is of any kind that the tracker takes, and the module's `forward` returns the logits; give the tracker the
    `loss` of its `training_step`, if that is not cross-entropy. The Trainer's gradient accumulation is taken over. The
    clock of the overhead starts with the training. Raises InputError where Lightning is not installed.
    """
    try:
        from lightning.pytorch import Callback
    except ImportError as error:
        raise InputError("the callback needs Lightning, which is not installed: pip install lightning") from error

    class NoiseScale(Callback):
        def on_train_start(self, trainer: Any, pl_module: Any) -> None:
            tracker.accumulate = trainer.accumulate_grad_batches
            tracker.__enter__()

        def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
            tracker.step(batch)

        def on_train_end(self, trainer: Any, pl_module: Any) -> None:
            tracker.__exit__()

    return NoiseScale()
