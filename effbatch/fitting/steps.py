"""Accuracy histories -> steps to a target accuracy, per run and at the best learning rate, censored ones named."""

from __future__ import annotations

import numpy as np
import xarray as xr

from effbatch.core.errors import InputError
from effbatch.core.flags import Flag, cf_attributes
from effbatch.fitting.honest import honest_best
from effbatch.fitting.resampling import RESAMPLES, bootstrap_weights, interval
from effbatch.fitting.student import CONFIDENCE, MIN_SEEDS
from effbatch.plan.cube import Outcome, num_classes


class StepsOutcome(Flag):
    """What is known of the steps to the target at the best learning rate of a setting."""

    NOT_RUN = 0, "was not run"
    REACHED = 1, "reached the target with every seed"
    AT_EDGE = 2, "reached the target soonest at an edge of the learning-rate grid: fewer steps may do"
    CENSORED = 3, "cannot tell: some seed did not reach the target within the budget"
    TOO_FEW_SEEDS = 4, f"cannot tell: fewer than {MIN_SEEDS} seeds after the first, which only chooses the rate"
    TOO_EARLY = 5, "cannot tell: some seed was at the target at its first evaluation already"


def steps_to_target(cube: xr.Dataset, target: float) -> xr.DataArray:
    """First step at which the test accuracy of each run reaches `target`; NaN = never within the budget.

    Between the checkpoint before and the first one at or above the target, accuracy is taken as linear in
    ln(step); what the accuracy does later does not matter. A run at or above the target at its first checkpoint
    gets the step of that checkpoint, an upper bound; the attribute `at_first_checkpoint` counts those. Runs that
    were not run are NaN too; `cube.outcome` tells them apart.

    Raises InputError for a target not above chance or not below 1.
    """
    chance = 1 / num_classes(cube)
    if not chance < target < 1:
        raise InputError(
            f"a target accuracy must lie above chance ({chance:g}) and below 1, got {target}: 0.85, say", target=target
        )
    accuracy = cube["test_accuracy_history"].astype(float)
    reached = accuracy >= target
    first = reached.argmax("checkpoint")
    before = (first - 1).clip(0)
    step = cube["step"].astype(float)
    low, high = accuracy.isel(checkpoint=before), accuracy.isel(checkpoint=first)
    step_low, step_high = step.isel(checkpoint=before), step.isel(checkpoint=first)
    bracketed = (first > 0) & low.notnull() & (step_low > 0)
    fraction = ((target - low) / (high - low).where(bracketed)).fillna(1.0)
    crossing = step_low.where(bracketed, 1.0) ** (1 - fraction) * step_high**fraction
    ever = reached.any("checkpoint")
    steps = crossing.where(ever).drop_vars(["checkpoint", "step", "examples"], errors="ignore")
    return steps.rename("steps_to_target").assign_attrs(
        long_name=f"steps to test accuracy {target:g}",
        units="1",
        target=target,
        at_first_checkpoint=int((ever & (first == 0)).sum()),
    )


def best_steps(cube: xr.Dataset, target: float, *, resamples: int = RESAMPLES) -> xr.Dataset:
    """Steps to `target` at the best learning rate, over all grid dims but learning_rate and seed.

    For each seed but the first the learning rate is the one with the least mean ln(steps) over the seeds *before* it
    (`honest_best`). The minimum over learning rates of any average that includes the seed itself (the mean's minimum,
    and more so the mean of per-seed minima) picks lucky runs and is too small; a held-out choice is not, it can only
    cost a little.

    seed_steps         steps of each seed but the first at its held-out learning rate; NaN: not reached there, or the
                       setting is TOO_EARLY, its steps being upper bounds only
    steps, low, high   geometric mean over seeds; limits by bootstrap over seeds of the mean ln(steps), with the
                       same draws in every setting; NaN unless the outcome is REACHED or AT_EDGE
    outcome            CF flags, see StepsOutcome; the attributes `censored` and `too_early` count those settings
    seeds              seeds that the steps are of: those that ran, without the first of them

    Raises InputError as `steps_to_target`.
    """
    steps = steps_to_target(cube, target).sortby("learning_rate")
    dims = [dim for dim in steps.dims if dim not in ("learning_rate", "seed")]
    # never, or not run at this learning rate: infinitely many steps, so that it is never chosen
    logs = steps.copy(data=np.log(steps.values)).fillna(np.inf)
    ran = (cube["outcome"] != int(Outcome.NOT_RUN)).any("learning_rate")
    held_out = honest_best(steps, judged_on=-logs.where(ran))
    scored = ran & (ran.cumsum("seed").assign_coords(seed=ran["seed"]) > 1)  # all that ran but the first of them
    scored = scored.sel(seed=held_out["seed"])
    seeds = scored.sum("seed")
    reached = (held_out.notnull() | ~scored).all("seed")
    # a crossing between checkpoints lies above the first one: equal to it is a bound
    early = (held_out <= cube["step"].isel(checkpoint=0, drop=True)).any("seed")
    held_out = held_out.where(~early)
    held_out = held_out.where(scored)
    overall = logs.where(ran, 0.0).sum("seed").argmin("learning_rate")
    at_edge = _at_edge(overall, (cube["outcome"] != int(Outcome.NOT_RUN)).any("seed").sortby("learning_rate"))
    outcome = xr.full_like(seeds, int(StepsOutcome.REACHED), dtype=np.int8)
    for case, condition in (
        (StepsOutcome.AT_EDGE, at_edge),
        (StepsOutcome.CENSORED, ~reached),
        (StepsOutcome.TOO_EARLY, early),
        (StepsOutcome.TOO_FEW_SEEDS, seeds < MIN_SEEDS),
        (StepsOutcome.NOT_RUN, ~ran.any("seed")),
    ):
        outcome = outcome.where(~condition, np.int8(case))
    known = outcome.isin([int(StepsOutcome.REACHED), int(StepsOutcome.AT_EDGE)])
    mean, low, high = _limits(held_out.transpose(*dims, "seed").where(known), resamples)
    result = xr.Dataset(
        {
            "steps": mean.assign_attrs(steps.attrs),
            "low": low,
            "high": high,
            "seed_steps": held_out.transpose(*dims, "seed").assign_attrs(steps.attrs),
            "outcome": outcome.assign_attrs(cf_attributes(StepsOutcome, "what is known of the steps")),
            "seeds": seeds,
        }
    )
    return result.assign_attrs(
        target=target,
        censored=int((outcome == int(StepsOutcome.CENSORED)).sum()),
        too_early=int((outcome == int(StepsOutcome.TOO_EARLY)).sum()),
        confidence=CONFIDENCE,
    )


def _at_edge(chosen: xr.DataArray, tried: xr.DataArray) -> xr.DataArray:
    """Whether the chosen learning rate is the first or last one that its own setting tried."""
    first = tried.argmax("learning_rate")
    after_last = tried.isel(learning_rate=slice(None, None, -1)).argmax("learning_rate")
    return (chosen == first) | (chosen == tried.sizes["learning_rate"] - 1 - after_last)


def _limits(steps: xr.DataArray, resamples: int) -> tuple[xr.DataArray, xr.DataArray, xr.DataArray]:
    """Geometric mean over seeds with its interval; settings with the same seeds share their draws."""
    values = np.log(steps.values).reshape(-1, steps.sizes["seed"])
    found = np.full((3, len(values)), np.nan)
    patterns, member = np.unique(np.isfinite(values), axis=0, return_inverse=True)
    for i, used in enumerate(patterns):
        if used.any():
            here = member.ravel() == i
            complete = values[here][:, used]
            mean = complete.mean(axis=1)
            resampled = bootstrap_weights(int(used.sum()), resamples) @ complete.T
            found[:, here] = mean, *interval(mean, resampled, int(used.sum()))
    template = steps.isel(seed=0, drop=True)
    return tuple(template.copy(data=np.exp(row).reshape(template.shape)) for row in found)  # type: ignore[return-value]
