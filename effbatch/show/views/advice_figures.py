"""Predictions and advice -> figures: what every law says, rates along α or B, accuracy, and what labels would pay."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from effbatch.advice.answers import BY, Advice
from effbatch.advice.labels_pay import MORE, RELABELLED, LabelsWorth
from effbatch.advice.prediction import Prediction
from effbatch.core.errors import InputError
from effbatch.core.estimate import Estimate
from effbatch.core.figures import Axis, Figure, Panel, Series, figures, limits, noise_axis

EFFECTIVE = {"signal_to_noise": "B/(1+α)², signal to noise", "clean_count": "B/(1+α), clean labels"}
_FACTOR = "factor on the rate best on clean labels"


@figures.register
def of_prediction(prediction: Prediction) -> list[Figure]:
    """What every law that applies says at one α and B: its factor, and its rate where it has one."""
    chosen, said = prediction.recommended.law, prediction.learning_rate
    s = prediction.setting
    panels = []
    for label, value, interval in (
        (_factor_label(prediction), "factor", "factor_interval"),
        ("learning rate", "value", "interval"),
    ):
        names = [name for name in said if said[name].applies and getattr(said[name], value) is not None]
        names.sort(key=lambda name: (name == chosen, getattr(said[name], value)))
        if not names:
            continue
        laws = Axis("", ticks=tuple(range(len(names))), domain=(-0.5, len(names) - 0.5), names=names)
        series = [
            Series(
                name,
                "predicted",
                [getattr(said[name], value)],
                [i],
                **limits([getattr(said[name], interval)]),
                group="recommended" if name == chosen else "other laws",
                interval="x",
                dots=True,
            )
            for i, name in reversed(list(enumerate(names)))
        ]
        panels.append(Panel(Axis(label, "log2"), laws, series))
    silent = sum(not law.applies for law in said.values())
    caption = (
        f"At α = {s.alpha:.3g}, B = {s.batch_size:,} the law to use is {chosen}: {prediction.recommended.why}. Bars: "
        f"the interval of α and recorded errors, as far as known. {silent} laws do not apply and are left out."
    )
    return [Figure("laws", caption, panels)]


def figures_along(predictions: Sequence[Prediction]) -> list[Figure]:
    """Effective batch size, and rate by law, along α or B, whichever takes more values; a panel for each of the other.

    InputError where two have the same α and B, or differ in anything else.
    """
    alphas = sorted({p.setting.alpha for p in predictions})
    sizes = sorted({p.setting.batch_size for p in predictions})
    cells = {(p.setting.alpha, p.setting.batch_size) for p in predictions}
    asked = {
        (replace(p.setting, alpha=0.0, batch_size=1), p.anchor, p.noise["kind"], p.noise["delta"]) for p in predictions
    }
    if len(asked) > 1 or len(cells) < len(predictions):
        raise InputError(
            "predictions in one plot need to differ in alpha or batch size, and in nothing else, got others: plot "
            "them apart"
        )
    by_alpha = len(alphas) >= len(sizes)
    if by_alpha:
        axis = noise_axis(alphas) if len(alphas) < 8 else replace(noise_axis(alphas), ticks=None)
    else:
        axis = Axis("batch size B", "log2", ticks=sizes if len(sizes) < 8 else None)
    effective, rates = [], []
    for other in sizes if by_alpha else alphas:
        here = [p for p in predictions if (p.setting.batch_size if by_alpha else p.setting.alpha) == other]
        here.sort(key=lambda p: (p.setting.alpha, p.setting.batch_size))
        x = [p.setting.alpha if by_alpha else p.setting.batch_size for p in here]
        title = f"B = {other:,}" if by_alpha else f"α = {other:.3g}"
        effective.append(Panel(axis, Axis("effective batch size", "log2"), _effective(here, x), title))
        rates.append(Panel(axis, Axis(_rate_label(here), "log2"), _rates(here, x), title))
    laws = ", ".join(dict.fromkeys(p.recommended.law for p in predictions))
    return [
        Figure("rate", f"The rate by {laws}, solid, with its interval, beside the other laws that apply.", rates),
        Figure(
            "effective_batch",
            "The clean batch with as good a gradient: by signal-to-noise ratio, exact where the network still answers "
            "1/K, and by counting clean labels, the folk rule. Bars: the interval of α, where it has one.",
            effective,
        ),
    ]


def _effective(predictions: Sequence[Prediction], x: Sequence[float]) -> list[Series]:
    """Effective batch size by either rule, with its range over the interval of α."""
    series = []
    for rule, label in EFFECTIVE.items():
        ranges = [(p.intervals or {}).get("effective_batch_size", {}).get(rule) for p in predictions]
        values = [p.effective_batch_size[rule] for p in predictions]
        series.append(Series(label, "predicted", x, values, **limits(ranges), dots=True))
    return series


def _rates(predictions: Sequence[Prediction], x: Sequence[float]) -> list[Series]:
    """The recommended law's rate with its interval, and those of all others; factors where not all have a rate."""
    value, interval = ("value", "interval") if _with_rate(predictions) else ("factor", "factor_interval")
    chosen = [p.recommended for p in predictions]
    series = [
        Series(
            "recommended",
            "predicted",
            x,
            [getattr(one, value) for one in chosen],
            **limits([getattr(one, interval) for one in chosen]),
            dots=True,
        )
    ]
    everything = dict.fromkeys(name for p in predictions for name, law in p.learning_rate.items() if law.applies)
    for name in everything.keys() - {one.law for one in chosen}:
        said = [p.learning_rate[name] for p in predictions]
        values = [getattr(law, value) if law.applies else None for law in said]
        if sum(v is not None for v in values) > 1:
            series.append(Series(name, "rival", x, values))
    return [series[0], *sorted(series[1:], key=lambda one: one.name)]


def _with_rate(predictions: Sequence[Prediction]) -> bool:
    """Whether every recommended law says a rate, and not only a factor."""
    return all(p.recommended.value is not None for p in predictions)


def _rate_label(predictions: Sequence[Prediction]) -> str:
    """What an axis of the recommended laws shows: rates, or factors where not all have a rate."""
    return "learning rate" if _with_rate(predictions) else _factor_label(predictions[0])


def _factor_label(prediction: Prediction) -> str:
    return _FACTOR if prediction.anchor is None else "factor on the rate of the anchor"


@figures.register
def of_advice(advice: Advice) -> list[Figure]:
    """Scores of the runs by learning rate, answers by batch size, gains by label."""
    made = [_by_learning_rate(advice)] if advice.chosen.probe is not None else []
    made += [_by_batch_size(advice)] if len(advice.answers) > 1 or not made else []
    return made if advice.pay is None else [*made, _by_label(advice, advice.pay)]


def _by_learning_rate(advice: Advice) -> Figure:
    """Scores against rate, a line for each stage with least to greatest over its seeds, and the rate's interval."""
    chosen = advice.chosen
    assert chosen.probe is not None
    series = []
    for stage in chosen.probe.stages:
        order = sorted(range(len(stage.learning_rates)), key=stage.learning_rates.__getitem__)
        scores = [[100 * float(a) for a in stage.accuracy[i]] for i in order]
        spans = [(min(s), max(s)) if len(s) > 1 else None for s in scores]
        rates = [stage.learning_rates[i] for i in order]
        means = [sum(s) / len(s) for s in scores]
        name = f"{stage.steps:,} steps" + f", seeds from {stage.seeds[0]}" * (chosen.probe.kind == "whole")
        series.append(Series(name, "measured", rates, means, **limits(spans)))
    domain = _about([v for s in series for v in (*s.y, *(s.low or ()), *(s.high or ()))], 0.0, 100.0)
    rate = chosen.learning_rate
    for name, value in (("advised", rate.value), ("from", rate.low), ("to", rate.high)):
        if value is not None:
            series.append(Series(f"{name}: {value:.3g}", "rival", [value, value], domain))
    percent = Axis(f"accuracy on {BY[advice.labels.scored]}, %", domain=domain)
    caption = (
        f"{chosen.probe.kind.capitalize()} real runs of {advice.network} on {advice.data.name}, B = "
        f"{advice.batch_size}: mean over seeds, bars least to greatest. Upright lines: the rate advised and its 90 % "
        "interval."
    )
    return Figure("learning_rate", caption, [Panel(Axis("learning rate", "log2"), percent, series)])


def _about(values: Sequence[float | None], least: float, most: float) -> tuple[float, float]:
    """A range that holds the finite ones of `values`, and a tenth of their span about them, within least and most."""
    known = [v for v in values if v is not None and math.isfinite(v)] or [least, most]
    margin = 0.1 * (max(known) - min(known)) or 1.0
    return max(least, min(known) - margin), min(most, max(known) + margin)


def _by_batch_size(advice: Advice) -> Figure:
    """Rate, or its factor, and accuracy where it is known, against batch size."""
    sizes = [a.batch_size for a in advice.answers]
    axis, place = Axis("batch size B", "log2", ticks=sizes), sizes.index(advice.batch_size)
    valued = all(a.learning_rate.value is not None for a in advice.answers)
    rates = [a.learning_rate if valued or a.factor is None else a.factor for a in advice.answers]
    label = "learning rate" if valued else _FACTOR
    panels = [Panel(axis, Axis(label, "log2"), _marked(sizes, rates, place))]
    expected = [a.accuracy.times(100) for a in advice.answers]
    if any(one.value is not None for one in expected):
        panels.append(Panel(axis, Axis(f"accuracy on {advice.chosen.of}, %"), _marked(sizes, expected, place)))
    why = f"{advice.network} on {advice.data.name}: B = {advice.batch_size} is advised, {advice.why}."
    return Figure("batch_size", f"{why} Rate at it: {advice.chosen.why}.", panels)


def _marked(x: Sequence[float], y: Sequence[Estimate], chosen: int) -> list[Series]:
    """A line through all points, and the chosen one in a look of its own."""
    values, intervals, at = [one.value for one in y], [one.interval for one in y], slice(chosen, chosen + 1)
    every = Series("each batch size", "predicted", x, values, **limits(intervals), dots=True)
    advised = Series("advised", "predicted", x[at], values[at], **limits(intervals[at]), dots=True)
    return [every, advised] if len(x) > 1 else [advised]


def _by_label(advice: Advice, worth: LabelsWorth) -> Figure:
    """What twice the labels, and a tenth of them relabelled, would do to d′ and to accuracy."""
    changes = {f"{MORE} times the labels": worth.more, f"{100 * RELABELLED:g} % relabelled": worth.cleaner}
    kinds = Axis("", ticks=(0, 1), domain=(-0.5, 1.5), names=tuple(changes))
    gains, factors = [], []
    for i, (name, change) in enumerate(changes.items()):
        factors.append(Series(name, "predicted", [change.d_factor], [i], interval="x", dots=True))
        value = None if change.gain.value is None else 100 * change.gain.value
        interval = limits([change.gain.times(100).interval])
        gains.append(Series(name, "predicted", [value], [i], **interval, interval="x", dots=True))
    most_told = max(change.d_factor for change in changes.values())
    d_factors = Axis("how far the true class stands out (d′), then / now", domain=(1.0, 1.1 * most_told))
    panels = [Panel(d_factors, kinds, factors)]
    caption = f"What labels would pay at α = {advice.alpha.value:.3g}; d′ is exact in the linear regime."
    if any(series.x[0] is not None for series in gains):
        ends = [v for s in gains for v in (*s.x, *(s.low or ()), *(s.high or ())) if v is not None and math.isfinite(v)]
        least, most = min(0.0, *ends), max(0.0, *ends)
        margin = 0.05 * (most - least) or 1.0
        points = Axis("accuracy gained, points", domain=(least - margin * (least < 0), most + margin))
        panels.append(Panel(points, kinds, gains))
        caption += " Accuracy computed from d′, bars over the interval of the accuracy."
    return Figure("labels", caption, panels)
