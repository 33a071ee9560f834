"""Measured gradient numbers -> figures: noise scale and effective batch size against α, or along a training run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from effbatch.core.errors import InputError
from effbatch.core.estimate import Estimate
from effbatch.core.figures import LABELS_PER_CLEAN, Axis, Figure, Panel, Series, limits

if TYPE_CHECKING:
    from effbatch.measure.measured import MeasuredMoments
    from effbatch.measure.tracker import NoiseScaleTracker

ALPHAS = tuple(2.0**k - 1 for k in range(7))  # 0, 1, 3, ... 63
NOISE_SCALE = Axis("noise scale, labelled copies", "log")


def moments_figure(measured: MeasuredMoments) -> Figure:
    """Noise scale and B_eff/B at several α; InputError where n images tell neither."""
    x = [1 + alpha for alpha in ALPHAS]
    scales = [measured.noise_scale(alpha) for alpha in ALPHAS]
    shares = [measured.effective_batch_size(alpha, 1) for alpha in ALPHAS]
    axis = Axis(LABELS_PER_CLEAN, "log2", ticks=x)
    counted = [
        _measured("measured", x, shares),
        Series("1/(1+α)², signal to noise", "rival", x, [1 / v**2 for v in x]),
        Series("1/(1+α), clean labels", "rival", x, [1 / v for v in x]),
    ]
    panels = [Panel(axis, NOISE_SCALE, [_measured("measured", x, scales)])] if _any(scales) else []
    panels += [Panel(axis, Axis("B_eff/B", "log"), counted)] if _any(shares[1:]) else []
    if not panels:
        raise InputError(f"a plot needs a noise scale, and there is none: {scales[0].reason}")
    unknown = sum(one.value is None for one in scales)
    left_out = f" At {unknown} of {len(x)} α they cannot tell the noise scale." * bool(unknown)
    caption = f"Gradients of n = {measured.n:,} images, 95 % intervals.{left_out}"
    return Figure("moments", caption, panels)


def tracker_figure(tracker: NoiseScaleTracker) -> Figure:
    """‖G‖², noise scale and, with an α, effective batch size at every measurement; InputError where there is none."""
    history = tracker.history
    if not history:
        raise InputError(
            f"a plot needs a measurement, and none is done after {tracker.steps} steps: make more steps, or give a "
            "smaller `every`"
        )
    scales = [record.noise_scale for record in history]
    batches = [record.effective_batch_size for record in history]
    kinds = [(Axis("‖G‖², loss²/parameter²"), [record.norm_squared for record in history])]
    kinds += [(NOISE_SCALE, scales)] * _any(scales) + [(Axis("effective batch size", "log"), batches)] * _any(batches)
    steps = [record.step for record in history]
    panels = [Panel(Axis("step"), axis, [_measured("measured", steps, found)]) for axis, found in kinds]
    told = sum(scale.value is not None for scale in scales)
    caption = (
        f"{told} of {len(history)} measurements tell a noise scale; elsewhere the interval of ‖G‖² reaches zero. Each "
        f"of n = {scales[-1].n:,} images in batches of {history[-1].batch_size:,}; 95 % intervals."
    )
    return Figure("tracker", caption, panels)


def _measured(name: str, x: Sequence[float], estimates: Sequence[Estimate]) -> Series:
    return Series(name, "measured", x, [one.value for one in estimates], **limits([one.interval for one in estimates]))


def _any(estimates: Sequence[Estimate]) -> bool:
    return any(estimate.value is not None for estimate in estimates)
