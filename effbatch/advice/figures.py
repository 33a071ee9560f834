"""An advice -> figures: what each batch size and learning rate would give, and what more or cleaner labels pay."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from effbatch.advice.alpha_interval import Interval, times
from effbatch.advice.labels_pay import MORE, RELABELLED
from effbatch.advice.prediction_figures import rate_label, with_rate
from effbatch.core.figures import Axis, Figure, Panel, Series, limits

if TYPE_CHECKING:
    from effbatch.advice.answers import Advice


def figures_of(advice: Advice) -> list[Figure]:
    """By batch size, by learning rate at the advised batch size, and by label; the second only where it is known."""
    curve = _by_learning_rate(advice)
    return [_by_batch_size(advice), *([] if curve is None else [curve]), _by_label(advice)]


def _by_batch_size(advice: Advice) -> Figure:
    """Rate, and predicted accuracy where the theory tells it, against batch size."""
    sizes = [p.setting.batch_size for p in advice.predictions]
    axis, place = Axis("batch size B", "log2", ticks=sizes), sizes.index(advice.batch_size)
    chosen = [p.recommended for p in advice.predictions]
    valued = with_rate(advice.predictions)
    rates = [one.value if valued else one.factor for one in chosen]
    intervals: list[Interval | None] = [one.interval if valued else one.factor_interval for one in chosen]
    panels = [Panel(axis, Axis(rate_label(advice.predictions), "log2"), _marked(sizes, rates, intervals, place))]
    covers = advice.chosen.recommended.covers
    bars = f" Bars of the rate cover {covers}." if covers else " No interval of the rate is known."
    expected = [p.accuracy for p in advice.predictions]
    known = [None if e is None or e.value is None else 100 * e.value for e in expected]
    if advice.chosen.accuracy is not None and any(value is not None for value in known):
        intervals = [None if e is None else times(e.interval, 100) for e in expected]
        panels.append(Panel(axis, Axis("predicted accuracy, %"), _marked(sizes, known, intervals, place)))
        bars += f" Those of the accuracy cover n = {advice.chosen.accuracy.initialisations} initialisations and α."
    caption = f"{advice.network} on {advice.data}: B = {advice.batch_size} is advised, {advice.why}.{bars}"
    return Figure("batch_size", caption, panels)


def _marked(
    x: Sequence[float], y: Sequence[float | None], intervals: Sequence[Interval | None], chosen: int
) -> list[Series]:
    """A line through all points, and the chosen one in a look of its own."""
    at = slice(chosen, chosen + 1)
    every = Series("each batch size", "predicted", x, y, **limits(intervals), dots=True)
    advised = Series("advised", "predicted", x[at], y[at], **limits(intervals[at]), dots=True)
    return [every, advised] if len(x) > 1 else [advised]


def _by_learning_rate(advice: Advice) -> Figure | None:
    """One predicted line per α of its interval, and a dashed line at the advised rate; None without a curve."""
    curve, rate = advice.curve, advice.learning_rate
    if curve is None or rate is None:
        return None
    lines = [
        Series(f"α = {alpha:.3g}", "predicted", curve.learning_rates, [100 * a for a in accuracies], dots=True)
        for alpha, accuracies in zip(curve.alphas, curve.accuracy, strict=True)
    ]
    advised = Series(f"advised: {rate:.3g}", "rival", [rate, rate], [0, 100])
    panel = Panel(Axis("learning rate", "log2"), Axis("predicted accuracy, %", domain=(0, 100)), [*lines, advised])
    caption = (
        f"Predicted accuracy of {advice.network} on {advice.data}, B = {advice.batch_size}, {advice.steps:,} steps: "
        "median over initialisations."
    )
    return Figure("learning_rate", caption, [panel])


def _by_label(advice: Advice) -> Figure:
    """What twice the labels, and a tenth of them relabelled, would do to d′ and to accuracy."""
    worth = advice.labels
    changes = {f"{MORE} times the labels": worth.more, f"{100 * RELABELLED:g} % relabelled": worth.cleaner}
    kinds = Axis("", ticks=(0, 1), domain=(-0.5, 1.5), names=tuple(changes))
    gains, factors = [], []
    for i, (name, change) in enumerate(changes.items()):
        factors.append(Series(name, "predicted", [change.d_factor], [i], interval="x", dots=True))
        value = None if change.gain.value is None else 100 * change.gain.value
        interval = limits([times(change.gain.interval, 100)])
        gains.append(Series(name, "predicted", [value], [i], **interval, interval="x", dots=True))
    d_factors = Axis("d′ then / d′ now", domain=(1.0, 1.1 * max(change.d_factor for change in changes.values())))
    panels = [Panel(d_factors, kinds, factors)]
    caption = f"What labels would pay at α = {advice.alpha.value:.3g}; d′ is exact in the linear regime."
    if any(series.x[0] is not None for series in gains):
        ends = [v for s in gains for v in (*s.x, *(s.low or ()), *(s.high or ())) if v is not None and math.isfinite(v)]
        least, most = min(0.0, *ends), max(0.0, *ends)
        margin = 0.05 * (most - least) or 1.0
        points = Axis("accuracy gained, points", domain=(least - margin * (least < 0), most + margin))
        panels.append(Panel(points, kinds, gains))
        caption += f" Accuracy: least to greatest of n = {worth.more.gain.n} initialisations."
    return Figure("labels", caption, panels)
