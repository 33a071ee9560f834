"""What every claim is: a prediction made before the run, and a rule that turns the cube into a verdict."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from effbatch.dynamics import Spectrum
from effbatch.errors import SpecError, hint
from effbatch.exhibits import Figure, Number, Table

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
    """The outcome of a claim; `finding` is one sentence, the first of `numbers` is what the rule looked at."""

    verdict: Verdict
    finding: str
    numbers: Sequence[Number]
    figures: Sequence[Figure] = ()
    tables: Sequence[Table] = ()
    limits: Sequence[str] = ()
    references: Sequence[str] = field(default_factory=tuple)


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
    return {**claim.RULE, **given}


def at_most(low: float, high: float, threshold: float) -> Verdict:
    """The verdict on "at most `threshold`" from an interval; undecided where it straddles the threshold or is NaN."""
    if high <= threshold:
        return Verdict.SUPPORTED
    return Verdict.REFUTED if low > threshold else Verdict.UNDECIDED
