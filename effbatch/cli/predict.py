"""`effbatch predict`: α and batch size -> every law's learning rate, as text for people or as JSON."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import click

from effbatch.advice.noise import Noise, UnknownAlpha
from effbatch.advice.prediction import Prediction, Unanswered, predict
from effbatch.cli.options import (
    ANCHOR,
    AUDITED,
    BUDGET,
    FROM_ESTIMATE,
    NOISE_KIND,
    OPTIMIZER,
    SCHEDULE,
    Share,
    anchor_of,
    echo_json,
    noise_of,
)
from effbatch.core.errors import InputError
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

TELLING = ("checked", "counts", "transition", "from_estimate")  # how many labels are wrong


def _moved(*names: str, is_flag: bool = False) -> Callable[..., Any]:
    """An option of 0.1 that `advise` has now."""

    def refuse(_: click.Context, option: click.Parameter, value: object) -> None:
        if value:
            raise InputError(f"{option.opts[0]} has moved to advise: effbatch advise NETWORK DATA --steps T")

    return click.option(*names, hidden=True, expose_value=False, is_flag=is_flag, callback=refuse)


@click.command("predict", epilog=_EPILOG)
@click.option("--alpha", type=float, multiple=True, help="Noisy labels per clean label; repeatable.")
@click.option(
    "--alpha-interval", type=(float, float), help="Low and high limit of alpha; every number gets its range over them."
)
@click.option(
    "--noise-rate",
    type=Share(),
    multiple=True,
    help="Share of wrong labels (0.4 or 40%), instead of --alpha; repeatable.",
)
@FROM_ESTIMATE
@click.option("--batch", type=int, multiple=True, required=True, help="Labelled copies per step; repeatable.")
@click.option("--classes", type=int, help="Number of classes.  [default: that of a matrix, else 10]")
@AUDITED
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
@click.option(
    "--all", "everything", is_flag=True, help="Show also when each law holds, and the laws that do not apply."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON: an object, or a list for several pairs.")
def command(
    alpha: Sequence[float],
    noise_rate: Sequence[float],
    alpha_interval: tuple[float, float] | None,
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
    names = ("optimizer", "schedule", "steps", "examples")
    recipe, anchor = Recipe(**{name: given[name] for name in names}), anchor_of(given)
    if not (alpha or noise_rate) and all(given[name] is None for name in TELLING):
        raise click.UsageError(
            "Missing option '--alpha' (or '--noise-rate', '--checked', '--counts', '--transition', '--from-estimate')."
        )
    if alpha_interval is not None and len(alpha) > 1:
        raise InputError(f"--alpha-interval needs one alpha, got {len(alpha)}: ask for one at a time")
    noise = noise_of(given, alpha_interval=alpha_interval, checked=given["checked"], wrong=given["wrong"])
    alphas: Sequence[float | None] = alpha or [None]
    rates: Sequence[float | None] = noise_rate or [None]
    levels = [replace(noise, alpha=a, noise_rate=rate) for a, rate in itertools.product(alphas, rates)]

    def answer(level: Noise, size: int) -> Prediction | Unanswered:
        try:
            return predict(batch_size=size, noise=level, recipe=recipe, num_classes=classes, anchor=anchor)
        except UnknownAlpha as unknown:
            return Unanswered(level.classes(classes), unknown.alpha, unknown.reason, size, recipe, anchor)

    answers = [answer(level, size) for level, size in itertools.product(levels, batch)]
    _show(answers, as_json=as_json, everything=everything)


def _show(answers: Sequence[Prediction | Unanswered], *, as_json: bool, everything: bool) -> None:
    if as_json:
        objects = [answer.to_dict() for answer in answers]
        echo_json(objects[0] if len(objects) == 1 else objects)
        return
    from effbatch.core.pages import page
    from effbatch.show.views.prediction_pages import prediction_page, predictions_page

    known = [answer for answer in answers if isinstance(answer, Prediction)]
    if known:
        several = predictions_page(known, everything=everything) if len(known) > 1 else None
        terminal.echo(several or prediction_page(known[0], everything=everything))
    unknown = {answer.reason: answer for answer in answers if isinstance(answer, Unanswered)}
    for i, answer in enumerate(unknown.values()):
        click.echo("\n" * bool(known or i), nl=False)
        terminal.echo(page(answer))
