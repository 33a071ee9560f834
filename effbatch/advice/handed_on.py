"""What `estimate` answered, its object or its JSON -> the fields of `Noise` that it tells, or why it tells none."""

from __future__ import annotations

import operator
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from effbatch.advice.alpha_interval import BEYOND
from effbatch.core.estimate import Estimate
from effbatch.laws.base import LARGEST


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
    """The noise in an estimate: α with its interval, or T where uniform noise does not fit the counts.

    found     what `estimate_noise`, `estimate_from_counts` or their like returned, or its JSON
    as_alpha  α in any case
    Raises ValueError, KeyError or TypeError for what is no such estimate.
    """
    found = found.to_dict() if hasattr(found, "to_dict") else found
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
    matrix, names = found["transition_matrix"]["value"], found.get("class_names")
    whole = all(x is not None for row in matrix for x in row)
    taken = (
        f"this takes their transition matrix{_not_carried(found)}"
        if whole
        else "but some classes were not checked: this takes it so"
    )
    remark = f"uniform noise does not fit the counts (p = {float(test['p_value']):.3g}); {taken}"
    if not whole:
        return _of_alpha(classes, alpha, remark)
    return HandedOn(classes, alpha, {"transition": matrix, "class_names": names}, None, remark)


def _not_carried(found: Mapping[str, Any]) -> str:
    """The interval of the effective α, 1/signal − 1, that a transition matrix leaves behind, in words."""
    rms = found.get("signal", {}).get("rms", {})
    limits = rms.get("interval")
    if not limits or None in limits or limits[0] <= 0:
        return ""
    high, low = (max(0.0, 1 / float(signal) - 1) for signal in limits)
    level = f" ({100 * rms['level']:g} %)" if rms.get("level") else ""
    return f" without its interval: by the signal of the labels the effective alpha is {low:.2g} to {high:.2g}{level}"


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
