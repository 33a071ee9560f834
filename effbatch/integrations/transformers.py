"""A Hugging Face `Trainer` of a classifier -> `NoiseScaleTracker`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from effbatch.measure.tracker import NoiseScaleTracker


def track(trainer: Any, **options: Any) -> NoiseScaleTracker:
    """Let a `transformers.Trainer` give every training batch to a new tracker before its step; returns the tracker.

        tracker = track(trainer, alpha=3.0)
        trainer.train()

    The Trainer's callbacks do not see the batch, so its method `training_step(model, inputs, ...)` is wrapped. Inputs
    are a mapping with labels; images, tokens, masks and all else go to the model by name, whose output has `logits`.
    The tracker knows the Trainer's gradient accumulation and label smoothing. `options` are those of
    `NoiseScaleTracker`; give `loss` where the Trainer has one of its own.
    """
    from torch import nn

    from effbatch.measure.tracker import NoiseScaleTracker

    smoothing = trainer.args.label_smoothing_factor
    options.setdefault("loss", nn.CrossEntropyLoss(label_smoothing=smoothing) if smoothing else None)
    options.setdefault("accumulate", trainer.args.gradient_accumulation_steps)
    tracker = NoiseScaleTracker(trainer.model, **options)
    step = trainer.training_step

    def tracked_step(model: Any, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        model.train()  # as the step does at once
        tracker.step(inputs)
        return step(model, inputs, *args, **kwargs)

    trainer.training_step = tracked_step
    return tracker
