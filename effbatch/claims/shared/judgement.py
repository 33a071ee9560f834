"""Estimates and the thresholds of a rule -> a verdict, and all that is said beside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from effbatch.core.estimate import Estimate
from effbatch.core.figures import Figure, Number, Table
from effbatch.core.pages import Shown


class Verdict(StrEnum):
    """How a claim ended."""

    SUPPORTED = "supported"  # every interval lies wholly on the side that the rule asks for
    REFUTED = "refuted"  # an interval lies wholly on the other side
    UNDECIDED = "undecided"  # neither, or not beyond the chance of many claims judged together


Ruling = tuple[Verdict, float | None]  # the verdict on a rule, and the p-value of its threshold; None: no test


@dataclass(frozen=True, kw_only=True)
class Judgement(Shown):
    """The outcome of a claim; `finding` is one sentence, the first of `numbers` is what the rule looked at.

    plain              the finding for the first page of a report, without symbols; empty: `finding` is plain enough
    p_value            two-sided, of the threshold of the rule, from what its interval comes from; None: no test
    p_value_corrected  for all claims judged together, see `multiplicity`
    """

    verdict: Verdict
    finding: str
    numbers: Sequence[Number]
    plain: str = ""
    figures: Sequence[Figure] = ()
    tables: Sequence[Table] = ()
    limits: Sequence[str] = ()
    p_value: float | None = None
    p_value_corrected: float | None = None


def at_most(estimate: Estimate, threshold: float) -> Ruling:
    """The ruling on "at most `threshold`"; undecided where the interval straddles it or there is none."""
    if estimate.high is not None and estimate.high <= threshold:
        verdict = Verdict.SUPPORTED
    else:
        verdict = Verdict.REFUTED if estimate.above(threshold) else Verdict.UNDECIDED
    return verdict, estimate.p_value(threshold)


def within(estimate: Estimate, low: float, high: float) -> Ruling:
    """The ruling on "between `low` and `high`", with the p-value of the nearer of them.

    Supported where the whole interval lies between, refuted where all of it lies outside, on one side.
    """
    if estimate.low is not None and estimate.high is not None and low <= estimate.low and estimate.high <= high:
        verdict = Verdict.SUPPORTED
    else:
        verdict = Verdict.REFUTED if estimate.below(low) or estimate.above(high) else Verdict.UNDECIDED
    return verdict, _largest([estimate.p_value(low), estimate.p_value(high)])


def every_above(estimates: Sequence[Estimate], threshold: float, *, together: bool = False) -> Ruling:
    """The ruling on "each of these exceeds `threshold`".

    Supported where every interval lies above: all must hold, so p is the largest of theirs. Refuted where one lies
    below: any could have, so p is the smallest of those below times the number of estimates (Bonferroni), unless their
    intervals and p-values hold `together` as they are.
    """
    below = [estimate.p_value(threshold) for estimate in estimates if estimate.below(threshold)]
    if below:
        known = [p for p in below if p is not None]
        return Verdict.REFUTED, min(1.0, min(known) * (1 if together else len(estimates))) if known else None
    decided = bool(estimates) and all(estimate.above(threshold) for estimate in estimates)
    p_value = _largest([estimate.p_value(threshold) for estimate in estimates])
    return Verdict.SUPPORTED if decided else Verdict.UNDECIDED, p_value


def _largest(p_values: Sequence[float | None]) -> float | None:
    """The largest; None where there is none, or one is not known."""
    known = [p for p in p_values if p is not None]
    return max(known) if known and len(known) == len(p_values) else None
