"""Claim: on fixed noisy copies the training loss falls below the entropy of the labels only by memorising them.

Rule, at every α > 0: the mean training loss of the first epoch, in which every copy is seen once, lies above the noise
floor H(α); that at the end lies below it; and the test accuracy has then fallen by more than `min_lost` from its best.
Supported where the intervals of all of these say so, refuted where one says the opposite.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from effbatch.claims.base import Claim, Setup
from effbatch.claims.shared.accuracy_curves import ACCURACY
from effbatch.claims.shared.case import Case
from effbatch.claims.shared.grid import only
from effbatch.claims.shared.judgement import Judgement, every_above
from effbatch.core.errors import SpecError
from effbatch.core.estimate import Estimate, exact
from effbatch.core.figures import Axis, Cell, Figure, Number, Panel, Series, Table
from effbatch.fitting.honest import honest_best
from effbatch.fitting.resampling import over_seeds
from effbatch.laws.bibliography import ARPIT_2017, ROLNICK_2017
from effbatch.noise import UniformNoise
from effbatch.plan.cube import FIRST_CHECKPOINT, Outcome, history_limit, score
from effbatch.plan.keys import key


@dataclass(frozen=True, kw_only=True)
class Parts:
    """What the rule looks at, at one α: three numbers that have to exceed 0, and when the loss crossed the floor.

    above      mean training loss of the first epoch minus the floor, nats
    below      the floor minus the training loss at the end, nats
    lost       accuracy at the best checkpoint minus that at the end
    excess     `lost` minus what the rule asks for
    crossing   epochs after which the loss stays below the floor
    """

    alpha: float
    floor: float
    above: Estimate
    below: Estimate
    lost: Estimate
    excess: Estimate
    crossing: Estimate


@dataclass(frozen=True)
class MemorisationClaim(Claim):
    """The training loss crosses the noise floor after the first epoch only, and accuracy is lost."""

    asks = "the loss crosses the noise floor only after the first epoch, and accuracy is lost"
    references = (ARPIT_2017.bibtex, ROLNICK_2017.bibtex)

    min_lost: float = key(0.01, "least accuracy lost from the best checkpoint to the end", low=0)

    @property
    def headline(self) -> str:
        return f"loss crosses H(α) after epoch 1 only, and costs more than {100 * self.min_lost:g} points"

    def predict(self, setup: Setup) -> dict[str, Any]:
        """The floor H(α) of every α > 0, in nats: no output that has not seen a label explains it better on average."""
        for point in setup.points:
            _check(setup.settings(point))
        if not setup.noisy:
            raise SpecError("the claim memorisation needs noisy labels, got no alpha above 0 in [grid]: add one")
        (settings, classes) = setup.settings(setup.points[0]), setup.spectrum(setup.points[0]).num_classes
        floors = [float(UniformNoise(alpha, classes).loss_floor) for alpha in setup.noisy]
        return {"epochs": settings["budget"]["epochs"], "alpha": setup.noisy, "floor": floors}

    def describe(self, prediction: Mapping[str, Any]) -> str:
        floors = "; ".join(
            f"{h:.2f} at α = {a:g}" for a, h in zip(prediction["alpha"], prediction["floor"], strict=True)
        )
        return (
            f"The entropy of a noisy label is H(α) = {floors} nats. In the first epoch the mean training loss stays "
            f"above it, since every label is new; within {prediction['epochs']:g} epochs it falls below, and by then "
            f"the test accuracy is more than {100 * self.min_lost:g} points below its best. The claim holds if this is "
            "so at every α."
        )

    def judge(self, case: Case) -> Judgement:
        prediction = case.prediction
        runs = _runs(case.cube, prediction)
        parts = [self._parts(runs.sel(alpha=alpha)) for alpha in prediction["alpha"]]
        verdict, p_value = every_above([one for part in parts for one in (part.above, part.below, part.excess)], 0.0)
        overall = _mean(_scored(runs)["lost"].mean("alpha"))
        finding = _finding(parts, overall)
        return Judgement(
            verdict=verdict,
            finding=finding,
            numbers=[
                Number("accuracy lost from best to last", overall.times(100), "points", "mean over α"),
                Number("threshold of the rule, at every α", exact(100 * self.min_lost), "points"),
                *(one for part in parts for one in _numbers(part, prediction["epochs"])),
            ],
            figures=(_figure(case.name, runs, finding),),
            tables=(_table(runs, parts),),
            limits=_limits(case.cube, parts),
            p_value=p_value,
        )

    def _parts(self, runs: xr.Dataset) -> Parts:
        lost = _scored(runs)["lost"]
        return Parts(
            alpha=float(runs["alpha"]),
            floor=float(runs["floor"]),
            above=_mean(runs["above"]),
            below=_mean(runs["below"]),
            lost=_mean(lost),
            excess=_mean(lost - self.min_lost),
            crossing=_crossing(runs),
        )


def _check(settings: Mapping[str, Any]) -> None:
    """SpecError unless copies are fixed, their noise is uniform, and the budget is in epochs, more than one."""
    if settings["copies"] != "fixed" or settings["noise"] != "uniform":
        got = f"noise = {settings['noise']!r} and copies = {settings['copies']!r}"
        raise SpecError(
            f'the claim memorisation needs [data] noise = "uniform" and copies = "fixed", got {got}: write these'
        )
    if settings["budget"].get("epochs", 0) <= 1:
        raise SpecError(
            f"the claim memorisation needs a budget of more than one epoch, got {dict(settings['budget'])}: raise it"
        )
    if settings["budget"]["epochs"] > FIRST_CHECKPOINT:
        raise SpecError(
            "the claim memorisation needs an evaluation within the first epoch, and the first comes after 1/"
            f"{FIRST_CHECKPOINT} of the budget, got {dict(settings['budget'])}: give at most {FIRST_CHECKPOINT} epochs"
        )


def _runs(cube: xr.Dataset, prediction: Mapping[str, Any]) -> xr.Dataset:
    """By alpha and seed: loss, accuracy and epochs along the run, the floor, and what the rule looks at.

    above   mean training loss of the first epoch minus the floor
    below   the floor minus the training loss at the end
    lost    accuracy at the checkpoint that is best for the seeds before, minus that at the end; NaN of the first seed
    """
    cube = only(cube, ("alpha", "seed", "checkpoint"), what="the claim memorisation")
    cube = cube.sel(alpha=prediction["alpha"])
    step = cube["step"].astype(float).drop_vars(["step", "examples"], errors="ignore")
    cube = cube.drop_vars(["step", "examples"], errors="ignore")
    floor = xr.DataArray(prediction["floor"], {"alpha": prediction["alpha"]}, name="floor")
    loss = cube["train_loss_history"].astype(float).where(cube["outcome"] == int(Outcome.FINISHED))
    accuracy = score(cube, "test_accuracy_history")
    epochs = prediction["epochs"] * step / step.isel(checkpoint=-1)
    # the loss of a checkpoint is the mean over the steps since the one before
    width = step - step.shift(checkpoint=1, fill_value=0)
    first = loss.weighted(width.where(epochs <= 1, 0.0)).mean("checkpoint", skipna=False)
    return xr.Dataset(
        {
            "loss": loss,
            "accuracy": accuracy,
            "epochs": epochs.broadcast_like(loss.isel(seed=0, drop=True)),
            "floor": floor,
            "above": first - floor,
            "below": floor - loss.isel(checkpoint=-1),
            "lost": honest_best(accuracy, "checkpoint") - accuracy.isel(checkpoint=-1),
        }
    )


def _scored(runs: xr.Dataset) -> xr.Dataset:
    """All seeds but the first, which only chooses the checkpoint; a single one as it is."""
    return runs.isel(seed=slice(min(1, runs.sizes["seed"] - 1), None))


def _mean(values: xr.DataArray) -> Estimate:
    """Mean over seeds."""
    return over_seeds(values.values[:, None], lambda means: means[:, 0])


def _crossing(runs: xr.Dataset) -> Estimate:
    """Epochs after which the seed-mean training loss stays below the floor; NaN: it does not within the run."""
    epochs, floor = np.log(runs["epochs"].values), float(runs["floor"])

    def crossing(means: np.ndarray) -> np.ndarray:
        above = means >= floor
        last = means.shape[1] - 1 - above[:, ::-1].argmax(axis=1)  # the last checkpoint above the floor
        known = above.any(axis=1) & ~above[:, -1]
        before = np.where(known, last, 0)
        row = np.arange(len(means))
        share = (means[row, before] - floor) / np.where(known, means[row, before] - means[row, before + 1], 1.0)
        return np.where(known, np.exp(epochs[before] + share * (epochs[before + 1] - epochs[before])), np.nan)

    return over_seeds(runs["loss"].transpose("seed", "checkpoint").values, crossing)


def _finding(parts: Sequence[Parts], lost: Estimate) -> str:
    told = [
        f"{part.crossing.value:.0f} epochs at α = {part.alpha:g}"
        if part.crossing.value is not None
        else f"not yet at α = {part.alpha:g}"
        for part in parts
    ]
    least = min(part.above.floats.value for part in parts)
    first = f"at least {least:.2f} nats above" if least > 0 else f"{-least:.2f} nats below"
    return (
        f"In the first epoch the training loss is {first} the noise floor; it stays below it after {', '.join(told)}. "
        f"From its best to the end, the accuracy falls by {100 * lost.floats.value:.1f} points (mean over α)."
    )


def _numbers(part: Parts, epochs: float) -> list[Number]:
    at, note = f"α = {part.alpha:g}", "" if part.crossing.value is not None else f"not within {epochs:g} epochs"
    return [
        Number(f"accuracy lost from best to last, {at}", part.lost.times(100), "points"),
        Number(f"loss of the first epoch minus H, {at}", part.above, "nats"),
        Number(f"H minus loss at the end, {at}", part.below, "nats"),
        Number(f"epochs to the floor, {at}", part.crossing, "epochs", note),
    ]


def _limits(cube: xr.Dataset, parts: Sequence[Parts]) -> list[str]:
    limits = []
    if never := sum(part.crossing.value is None for part in parts):
        limits.append(f"At {never} noise levels the loss is not below the floor at the end: longer runs may get there.")
    if bool((cube["outcome"] == int(Outcome.DIVERGED)).any()):
        limits.append("Diverged runs have no training loss, so nothing is judged at their α.")
    return [
        *limits,
        "The copies of an image look the same, so no network can tell them apart: the loss can fall to the entropy of "
        "the labels that each image really got, not to 0.",
        "The loss of a checkpoint is the mean since the one before: the crossing is known to that resolution. The "
        "learning rate was fixed, not tuned; smaller ones memorise later.",
        "The best checkpoint of each seed is chosen on the seeds before it, so that choosing does not flatter it; the "
        "first seed only chooses.",
        *history_limit(cube),
    ]


def _figure(name: str, runs: xr.Dataset, finding: str) -> Figure:
    losses, accuracies = [], []
    mean = runs.mean("seed")
    for alpha in runs["alpha"].values:
        at, group = mean.sel(alpha=alpha), f"α = {alpha:g}"
        x = at["epochs"].values
        losses.append(Series(group, "measured", x, (at["loss"] - at["floor"]).values, group=group))
        accuracies.append(Series(group, "measured", x, 100 * at["accuracy"].values, group=group))
    ends = [float(runs["epochs"].min()), float(runs["epochs"].max())]
    losses.append(Series("noise floor", "predicted", ends, [0.0, 0.0], group="noise floor"))
    panels = (
        Panel(Axis("epochs", "log"), Axis("training loss − H(α), nats"), tuple(losses), "loss above the noise floor"),
        Panel(Axis("epochs", "log"), ACCURACY, tuple(accuracies), "accuracy"),
    )
    caption = f"{finding} Means over {runs.sizes['seed']} seeds; the line at 0 is the prediction."
    return Figure(name, caption, panels)


def _table(runs: xr.Dataset, parts: Sequence[Parts]) -> Table:
    rows: list[list[Cell]] = []
    scored = _scored(runs)
    for part in parts:
        last = 100 * float(scored["accuracy"].sel(alpha=part.alpha).isel(checkpoint=-1).mean())
        lost = part.lost.times(100)
        losses = [part.floor, part.floor + part.above.floats.value, part.floor - part.below.floats.value]
        rows.append(
            [part.alpha, *losses, part.crossing.value, last + lost.floats.value, last, lost, scored.sizes["seed"]]
        )
    crossed = sum(row[4] is not None for row in rows)
    return Table(
        "memorisation",
        f"The loss falls below H(α) at {crossed} of {len(rows)} α. Training loss in nats and test accuracy, "
        f"at the best checkpoint for the seeds before and at the end; losses of all {runs.sizes['seed']} seeds, "
        "accuracies of the n that are scored.",
        (
            "α",
            "H(α)",
            "loss, first epoch",
            "loss, end",
            "epochs to H",
            "best, %",
            "end, %",
            "lost, points [95 % interval]",
            "n",
        ),
        rows,
        ("g", ".3f", ".3f", ".3f", ".1f", ".1f", ".1f", "", "d"),
    )
