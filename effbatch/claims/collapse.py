"""Claim: steps to a target accuracy depend on noise and batch size only through B_eff = B/(1+α)^δ, with a given δ.

Rule: supported if the 95 % interval of the fitted δ holds `delta` and excludes `rival`, and the collapsed points
scatter about one curve by no more than a factor `max_spread`; refuted if the interval excludes `delta`; else undecided.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from effbatch.claims.base import Claim, Setup
from effbatch.claims.shared.case import Case
from effbatch.claims.shared.grid import only
from effbatch.claims.shared.judgement import Judgement, Ruling, Verdict
from effbatch.claims.shared.limits import measured
from effbatch.core.estimate import Estimate, exact
from effbatch.core.figures import Cell, Number, Table
from effbatch.core.formats import estimate_text
from effbatch.fitting import Collapse, StepsOutcome, best_steps, collapse_exponent
from effbatch.fitting.figures import steps_collapsed
from effbatch.laws.bibliography import HOUDAYER_2004, MCCANDLISH_2018, ROLNICK_2017
from effbatch.plan.cube import CORE_DIMS, history_limit
from effbatch.plan.keys import key

DELTA = "exponent δ of the effective batch"


@dataclass(frozen=True)
class CollapseClaim(Claim):
    """Steps to the target are one function of B/(1+α)^δ."""

    asks = "steps to a target accuracy depend on B/(1+α)^δ alone"
    references = (MCCANDLISH_2018.bibtex, ROLNICK_2017.bibtex, HOUDAYER_2004.bibtex)

    target: float = key(0.85, "the accuracy to which steps are counted", above=0, below=1)
    delta: float = key(2.0, "the exponent that is claimed", low=-10, high=10)
    rival: float = key(1.0, "the exponent that has to be excluded", low=-10, high=10)
    max_spread: float = key(1.25, "largest scatter of the collapsed points about one curve, as a factor", low=1)

    @property
    def headline(self) -> str:
        return f"δ = {self.delta:g} (rival: {self.rival:g}), scatter at most a factor {self.max_spread:g}"

    def predict(self, setup: Setup) -> dict[str, Any]:
        """The exponents are the prediction: δ of the signal-to-noise ratio, and that of the rival, the clean count."""
        return {key: float(getattr(self, key)) for key in ("target", "delta", "rival")}

    def describe(self, prediction: Mapping[str, Any]) -> str:
        return (
            f"Steps to {100 * prediction['target']:g} % accuracy at the best learning rate are one function of "
            f"B/(1+α)^δ with δ = {prediction['delta']:g}; the rival says δ = {prediction['rival']:g}. Supported if the "
            f"interval of δ holds the first and excludes the second, and the points then scatter by at most a factor "
            f"{self.max_spread:g} about one curve; refuted if it excludes the first."
        )

    def judge(self, case: Case) -> Judgement:
        cube = only(case.cube, (*CORE_DIMS, "checkpoint"), what="the claim collapse")
        steps = best_steps(cube, case.prediction["target"])
        fitted = collapse_exponent(steps["seed_steps"])
        verdict, p_value = self._ruling(fitted, case.prediction)
        figure = fitted.base and steps_collapsed("collapse", steps, fitted, predicted=case.prediction["delta"])
        return Judgement(
            verdict=verdict,
            finding=" ".join(fitted.sentences[:2]),
            plain=_plain(fitted, float(steps["alpha"].max())),
            numbers=self._numbers(fitted),
            figures=(figure,) if figure else (),
            tables=(_table(steps),),
            limits=[*_limits(steps, fitted), *history_limit(cube)],
            p_value=p_value,
        )

    def _ruling(self, fitted: Collapse, prediction: Mapping[str, Any]) -> Ruling:
        if fitted.base is None:
            return Verdict.UNDECIDED, None
        delta = fitted.base.delta
        if delta.excludes(prediction["delta"]):
            return Verdict.REFUTED, delta.p_value(prediction["delta"])
        decided = delta.excludes(prediction["rival"]) and fitted.base.spread <= self.max_spread
        return Verdict.SUPPORTED if decided else Verdict.UNDECIDED, delta.p_value(prediction["rival"])

    def _numbers(self, fitted: Collapse) -> list[Number]:
        base, cells, extended = fitted.base, fitted.cells, fitted.extended
        if base is None:
            return [Number(DELTA, Estimate(None, n=fitted.seeds), note=fitted.outcome.value)]
        before, note = fitted.spread_before, "residual standard deviation"
        numbers = [
            Number(DELTA, base.delta),
            Number("spread before the collapse", Estimate(before, n=cells), "factor", "about one curve in B"),
            Number("spread after the collapse", Estimate(base.spread, n=cells), "factor", note),
            Number("threshold of the spread", exact(self.max_spread), "factor"),
            Number("S_min, least steps", base.smallest_steps, "steps"),
            Number("critical batch at α = 0", base.critical_batch_size, "labels"),
        ]
        if extended is not None and extended.zeta is not None:
            numbers += [
                Number("ζ, if S_min ∝ (1+α)^ζ", extended.zeta),
                Number("exponent of 1+α in the critical batch then", extended.delta),
            ]
        return numbers


def _plain(fitted: Collapse, alpha: float) -> str:
    """What a batch of 128 is worth at the noisiest labels that were run."""
    if fitted.base is None:
        return ""
    delta = fitted.base.delta.floats
    value, high, low = (128 / (1 + alpha) ** power for power in (delta.value, delta.low, delta.high))
    worth = Estimate(value, low, high, n=fitted.base.delta.n)
    return (
        f"Noisy labels shrink a batch: with {alpha:g} of them per clean one, a batch of 128 trains like one of "
        f"{estimate_text(worth, 'clean labels')}."
    )


def _limits(steps: xr.Dataset, fitted: Collapse) -> list[str]:
    limits = [
        "The interval of δ says what the seeds leave open if the curve has the assumed form; "
        f"the mean squared residual is {fitted.quality:.1f} times what seed noise alone would leave."
    ] * bool(np.isfinite(fitted.quality))
    at_edge = int((steps["outcome"] == int(StepsOutcome.AT_EDGE)).sum())
    for count, sentence in (
        (int(steps.attrs["censored"]), "Left out, as some seed did not reach the target: {}."),
        (at_edge, "In {} the best learning rate lies at an edge of the grid: fewer steps may do."),
        (
            int(steps.attrs["too_early"]),
            "Left out, as some seed was at the target at its first evaluation and its steps are known as an upper "
            "bound only: {}.",
        ),
    ):
        limits += [sentence.format(f"{count} setting{'s' * (count != 1)}")] * bool(count)
    if fitted.extended is not None and fitted.extended.zeta is not None and fitted.extended.zeta.excludes(0.0):
        limits.append(
            "The least number of steps itself changes with α (the interval of ζ excludes 0), so batch size alone, "
            "however large, does not undo the noise: a collapse on B_eff is an approximation here."
        )
    return limits


def _table(steps: xr.Dataset) -> Table:
    rows: list[list[Cell]] = []
    for alpha in steps["alpha"].values:
        for batch in steps["batch_size"].values:
            at = steps.sel(alpha=alpha, batch_size=batch)
            rows.append([float(alpha), int(batch), measured(at, "steps", StepsOutcome), int(at["seeds"])])
    told = [(row[2].floats.value, row[0], row[1]) for row in rows if isinstance(row[2], Estimate)]
    span = ", ".join(f"{s:.0f} at α = {a:g}, B = {b}" for s, a, b in (min(told), max(told))) if told else "none"
    return Table(
        "steps",
        f"Steps to the target, known in {len(told)} of {len(rows)} settings; fewest and most: {span}. At the learning "
        "rate that is best for the seeds before.",
        ("α", "B", "steps [95 % interval]", "n"),
        rows,
        ("g", "d", "", "d"),
    )
