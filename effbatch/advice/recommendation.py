"""What every law says, and its record -> the one recommended, and why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from effbatch.advice.law_answers import LawPrediction
from effbatch.advice.question import COMPUTED, Question
from effbatch.core.errors import InputError
from effbatch.core.estimate import Interval

# By optimizer, the laws to choose from (the first that applies) and the reason for the order.
_SGD = (
    ("square_root_clean_count", "none"),
    "the rate scales with the square root of the clean labels in a batch, an empirical rule for SGD",
)
_ADAPTIVE = (("adaptive", "none"), "for Adam and AdaDelta the rate scales as B^¼ (1+α)^−¾, an empirical rule")
# Theories of an untrained network, the first that answers, and what they add to it
THEORIES = {"moving_kernel": " and how its kernel moves as it learns", "linearised": ""}
_PREFERRED = {"sgd": _SGD, "momentum": _SGD} | dict.fromkeys(("adam", "adamw", "rmsprop", "adadelta"), _ADAPTIVE)


@dataclass(frozen=True, kw_only=True)
class Recommendation:
    """The law chosen for the optimizer, its numbers (see `LawPrediction`), and why in one sentence."""

    law: str
    factor: float | None
    value: float | None
    interval: Interval | None
    n: int | None
    why: str
    factor_interval: Interval | None
    covers: str | None


def recommend(question: Question, said: Mapping[str, LawPrediction]) -> Recommendation:
    """The first law that applies: theory, then what the optimizer prefers.

    With an anchor, theory comes after what the optimizer prefers: on the same cells a rate carried over from a tuned
    one was nearer (benchmarks/results/prediction.md). One of them always applies: `none` does.
    """
    optimizer = question.setting.optimizer
    if optimizer not in _PREFERRED:
        raise InputError(f"laws are for {', '.join(_PREFERRED)}, got {optimizer}: advise trains it in short real runs")
    preferred, why = _PREFERRED[optimizer]
    order = (*THEORIES, *preferred) if question.anchor is None else (*preferred, *THEORIES)
    name = next(name for name in order if name in said and said[name].applies)
    chosen = said[name]
    if name in THEORIES:
        why = f"computed from the untrained network{THEORIES[name]}, median of n = {chosen.n} initialisations"
        if chosen.interval and name not in question.on_record:
            why += "; the interval reflects these, not what the theory leaves out"
    elif said["linearised"].applies and not question.unmoved:
        why += "; a tuned rate carried over comes before the linearised theory"
    return Recommendation(
        law=name,
        factor=chosen.factor,
        value=chosen.value,
        interval=chosen.interval,
        n=chosen.n,
        why=f"{why}{_how_sure(name, chosen, question)}",
        factor_interval=chosen.factor_interval,
        covers=chosen.covers,
    )


def _how_sure(name: str, chosen: LawPrediction, question: Question) -> str:
    """The errors on record of the chosen law, or why there are none, as a further clause."""
    if (score := question.scores.get(name)) is not None:
        labels = "clean" if question.clean_anchor else "noisy"
        n = f"n = {score.n}"
        how = f"on {n} settings" if name in COMPUTED else f"carried from {labels} labels to other settings ({n})"
        return (
            f"; {how}, it missed the measured best rate by a factor of "
            f"{2**score.median_error_log2:.3g} (median); the interval, a factor of {score.spread:.3g} either way, "
            f"holds nine of ten such errors: {score.source}"
        )
    if name not in COMPUTED and question.unmoved:
        return "; here the rate stays where it was tuned: as good as it was tuned there"
    if name in COMPUTED and name not in question.on_record:
        return ""
    interval = f"its interval is only {chosen.covers}" if chosen.covers else "it carries no interval"
    return f"; no errors are on record{question.missing(name)}, so {interval}"
