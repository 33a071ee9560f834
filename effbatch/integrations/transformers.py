"""A Hugging Face `Trainer` of an image classifier -> `NoiseScaleTracker`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from effbatch.measure.tracker import NoiseScaleTracker


def track(trainer: Any, *, images: str = "pixel_values", labels: str = "labels", **options: Any) -> NoiseScaleTracker:
    """Let a `transformers.Trainer` give every training batch to a new tracker before its step; returns the tracker.

        tracker = track(trainer, alpha=3.0)
        trainer.train()

    The Trainer's callbacks do not see the batch, so its method `training_step(model, inputs, ...)` is wrapped. `images`
    and `labels` are the keys of its inputs; the model returns an object with `logits`. With gradient accumulation every
    part is a batch of its own. `options` are those of `NoiseScaleTracker`.
    """
    from torch import nn

    from effbatch.measure.tracker import NoiseScaleTracker

    class Logits(nn.Module):
        """The model as images -> logits, which is what gradients of single images are taken of."""

        def __init__(self) -> None:
            super().__init__()
            self.model = trainer.model

        def forward(self, x: Any) -> Any:
            return self.model(**{images: x}).logits

    tracker = NoiseScaleTracker(Logits(), **options)
    step = trainer.training_step

    def tracked_step(model: Any, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        tracker.step(inputs[images], inputs[labels])
        return step(model, inputs, *args, **kwargs)

    trainer.training_step = tracked_step
    return tracker
