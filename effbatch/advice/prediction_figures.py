"""Predictions -> figures: every law on one question, or effective batch and rates along α or the batch size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from effbatch.core.errors import InputError
from effbatch.core.figures import LABELS_PER_CLEAN, Axis, Figure, Panel, Series, limits

if TYPE_CHECKING:
    from effbatch.advice.prediction import Prediction

EFFECTIVE = {"signal_to_noise": "B/(1+α)², signal to noise", "clean_count": "B/(1+α), clean labels"}
_FACTOR = "factor on the rate best on clean labels"


def laws_figure(prediction: Prediction) -> Figure:
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
    return Figure("laws", caption, panels)


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
            "predictions in one plot need to differ in alpha or batch size, and in nothing else; others came: plot "
            "them apart"
        )
    by_alpha = len(alphas) >= len(sizes)
    if by_alpha:
        axis = Axis(LABELS_PER_CLEAN, "log", ticks=[1 + a for a in alphas] if len(alphas) < 8 else None)
    else:
        axis = Axis("batch size B", "log2", ticks=sizes if len(sizes) < 8 else None)
    effective, rates = [], []
    for other in sizes if by_alpha else alphas:
        here = [p for p in predictions if (p.setting.batch_size if by_alpha else p.setting.alpha) == other]
        here.sort(key=lambda p: (p.setting.alpha, p.setting.batch_size))
        x = [1 + p.setting.alpha if by_alpha else p.setting.batch_size for p in here]
        title = f"B = {other:,}" if by_alpha else f"α = {other:.3g}"
        effective.append(Panel(axis, Axis("effective batch size", "log2"), _effective(here, x), title))
        rates.append(Panel(axis, Axis(rate_label(here), "log2"), _rates(here, x), title))
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
    value, interval = ("value", "interval") if with_rate(predictions) else ("factor", "factor_interval")
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


def with_rate(predictions: Sequence[Prediction]) -> bool:
    """Whether every recommended law says a rate, and not only a factor."""
    return all(p.recommended.value is not None for p in predictions)


def rate_label(predictions: Sequence[Prediction]) -> str:
    """What an axis of the recommended laws shows: rates, or factors where not all have a rate."""
    return "learning rate" if with_rate(predictions) else _factor_label(predictions[0])


def _factor_label(prediction: Prediction) -> str:
    return _FACTOR if prediction.anchor is None else "factor on the rate of the anchor"
