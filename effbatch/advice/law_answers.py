"""A question -> what every law answers to it, each with its interval and the reason why it may be used, or may not."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from effbatch.advice.alpha_interval import times
from effbatch.advice.evidence import LawScore
from effbatch.advice.question import Question
from effbatch.core.estimate import Interval
from effbatch.laws.base import Law

LINEARISED = (
    "η = min(argmax of the linearised accuracy, 4/(h_1 + K trθ/B))",
    "Bordelon & Pehlevan 2022, arXiv 2106.02713; label noise: the effbatch developers 2026, this package",
)
MOVING = (
    "η = argmax of the accuracy as kernel and softmax move, below 2/max of p(1−p) K/(K−1) [h_1 + trθ/B] on the way",
    "the effbatch developers 2026, this package; two layers: Woodworth et al. 2020, arXiv 2002.09277",
)
PROBE = (
    "log2 η by least squares of the peaks log2 η − p log2 f of runs of f T steps, f = 1/25 and 1/3, p = 0.4 (1 − λ²); "
    "of noisy scores by the likelihood of a bump, f = 1/25 and 1/2",
    "the effbatch developers 2026, this package; stages: Jamieson & Talwalkar 2016, arXiv 1502.07943",
)


OF_ALPHA = "the interval of alpha"


@dataclass(frozen=True, kw_only=True)
class LawPrediction:
    """What one law says; numbers are None, and `reason` tells why, where it does not apply.

    factor           η/η_anchor, by the law's formula; without an anchor, relative to clean labels at the same B; None
                     where the law gives the rate alone
    factor_interval  its range over what `covers` names: the interval of α, recorded errors of the law
    value            η = factor × anchor rate; without an anchor None, or the rate itself where the law computes it
    interval         the same range for the value; None where nothing is known of its uncertainty. A limit that is
                     None does not exist
    n                cells of the record, or initialisations, behind the interval
    """

    factor: float | None = None
    value: float | None = None
    interval: Interval | None = None
    n: int | None = None
    applies: bool
    reason: str
    formula: str
    reference: str
    factor_interval: Interval | None = None
    covers: str | None = None

    def widened(self, score: LawScore | None) -> LawPrediction:
        """The answer of a law that computes rates itself, its intervals widened by its recorded errors."""
        if score is None or not self.applies or self.value is None:
            return self

        def wider(interval: Interval | None, value: float | None) -> Interval | None:
            low, high = interval or (value, value)
            return None if low is None or high is None else (low / score.spread, high * score.spread)

        errors = f"90 % of n = {score.n} recorded errors"
        return replace(
            self,
            interval=wider(self.interval, self.value),
            factor_interval=wider(self.factor_interval, self.factor),
            covers=f"{self.covers} and {errors}" if self.covers else errors,
            n=self.n or score.n,
        )


def silent(reason: str, formula_and_reference: tuple[str, str]) -> LawPrediction:
    """The answer of a law that computes rates itself where it cannot."""
    formula, reference = formula_and_reference
    return LawPrediction(applies=False, reason=reason, formula=formula, reference=reference)


def answers_to(question: Question) -> dict[str, LawPrediction]:
    """The answer of every law that goes from one setting to another, by name."""
    return {name: _answer(law, question, question.scores.get(name)) for name, law in question.laws.items()}


def _answer(law: Law, question: Question, score: LawScore | None) -> LawPrediction:
    """One law's answer, and its range over the alphas."""
    here, origin, alphas, rate = question.here, question.origin, question.alphas, question.rate
    applies = law.applies(here, origin)
    n = None if score is None else int(score.n)
    if not applies.ok:
        return LawPrediction(n=n, applies=False, reason=applies.reason, formula=law.formula, reference=law.reference)
    factor = float(law.factor(here, origin))
    everywhere = np.broadcast_to(law.factor(replace(here, alpha=alphas.tried), origin), alphas.tried.shape)
    span = alphas.span(everywhere)
    covers = [OF_ALPHA] * (span is not None) + [f"90 % of n = {n} recorded errors"] * (n is not None)
    spread = 1.0 if score is None else score.spread
    low, high = span or (factor, factor)
    factors = (None if low is None else low / spread, None if high is None else high * spread) if covers else None
    return LawPrediction(
        factor=factor,
        value=None if rate is None else factor * rate,
        interval=None if rate is None else times(factors, rate),
        n=n,
        applies=True,
        reason=question.noted(applies.reason),
        formula=law.formula,
        reference=law.reference,
        factor_interval=factors,
        covers=" and ".join(covers) or None,
    )
