"""Claim: on fixed noisy copies the training loss falls below the entropy of the labels only by memorising them.

Rule, at every α > 0: the mean training loss of the first epoch, in which every copy is seen once, lies above the noise
floor H(α); that at the end lies below it; and the test accuracy has then fallen by more than `min_lost` from its best.
Supported where the intervals of all of these say so, refuted where one says the opposite.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr

from effbatch.claims.base import Judgement, Setup, every_above, number
from effbatch.core.errors import CubeError, SpecError
from effbatch.core.figures import Axis, Figure, Number, Panel, Series, Table
from effbatch.fitting import Estimate
from effbatch.fitting.honest import honest_best
from effbatch.fitting.resampling import over_seeds
from effbatch.laws.bibliography import ARPIT_2017, ROLNICK_2017
from effbatch.noise import UniformNoise
from effbatch.plan.cube import FIRST_CHECKPOINT, Outcome, history_limit, score

RULE: Mapping[str, Any] = {"min_lost": 0.01}
REFERENCES = (ARPIT_2017.bibtex, ROLNICK_2017.bibtex)


def predict(setup: Setup) -> dict[str, Any]:
    """The floor H(α) of every α > 0, in nats: no output that has not seen a label explains it better on average."""
    for point in setup.points:
        _check(setup.settings(point))
    alphas = [alpha for alpha in setup.grid["alpha"] if alpha > 0]
    if not alphas:
        raise SpecError("memorisation needs noisy labels; [grid] alpha holds none above 0")
    (settings, classes) = setup.settings(setup.points[0]), setup.spectrum(setup.points[0]).num_classes
    floors = [float(UniformNoise(alpha, classes).loss_floor) for alpha in alphas]
    return {"epochs": settings["budget"]["epochs"], "alpha": alphas, "floor": floors}


def headline(rule: Mapping[str, Any]) -> str:
    return f"loss crosses H(α) after epoch 1 only, and costs more than {100 * rule['min_lost']:g} points"


def describe(prediction: Mapping[str, Any], rule: Mapping[str, Any]) -> str:
    floors = "; ".join(f"{h:.2f} at α = {a:g}" for a, h in zip(prediction["alpha"], prediction["floor"], strict=True))
    return (
        f"The entropy of a noisy label is H(α) = {floors} nats. In the first epoch the mean training loss stays above "
        f"it, since every label is new; within {prediction['epochs']:g} epochs it falls below, and by then the test "
        f"accuracy is more than {100 * rule['min_lost']:g} points below its best. The claim holds if this is so at "
        "every α."
    )


def judge(cube: xr.Dataset, prediction: Mapping[str, Any], rule: Mapping[str, Any]) -> Judgement:
    runs = _runs(cube, prediction)
    n = runs.sizes["seed"]
    fall = _scored(runs)["lost"]
    above, below, lost = (
        [_estimate(values.sel(alpha=alpha)) for alpha in prediction["alpha"]]
        for values in (runs["above"], runs["below"], fall)
    )
    excess = [_estimate(fall.sel(alpha=alpha) - rule["min_lost"]) for alpha in prediction["alpha"]]
    verdict, p_value = every_above([*above, *below, *excess], 0.0)
    crossings = [_crossing(runs.sel(alpha=alpha)) for alpha in prediction["alpha"]]
    overall = _estimate(fall.mean("alpha"))
    finding = _finding(prediction, crossings, above, overall)
    return Judgement(
        verdict,
        finding,
        _numbers(prediction, rule, overall, above, below, lost, crossings, n),
        (_figure(cube, runs, finding),),
        (_table(prediction, runs, lost, crossings),),
        _limits(cube, crossings),
        REFERENCES,
        p_value=p_value,
    )


def _check(settings: Mapping[str, Any]) -> None:
    """SpecError unless copies are fixed, their noise is uniform, and the budget is in epochs, more than one."""
    if settings["copies"] != "fixed" or settings["noise"] != "uniform":
        came = f"noise = {settings['noise']!r} and copies = {settings['copies']!r}"
        raise SpecError(f'memorisation is judged on [data] noise = "uniform" and copies = "fixed"; {came} came')
    if settings["budget"].get("epochs", 0) <= 1:
        raise SpecError(f"memorisation takes a budget of more than one epoch; {dict(settings['budget'])} came")
    if settings["budget"]["epochs"] > FIRST_CHECKPOINT:
        raise SpecError(
            f"memorisation needs an evaluation within the first epoch, and the first comes after 1/{FIRST_CHECKPOINT} "
            f"of the budget; {dict(settings['budget'])} came: give at most {FIRST_CHECKPOINT} epochs"
        )


def _runs(cube: xr.Dataset, prediction: Mapping[str, Any]) -> xr.Dataset:
    """By alpha and seed: loss, accuracy and epochs along the run, the floor, and what the rule looks at.

    above   mean training loss of the first epoch minus the floor
    below   the floor minus the training loss at the end
    lost    accuracy at the checkpoint that is best for the seeds before, minus that at the end; NaN of the first seed
    """
    dims = ("alpha", "seed", "checkpoint")
    others = [str(dim) for dim in cube["outcome"].dims if dim not in dims and cube.sizes[dim] > 1]
    if others:
        raise CubeError(f"memorisation is judged for one way of training; the grid also varies {', '.join(others)}")
    cube = cube.squeeze([dim for dim in cube["outcome"].dims if dim not in dims], drop=True)
    cube = cube.sel(alpha=prediction["alpha"])
    floor = xr.DataArray(prediction["floor"], {"alpha": prediction["alpha"]}, name="floor")
    step = cube["step"].astype(float).drop_vars(["step", "examples"], errors="ignore")
    loss = cube["train_loss_history"].astype(float).drop_vars(["step", "examples"], errors="ignore")
    loss = loss.where(cube["outcome"] == int(Outcome.FINISHED))
    accuracy = score(cube, "test_accuracy_history").drop_vars(["step", "examples"], errors="ignore")
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


def _estimate(values: xr.DataArray) -> Estimate:
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


def _finding(prediction: Mapping[str, Any], crossings: list[Estimate], above: list[Estimate], lost: Estimate) -> str:
    told = [
        f"{crossing.value:.0f} epochs at α = {alpha:g}" if np.isfinite(crossing.value) else f"not yet at α = {alpha:g}"
        for alpha, crossing in zip(prediction["alpha"], crossings, strict=True)
    ]
    least = min(estimate.value for estimate in above)
    first = f"at least {least:.2f} nats above" if least > 0 else f"{-least:.2f} nats below"
    return (
        f"In the first epoch the training loss is {first} the noise floor; it stays below it after {', '.join(told)}. "
        f"From its best to the end, the accuracy falls by {100 * lost.value:.1f} points (mean over α)."
    )


def _numbers(
    prediction: Mapping[str, Any],
    rule: Mapping[str, Any],
    overall: Estimate,
    above: list[Estimate],
    below: list[Estimate],
    lost: list[Estimate],
    crossings: list[Estimate],
    n: int,
) -> list[Number]:
    scored = max(n - 1, 1)
    numbers = [
        number("accuracy lost from best to last", overall, scored, "points", scale=100, note="mean over α"),
        Number("threshold of the rule, at every α", 100 * rule["min_lost"], unit="points", exact=True),
    ]
    for i, alpha in enumerate(prediction["alpha"]):
        crossed = np.isfinite(crossings[i].value)
        note = "" if crossed else f"not within {prediction['epochs']:g} epochs"
        numbers += [
            number(f"accuracy lost from best to last, α = {alpha:g}", lost[i], scored, "points", scale=100),
            number(f"loss of the first epoch minus H, α = {alpha:g}", above[i], n, "nats"),
            number(f"H minus loss at the end, α = {alpha:g}", below[i], n, "nats"),
            number(f"epochs to the floor, α = {alpha:g}", crossings[i], n, "epochs", note=note),
        ]
    return numbers


def _limits(cube: xr.Dataset, crossings: list[Estimate]) -> list[str]:
    limits = []
    if never := sum(not np.isfinite(crossing.value) for crossing in crossings):
        limits.append(f"At {never} noise levels the loss is not below the floor at the end: longer runs may get there.")
    diverged = int((cube["outcome"] == int(Outcome.DIVERGED)).sum())
    if diverged:
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


def _figure(cube: xr.Dataset, runs: xr.Dataset, finding: str) -> Figure:
    losses, accuracies = [], []
    mean = runs.mean("seed")
    for alpha in runs["alpha"].values:
        at, group = mean.sel(alpha=alpha), f"α = {alpha:g}"
        x = at["epochs"].values
        losses.append(Series(group, "measured", x, (at["loss"] - at["floor"]).values, group=group))
        accuracies.append(Series(group, "measured", x, at["accuracy"].values, group=group))
    ends = [float(runs["epochs"].min()), float(runs["epochs"].max())]
    losses.append(Series("noise floor", "predicted", ends, [0.0, 0.0], group="noise floor"))
    panels = (
        Panel(Axis("epochs", "log"), Axis("training loss − H(α), nats"), tuple(losses), "loss above the noise floor"),
        Panel(Axis("epochs", "log"), Axis("test accuracy", domain=(0, 1)), tuple(accuracies), "accuracy"),
    )
    caption = f"{finding} Means over {runs.sizes['seed']} seeds; the line at 0 is the prediction."
    # several simulations may be judged by this rule in one report
    return Figure(str(cube.attrs.get("simulation", "memorisation")), caption, panels)


def _table(prediction: Mapping[str, Any], runs: xr.Dataset, lost: list[Estimate], crossings: list[Estimate]) -> Table:
    rows: list[list[str | float | int | None]] = []
    scored = _scored(runs)
    for i, alpha in enumerate(prediction["alpha"]):
        at = runs.sel(alpha=alpha).mean("seed")
        last = 100 * float(scored["accuracy"].sel(alpha=alpha).isel(checkpoint=-1).mean())
        crossing = crossings[i].value if np.isfinite(crossings[i].value) else None
        floor = prediction["floor"][i]
        limits = f"{100 * lost[i].low:.1f} to {100 * lost[i].high:.1f}" if np.isfinite(lost[i].low) else "cannot tell"
        losses = [floor + float(at["above"]), floor - float(at["below"])]
        rows.append([alpha, floor, *losses, crossing, last + 100 * lost[i].value, last, limits, scored.sizes["seed"]])
    columns = ("α", "H(α)", "loss, first epoch", "loss, end", "epochs to H", "best, %", "end, %", "lost, points", "n")
    crossed = sum(row[4] is not None for row in rows)
    return Table(
        "memorisation",
        f"The loss falls below H(α) at {crossed} of {len(rows)} α. Training loss in nats and test accuracy, "
        f"at the best checkpoint for the seeds before and at the end; losses of all {runs.sizes['seed']} seeds, "
        "accuracies of the n that are scored.",
        columns,
        rows,
        ("g", ".3f", ".3f", ".3f", ".1f", ".1f", ".1f", "", "d"),
    )
