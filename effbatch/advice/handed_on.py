"""What `estimate --json` printed -> the noise that it tells; or, where it tells none, an answer of unknown numbers."""

from __future__ import annotations

import operator
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from effbatch.advice.alpha_interval import BEYOND
from effbatch.advice.noise import Noise, effective_alpha
from effbatch.advice.prediction import predict
from effbatch.advice.question import Anchor
from effbatch.core.errors import InputError
from effbatch.core.estimate import Estimate
from effbatch.core.pages import Shown
from effbatch.laws.base import LARGEST
from effbatch.plan.recipe import Recipe

KEPT = ("batch_size", "num_classes", "optimizer", "schedule", "steps", "examples", "anchor")


@dataclass(frozen=True)
class HandedOn:
    """An estimate of the noise in labels: `known` holds fields of `Noise`; empty where `reason` says why none is told.

    alpha   as it came, with what limits there are
    remark  what of the estimate is taken, where uniform noise does not fit it
    """

    num_classes: int
    alpha: Estimate
    known: Mapping[str, Any]
    reason: str | None = None
    remark: str | None = None


def handed_on(found: Any, *, as_alpha: bool = False) -> HandedOn:
    """The noise in the JSON of an estimate: α with its interval, or T where uniform noise does not fit the counts.

    as_alpha  α in any case
    Raises ValueError, KeyError or TypeError for what is no such JSON.
    """
    classes = operator.index(found["num_classes"])
    bounds: dict[str, Any] = {
        "value": None,
        "interval": None,
        "reason": "the estimate holds bounds alone: check some labels",
    }
    said = bounds if "bounds" in found and "alpha" not in found else found["alpha"]
    low, high = said["interval"] or (None, None)
    value, low, high = (None if x is None else 1.0 * x for x in (said["value"], low, high))  # numbers, no texts
    if value != value:
        raise ValueError("alpha is NaN")
    alpha = Estimate(value, low, high, reason=said.get("reason"))
    test = found.get("uniform_noise")
    if test is None or test["fits"] or as_alpha:
        return _of_alpha(classes, alpha, None)
    matrix = found["transition_matrix"]["value"]
    whole = all(x is not None for row in matrix for x in row)
    taken = "this takes their transition matrix" if whole else "but some classes were not checked: this takes it so"
    remark = f"uniform noise does not fit the counts (p = {float(test['p_value']):.3g}); {taken}"
    if not whole:
        return _of_alpha(classes, alpha, remark)
    try:
        noise = Noise(transition=matrix)
        effective_alpha(noise.labels_at(classes)(0.0))
    except InputError as error:
        return HandedOn(classes, alpha, {}, str(error), remark)
    return HandedOn(classes, alpha, {"transition": matrix}, None, remark)


def _of_alpha(classes: int, alpha: Estimate, remark: str | None) -> HandedOn:
    """α where it can be computed with: an upper limit beyond 10¹² is none."""
    value, (low, high) = alpha.value, alpha.interval or (None, None)
    if value is None:
        return HandedOn(classes, alpha, {}, alpha.reason or "the estimate has no alpha", remark)
    if value > LARGEST or (alpha.interval is not None and value >= BEYOND):
        return HandedOn(classes, alpha, {}, f"alpha = {value:.3g} leaves no signal that numbers could hold", remark)
    if alpha.interval is None:
        return HandedOn(classes, alpha, {"alpha": value}, None, remark)
    limits = (0.0 if low is None else low, None if high is None or high >= BEYOND else high)
    return HandedOn(classes, alpha, {"alpha": value, "alpha_interval": limits}, None, remark)


@dataclass(frozen=True)
class Unanswered(Shown):
    """The answer of `predict` where no α is known: its keys, with every number null, and why."""

    num_classes: int
    alpha: Estimate
    reason: str
    batch_size: int
    recipe: Recipe
    anchor: Anchor | None = None

    def to_dict(self) -> dict[str, Any]:
        """As `Prediction.to_dict`, its numbers unknown."""
        usual = predict(0, self.batch_size, num_classes=self.num_classes, recipe=self.recipe, anchor=self.anchor)
        keys = usual.to_dict()
        unknown = {key: value if key in KEPT else _unknown(value, self.reason) for key, value in keys.items()}
        unknown["recommended"] |= {"law": None, "why": self.reason}
        return unknown | {"alpha_interval": self.alpha.interval, "alpha_how": None, "reason": self.reason}


def _unknown(value: Any, reason: str) -> Any:
    """The same keys without numbers."""
    if isinstance(value, Mapping):
        changed = {"applies": False, "reason": reason}
        return {key: changed.get(key, _unknown(inner, reason)) for key, inner in value.items()}
    if isinstance(value, str | bool):
        return value
    return [] if isinstance(value, list) else None
