"""The scores of short runs and a learning rate of the user's own -> the accuracy that it costs."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from effbatch.advice.answers import Answer
from effbatch.core.estimate import Estimate
from effbatch.fitting.student import student_quantile
from effbatch.probe.rule import Stage

LEVEL = 0.9


def costs_at(rate: float, answer: Answer) -> Estimate:
    """Accuracy on the labels as given at the best rate minus that at `rate`, after the steps of the longest stage.

    Interpolated in log η between the rates of that stage, seed by seed; the interval is that of the paired differences
    (Student), n seeds. Where no stage ran rates on both sides of `rate` and of the best one, it cannot tell.
    """
    best, stages = answer.learning_rate.value, answer.probe.stages if answer.probe else ()
    for stage in sorted(stages, key=lambda one: -one.fraction):
        low, high = min(stage.learning_rates), max(stage.learning_rates)
        if best is not None and low <= min(rate, best) and max(rate, best) <= high:
            lost = _at(stage, best) - _at(stage, rate)
            n, value = len(lost), float(lost.mean())
            if n < 2:
                return Estimate(value, n=n, reason="no interval: one seed")
            half = float(student_quantile(n - 1, LEVEL) * lost.std(ddof=1) / n**0.5)
            return Estimate(value, value - half, value + half, n=n, level=LEVEL)
    tried = [rate for stage in stages for rate in stage.learning_rates]
    span = f"the runs tried {min(tried):.3g} to {max(tried):.3g}" if tried else "nothing was trained"
    return Estimate(None, reason=f"{span}: what {rate:.3g} costs cannot be told")


def _at(stage: Stage, rate: float) -> NDArray[np.float64]:
    """Accuracy by seed at one rate."""
    order = np.argsort(stage.learning_rates)
    known = np.log(np.asarray(stage.learning_rates)[order])
    scores = np.asarray(stage.accuracy, float)[order]
    return np.array([np.interp(np.log(rate), known, of_seed) for of_seed in scores.T])
