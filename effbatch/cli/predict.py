"""`effbatch predict`: α and batch size -> every law's learning rate, as text for people or as JSON."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, TextIO

import click

from effbatch.advice.handed_on import HandedOn, Unanswered, handed_on
from effbatch.advice.prediction import Prediction, predict
from effbatch.cli.options import (
    ANCHOR,
    AUDITED,
    BUDGET,
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


def _moved(*names: str, is_flag: bool = False) -> Callable[..., Any]:
    """An option of 0.1 that `advise` has now."""

    def refuse(_: click.Context, option: click.Parameter, value: object) -> None:
        if value:
            raise InputError(f"{option.opts[0]} has moved to advise: effbatch advise NETWORK DATA --steps T")

    return click.option(*names, hidden=True, expose_value=False, is_flag=is_flag, callback=refuse)


@click.command("predict", epilog=_EPILOG)
@click.option("--alpha", type=float, multiple=True, help="Noisy labels per clean label; repeatable.")
@click.option("--alpha-interval", type=(float, float), help="Limits of alpha: every number gets its range over them.")
@click.option("--noise-rate", type=Share(), multiple=True, help="Share of wrong labels, in place of alpha; repeatable.")
@click.option(
    "--from-estimate", type=click.File(), help="Alpha, its interval and classes from `estimate --json`; - reads stdin."
)
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
    names = ("optimizer", "schedule", "steps", "examples")
    recipe, anchor = Recipe(**{name: given[name] for name in names}), anchor_of(given)
    said = bool(alpha or noise_rate) or any(given[name] is not None for name in ("checked", "counts", "transition"))
    known: dict[str, Any] = {"alpha_interval": alpha_interval, "checked": given["checked"], "wrong": given["wrong"]}
    if from_estimate is not None:
        if said or alpha_interval:
            raise InputError(
                "the estimate says how many labels are wrong, got --alpha, --noise-rate, --checked or the like too: "
                "leave it out"
            )
        found = _estimate(from_estimate, as_alpha=given["noise"] != "uniform" or given["matrix"] is not None)
        known, classes = dict(found.known), found.num_classes if classes is None else classes
        if found.reason is not None:
            unknown = [Unanswered(classes, found.alpha, found.reason, size, recipe, anchor) for size in batch]
            return _show(unknown, as_json=as_json, everything=everything)
    elif not said:
        raise click.UsageError(
            "Missing option '--alpha' (or '--noise-rate', '--checked', '--counts', '--transition', '--from-estimate')."
        )
    elif alpha_interval is not None and len(alpha) > 1:
        raise InputError(f"--alpha-interval belongs to one alpha, got {len(alpha)}: ask for one at a time")
    noise = noise_of(given, **known)
    alphas: Sequence[float | None] = alpha or [noise.alpha]
    rates: Sequence[float | None] = noise_rate or [None]
    levels = [replace(noise, alpha=a, noise_rate=rate) for a, rate in itertools.product(alphas, rates)]
    answers: list[Prediction | Unanswered] = [
        predict(batch_size=size, noise=level, recipe=recipe, num_classes=classes, anchor=anchor)
        for level, size in itertools.product(levels, batch)
    ]
    _show(answers, as_json=as_json, everything=everything)


def _show(answers: Sequence[Prediction | Unanswered], *, as_json: bool, everything: bool) -> None:
    if as_json:
        objects = [answer.to_dict() for answer in answers]
        echo_json(objects[0] if len(objects) == 1 else objects)
        return
    from effbatch.core.pages import page
    from effbatch.show.views.advice import prediction_page, predictions_page

    known = [answer for answer in answers if isinstance(answer, Prediction)]
    if len(known) > 1:
        terminal.echo(predictions_page(known))
    else:
        terminal.echo(prediction_page(known[0], everything=everything) if known else page(answers[0]))


def _estimate(file: TextIO, *, as_alpha: bool) -> HandedOn:
    """What an estimate tells of the noise; with `as_alpha` its α, whether or not uniform noise fits."""
    try:
        found = handed_on(json.load(file), as_alpha=as_alpha)
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise InputError(f"--from-estimate needs what `estimate --json` prints; {file.name} is not that") from error
    if found.remark:
        click.echo(f"effbatch: {found.remark}", err=True)
    return found
