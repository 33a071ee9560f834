"""An advice -> the figure of accuracy against learning rate, with the advised rate."""

from __future__ import annotations

from typing import TYPE_CHECKING

from effbatch.errors import InputError
from effbatch.exhibits import Axis, Figure, Panel, Series

if TYPE_CHECKING:
    from effbatch.advice.answers import Advice


def figure_of(advice: Advice) -> Figure:
    """One predicted line per α of its interval, and a dashed line at the advised rate; InputError without a curve."""
    curve, rate = advice.curve, advice.learning_rate
    if curve is None or rate is None:
        raise InputError(
            "a figure needs the accuracy of the linearised theory, which says nothing here: see the limits"
        )
    lines = [
        Series(f"α = {alpha:.3g}", "predicted", curve.learning_rates, [100 * a for a in accuracies])
        for alpha, accuracies in zip(curve.alphas, curve.accuracy, strict=True)
    ]
    advised = Series(f"advised: {rate:.3g}", "rival", [rate, rate], [0, 100])
    panel = Panel(Axis("learning rate", "log2"), Axis("predicted accuracy, %", domain=(0, 100)), [*lines, advised])
    caption = (
        f"Predicted accuracy of {advice.network} on {advice.data}, B = {advice.batch_size}, {advice.steps:,} steps."
    )
    return Figure("advice", caption, [panel])
