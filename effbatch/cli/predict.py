"""`effbatch predict`: α and batch size -> every law's learning rate, as text for people or as JSON."""

from __future__ import annotations

import itertools
import json
import operator
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, TextIO

import click

from effbatch.advice.prediction import predict
from effbatch.cli.options import (
    ANCHOR,
    BUDGET,
    NOISE_KIND,
    OPTIMIZER,
    SCHEDULE,
    anchor_of,
    echo_json,
    noise_of,
)
from effbatch.core.errors import InputError
from effbatch.core.estimate import Estimate
from effbatch.plan.recipe import Recipe
from effbatch.show import terminal

_EPILOG = """\b
Examples
  effbatch predict --alpha 50 --batch 128
  effbatch predict --alpha 50 --batch 128 \\
      --anchor-lr 0.1 --anchor-batch 128
  effbatch predict --alpha 1 --alpha 10 \\
      --batch 32 --batch 256 --json
  effbatch predict --noise-rate 0.4 --batch 64 --optimizer adam
  effbatch predict --alpha 20 --batch 128 \\
      --noise structured --delta 0.8
  effbatch estimate --checked 200 --wrong 66 --classes 10 \\
      --json | effbatch predict --from-estimate - --batch 128
A network and data: effbatch advise --help
"""


def _moved(*names: str, is_flag: bool = False) -> Callable[..., Any]:
    """An option of 0.1 that `advise` has now."""

    def refuse(_: click.Context, option: click.Parameter, value: object) -> None:
        if value:
            raise InputError(f"{option.opts[0]} has moved to advise: effbatch advise NETWORK DATA --steps T")

    return click.option(*names, hidden=True, expose_value=False, is_flag=is_flag, callback=refuse)


@click.command("predict", epilog=_EPILOG)
@click.option("--alpha", type=float, multiple=True, help="Noisy labels per clean label; repeatable.")
@click.option("--alpha-interval", type=(float, float), help="Limits of alpha: every number gets its range over them.")
@click.option("--noise-rate", type=float, multiple=True, help="Share of wrong labels, in place of alpha; repeatable.")
@click.option(
    "--from-estimate", type=click.File(), help="Alpha, its interval and classes from `estimate --json`; - reads stdin."
)
@click.option("--batch", type=int, multiple=True, required=True, help="Labelled copies per step; repeatable.")
@click.option("--classes", type=int, help="Number of classes.  [default: that of a matrix, else 10]")
@NOISE_KIND
@OPTIMIZER
@SCHEDULE
@BUDGET
@ANCHOR
@_moved("--network")
@_moved("--dataset")
@_moved("--data-dir")
@_moved("--order")
@_moved("--momentum")
@_moved("--probe", is_flag=True)
@click.option("--all", "everything", is_flag=True, help="Also when each law holds, and the laws that do not apply.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON: an object, or a list for several pairs.")
def command(
    alpha: Sequence[float],
    noise_rate: Sequence[float],
    alpha_interval: tuple[float, float] | None,
    from_estimate: TextIO | None,
    batch: Sequence[int],
    classes: int | None,
    everything: bool,
    as_json: bool,
    **given: Any,
) -> None:
    """Learning rate, batch size and labels needed when most labels are wrong.

    Without an anchor, rates are factors on the best rate for clean labels at the same batch size; with
    one, they are rates. Every noise level is paired with every batch size.
    """
    known: dict[str, Any] = {"alpha_interval": alpha_interval}
    if from_estimate is not None:
        if alpha or alpha_interval or noise_rate:
            raise InputError(
                "alpha comes from the estimate, got --alpha, --alpha-interval or --noise-rate too: leave it out"
            )
        estimated, its_classes, matrix = _estimate(from_estimate)
        known = {"alpha": estimated.value, "alpha_interval": estimated.interval}
        if matrix is not None and given["noise"] == "uniform" and not (given["matrix"] or given["transition"]):
            known = {"transition": matrix}
        classes = its_classes if classes is None else classes
    elif not (alpha or noise_rate or given["transition"]):
        raise click.UsageError("Missing option '--alpha' (or '--noise-rate', '--transition', '--from-estimate').")
    elif alpha_interval is not None and len(alpha) > 1:
        raise InputError(f"--alpha-interval belongs to one alpha, got {len(alpha)}: ask for one at a time")
    noise = noise_of(given, **known)
    alphas: Sequence[float | None] = alpha or [noise.alpha]
    rates: Sequence[float | None] = noise_rate or [None]
    levels = [replace(noise, alpha=a, noise_rate=rate) for a, rate in itertools.product(alphas, rates)]
    names = ("optimizer", "schedule", "steps", "examples")
    recipe = Recipe(**{name: given[name] for name in names})
    anchor = anchor_of(given)
    answers = [
        predict(batch_size=size, noise=level, recipe=recipe, num_classes=classes, anchor=anchor)
        for level, size in itertools.product(levels, batch)
    ]
    if as_json:
        objects = [answer.to_dict() for answer in answers]
        echo_json(objects[0] if len(objects) == 1 else objects)
    else:
        from effbatch.show.views.advice import prediction_page, predictions_page

        several = len(answers) > 1
        terminal.echo(predictions_page(answers) if several else prediction_page(answers[0], everything=everything))


def _estimate(file: TextIO) -> tuple[Estimate, int, list | None]:
    """α with its interval, the number of classes, and T where uniform noise does not fit, of `estimate --json`."""
    try:
        found = json.load(file)
        classes = operator.index(found["num_classes"])
        alpha, test = found["alpha"], found.get("uniform_noise")
        matrix = None if test is None or test["fits"] else found["transition_matrix"]["value"]
        p_value = None if matrix is None else float(test["p_value"])
        whole = matrix is not None and all(x is not None for row in matrix for x in row)
        if alpha["value"] is None and not whole:
            raise InputError(f"the estimate has no alpha to predict from: {alpha.get('reason')}")
        limits = alpha["interval"] or (None, None)
        value, low, high = (None if x is None else 1.0 * x for x in (alpha["value"], *limits))  # numbers, no texts
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise InputError(
            f"--from-estimate needs what `estimate --json` prints of a sample or of counts; {file.name} is not that"
        ) from error
    if matrix is not None:
        taken = "this takes their transition matrix" if whole else "but some classes were not checked: this takes it so"
        click.echo(f"effbatch: uniform noise does not fit the counts (p = {p_value:.3g}); {taken}", err=True)
    return Estimate(value, low, high), classes, matrix if whole else None
