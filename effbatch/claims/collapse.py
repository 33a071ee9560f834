"""Claim: steps to a target accuracy depend on noise and batch size only through B_eff = B/(1+α)^δ, with a given δ.

Rule: supported if the 95 % interval of the fitted δ holds `delta` and excludes `rival`, and the collapsed points
scatter about one curve by no more than a factor `max_spread`; refuted if the interval excludes `delta`; else undecided.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr

from effbatch.claims.base import Judgement, Setup, Verdict, number
from effbatch.core.errors import CubeError
from effbatch.core.figures import Number, Table
from effbatch.fitting import Collapse, StepsOutcome, best_steps, collapse_exponent
from effbatch.fitting.figures import steps_collapsed
from effbatch.laws.bibliography import HOUDAYER_2004, MCCANDLISH_2018, ROLNICK_2017
from effbatch.plan.cube import CORE_DIMS, history_limit

RULE: Mapping[str, Any] = {"target": 0.85, "delta": 2.0, "rival": 1.0, "max_spread": 1.25}
REFERENCES = (MCCANDLISH_2018.bibtex, ROLNICK_2017.bibtex, HOUDAYER_2004.bibtex)


def predict(setup: Setup) -> dict[str, Any]:
    """The exponents are the prediction: δ of the signal-to-noise ratio, and of the rival that counts clean labels."""
    return {key: float(setup.rule[key]) for key in ("target", "delta", "rival")}


def headline(rule: Mapping[str, Any]) -> str:
    return f"δ = {rule['delta']:g} (rival: {rule['rival']:g}), scatter at most a factor {rule['max_spread']:g}"


def describe(prediction: Mapping[str, Any], rule: Mapping[str, Any]) -> str:
    return (
        f"Steps to {100 * prediction['target']:g} % accuracy at the best learning rate are one function of "
        f"B/(1+α)^δ with δ = {prediction['delta']:g}; the rival says δ = {prediction['rival']:g}. Supported if the "
        f"interval of δ holds the first and excludes the second, and the points then scatter by at most a factor "
        f"{rule['max_spread']:g} about one curve; refuted if it excludes the first."
    )


def judge(cube: xr.Dataset, prediction: Mapping[str, Any], rule: Mapping[str, Any]) -> Judgement:
    _check_dims(cube)
    steps = best_steps(cube, prediction["target"])
    fitted = collapse_exponent(steps["seed_steps"])
    finding = " ".join(fitted.sentences[:2])
    verdict = _verdict(fitted, prediction, rule)
    denied = prediction["delta" if verdict is Verdict.REFUTED else "rival"]
    return Judgement(
        verdict,
        finding,
        _numbers(fitted, rule),
        () if fitted.base is None else (steps_collapsed("collapse", steps, fitted, predicted=prediction["delta"]),),
        (_table(steps),),
        [*_limits(steps, fitted), *history_limit(cube)],
        REFERENCES,
        p_value=None if fitted.base is None else fitted.base.delta.p_value(denied),
    )


def _check_dims(cube: xr.Dataset) -> None:
    others = [str(dim) for dim in cube["outcome"].dims if dim not in CORE_DIMS and cube.sizes[dim] > 1]
    if others:
        raise CubeError(f"a collapse is judged for one network and data set; the grid also varies {', '.join(others)}")


def _verdict(fitted: Collapse, prediction: Mapping[str, Any], rule: Mapping[str, Any]) -> Verdict:
    if fitted.base is None:
        return Verdict.UNDECIDED
    delta = fitted.base.delta
    if delta.excludes(prediction["delta"]):
        return Verdict.REFUTED
    decided = delta.excludes(prediction["rival"]) and fitted.base.spread <= rule["max_spread"]
    return Verdict.SUPPORTED if decided else Verdict.UNDECIDED


def _numbers(fitted: Collapse, rule: Mapping[str, Any]) -> list[Number]:
    n = fitted.seeds
    if fitted.base is None:
        return [Number("δ", None, n=n, note=fitted.outcome.value)]
    base = fitted.base
    numbers = [
        number("δ", base.delta, n),
        Number(
            "spread before the collapse",
            fitted.spread_before,
            n=fitted.cells,
            unit="factor",
            note="about one curve in B",
        ),
        Number(
            "spread after the collapse", base.spread, n=fitted.cells, unit="factor", note="residual standard deviation"
        ),
        Number("threshold of the spread", rule["max_spread"], unit="factor", exact=True),
        number("S_min, least steps", base.smallest_steps, n, "steps"),
        number("critical batch at α = 0", base.critical_batch_size, n, "labels"),
    ]
    if fitted.extended is not None and fitted.extended.zeta is not None:
        numbers += [
            number("ζ, if S_min ∝ (1+α)^ζ", fitted.extended.zeta, n),
            number("δ of the critical batch then", fitted.extended.delta, n),
        ]
    return numbers


def _limits(steps: xr.Dataset, fitted: Collapse) -> list[str]:
    limits = [
        "The interval of δ says what the seeds leave open if the curve has the assumed form; "
        f"the mean squared residual is {fitted.quality:.1f} times what seed noise alone would leave."
    ] * bool(np.isfinite(fitted.quality))
    if censored := int(steps.attrs["censored"]):
        limits.append(f"Left out, as some seed did not reach the target: {_settings(censored)}.")
    at_edge = int((steps["outcome"] == int(StepsOutcome.AT_EDGE)).sum())
    if at_edge:
        limits.append(
            f"In {_settings(at_edge)} the best learning rate lies at an edge of the grid: fewer steps may do."
        )
    if early := int(steps.attrs["too_early"]):
        limits.append(
            "Left out, as some seed was at the target at its first evaluation and its steps are known as an upper "
            f"bound only: {_settings(early)}."
        )
    if fitted.extended is not None and fitted.extended.zeta is not None and fitted.extended.zeta.excludes(0.0):
        limits.append(
            "The least number of steps itself changes with α (the interval of ζ excludes 0), so batch size alone, "
            "however large, does not undo the noise: a collapse on B_eff is an approximation here."
        )
    return limits


def _settings(number: int) -> str:
    return f"{number} setting{'s' * (number != 1)}"


def _table(steps: xr.Dataset) -> Table:
    rows: list[list[str | float | int | None]] = []
    for alpha in steps["alpha"].values:
        for batch in steps["batch_size"].values:
            at = steps.sel(alpha=alpha, batch_size=batch)
            outcome = StepsOutcome(int(at["outcome"]))  # type: ignore[call-arg]
            known = bool(np.isfinite(at["steps"]))
            interval = f"{float(at['low']):.0f} to {float(at['high']):.0f}" if known else outcome.sentence
            rows.append([float(alpha), int(batch), float(at["steps"]) if known else None, interval, int(at["seeds"])])
    told = [(row[2], row[0], row[1]) for row in rows if isinstance(row[2], float)]
    span = ", ".join(f"{s:.0f} at α = {a:g}, B = {b}" for s, a, b in (min(told), max(told))) if told else "none"
    return Table(
        "steps",
        f"Steps to the target, known in {len(told)} of {len(rows)} settings; fewest and most: {span}. At the learning "
        "rate that is best for the seeds before.",
        ("α", "B", "steps", "95 % interval", "n"),
        rows,
        ("g", "d", ".0f", "", "d"),
    )
