"""What every claim is: a prediction made before the run, and a rule that turns the cube into a verdict."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from effbatch.core.errors import SpecError, hint
from effbatch.core.figures import Figure, Number, Table
from effbatch.fitting import Estimate
from effbatch.laws.base import LARGEST
from effbatch.show import notebook
from effbatch.theory.dynamics import Spectrum

Point = Mapping[str, Any]  # the grid keys beside alpha, batch_size, learning_rate and seed, with one value each


class Verdict(StrEnum):
    """How a claim ended."""

    SUPPORTED = "supported"
    REFUTED = "refuted"
    UNDECIDED = "undecided"


@dataclass(frozen=True)
class Setup:
    """What may be known before the run: the grid, the rule, and the networks at initialisation.

    points     every combination of the grid's extra keys ([{}] where there is none)
    settings   point -> the [data] and [train] options of those cells: optimizer, momentum, schedule, network, ...
    steps      (point, alpha, batch_size) -> optimiser steps
    spectrum   point -> kernel spectrum of the untrained network on the clean images, and how foreign ones overlap them
    noise_matrix  (point, alpha) -> N of noisy labels, None where they are uniform
    """

    grid: Mapping[str, Sequence[Any]]
    rule: Mapping[str, Any]
    points: Sequence[Point]
    settings: Callable[[Point], Mapping[str, Any]]
    steps: Callable[[Point, float, int], int]
    spectrum: Callable[[Point], Spectrum]
    noise_matrix: Callable[[Point, float], NDArray[np.floating] | None]


@dataclass(frozen=True)
class Judgement:
    """The outcome of a claim; `finding` is one sentence, the first of `numbers` is what the rule looked at.

    p_value            two-sided, of the threshold of the rule, from what its interval comes from; None: no test
    p_value_corrected  for all claims judged together, see `multiplicity`
    references         BibTeX entries
    """

    verdict: Verdict
    finding: str
    numbers: Sequence[Number]
    figures: Sequence[Figure] = ()
    tables: Sequence[Table] = ()
    limits: Sequence[str] = ()
    references: Sequence[str] = field(default_factory=tuple)
    p_value: float | None = None
    p_value_corrected: float | None = None

    def to_figures(self) -> list[Figure]:
        """The figures of the report; `effbatch.plot` draws them."""
        return list(self.figures)

    def _repr_html_(self) -> str:
        """What a notebook shows: verdict, finding, and its numbers with interval and n."""
        rows = [
            (
                number.label,
                notebook.interval(number.value, None if number.exact else (number.low, number.high)),
                number.unit,
                "exact" if number.exact else "?" if number.n is None else str(number.n),
            )
            for number in self.numbers
        ]
        return notebook.block(
            notebook.heading(f"{self.verdict.upper()}: {self.finding}"),
            notebook.table(("", "value (interval)", "unit", "n"), rows),
            notebook.sentences(self.limits),
        )


class Claim(Protocol):
    """A module of this package.

    RULE       the keys of [claim] it takes, with their defaults
    predict    before the run: JSON-ready values with no NaN
    headline   what must come out, in a few words
    describe   the prediction in one or two sentences for the reader
    judge      the cube, the stored prediction and the rule -> the outcome; sees nothing else
    """

    RULE: Mapping[str, Any]

    def predict(self, setup: Setup) -> dict[str, Any]: ...
    def headline(self, rule: Mapping[str, Any]) -> str: ...
    def describe(self, prediction: Mapping[str, Any], rule: Mapping[str, Any]) -> str: ...
    def judge(self, cube: xr.Dataset, prediction: Mapping[str, Any], rule: Mapping[str, Any]) -> Judgement: ...


def checked_rule(claim: Claim, rule: Mapping[str, Any]) -> dict[str, Any]:
    """The rule with the claim's defaults put in; SpecError for a key the claim does not know, or of another type."""
    given = {key: value for key, value in rule.items() if key != "kind"}
    for key, value in given.items():
        if key not in claim.RULE:
            raise SpecError(f"unknown key {key!r} in [claim] of kind {rule['kind']!r}; {hint(key, claim.RULE)}")
        wanted = type(claim.RULE[key])
        if not isinstance(value, int | float if wanted is float else wanted) or isinstance(value, bool):
            raise SpecError(f"[claim] {key} must be a {wanted.__name__}; {value!r} came")
        for one in value if isinstance(value, list) else [value]:
            if isinstance(one, bool) or not isinstance(one, str | int | float):
                raise SpecError(f"[claim] {key} must hold names or numbers; {one!r} came")
            if not isinstance(one, str) and not abs(one) <= LARGEST:
                raise SpecError(f"[claim] {key} must be finite, at most {LARGEST:g}; {one!r} came")
        if isinstance(value, list) and len({isinstance(one, str) for one in [*claim.RULE[key][:1], *value]}) > 1:
            raise SpecError(f"[claim] {key} must be a list like {claim.RULE[key] or value[:1]}; {value!r} came")
    return {**claim.RULE, **given}


def at_most(low: float, high: float, threshold: float) -> Verdict:
    """The verdict on "at most `threshold`" from an interval; undecided where it straddles the threshold or is NaN."""
    if high <= threshold:
        return Verdict.SUPPORTED
    return Verdict.REFUTED if low > threshold else Verdict.UNDECIDED


def within(estimate: Estimate, low: float, high: float) -> tuple[Verdict, float | None]:
    """The verdict on "between `low` and `high`", and the p-value of the nearer of them.

    Supported where the whole interval lies between, refuted where all of it lies outside, on one side.
    """
    if low <= estimate.low and estimate.high <= high:
        verdict = Verdict.SUPPORTED
    else:
        verdict = Verdict.REFUTED if estimate.high < low or estimate.low > high else Verdict.UNDECIDED
    return verdict, _largest([estimate.p_value(low), estimate.p_value(high)])


def every_above(
    estimates: Sequence[Estimate], threshold: float, *, together: bool = False
) -> tuple[Verdict, float | None]:
    """The verdict on "each of these exceeds `threshold`", and its p-value.

    Supported where every interval lies above: all must hold, so p is the largest of theirs. Refuted where one lies
    below: any could have, so p is the smallest of those below times the number of estimates (Bonferroni), unless their
    intervals and p-values hold `together` as they are.
    """
    below = [estimate.p_value(threshold) for estimate in estimates if estimate.high < threshold]
    if below:
        known = [p for p in below if p is not None]
        return Verdict.REFUTED, min(1.0, min(known) * (1 if together else len(estimates))) if known else None
    decided = bool(estimates) and all(estimate.low > threshold for estimate in estimates)
    p_value = _largest([estimate.p_value(threshold) for estimate in estimates])
    return Verdict.SUPPORTED if decided else Verdict.UNDECIDED, p_value


def number(label: str, estimate: Estimate, n: int, unit: str = "", *, scale: float = 1.0, note: str = "") -> Number:
    """An estimate as the report shows it, `scale` units each."""
    value, low, high = (scale * limit for limit in (estimate.value, estimate.low, estimate.high))
    return Number(label, value, low, high, n, unit, note=note)


def _largest(p_values: Sequence[float | None]) -> float | None:
    """The largest; None where there is none, or one is not known."""
    known = [p for p in p_values if p is not None]
    return max(known) if known and len(known) == len(p_values) else None
