"""`effbatch predict`: α and batch size -> every law's learning rate, as text for people or as JSON."""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from effbatch.errors import InputError
from effbatch.laws.base import OPTIMIZERS, SCHEDULES
from effbatch.prediction import Anchor, LawPrediction, Prediction, predict

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

_EPILOG = """\b
Examples
  effbatch predict --alpha 50 --batch 128
  effbatch predict --alpha 50 --batch 128 \\
      --anchor-lr 0.1 --anchor-batch 128
  effbatch predict --alpha 1 --alpha 10 \\
      --batch 32 --batch 256 --json
  effbatch predict --alpha 5 --batch 64 --optimizer adam
"""


@click.command("predict", epilog=_EPILOG)
@click.option("--alpha", type=float, multiple=True, required=True, help="Noisy labels per clean label; repeatable.")
@click.option("--batch", type=int, multiple=True, required=True, help="Labelled copies per step; repeatable.")
@click.option("--classes", type=int, default=10, show_default=True, help="Number of classes.")
@click.option("--optimizer", type=click.Choice(OPTIMIZERS), default="sgd", show_default=True)
@click.option("--schedule", type=click.Choice(SCHEDULES), default="constant", show_default=True)
@click.option("--steps", type=int, help="Optimiser steps, where the budget is in steps.")
@click.option("--examples", type=int, help="Labelled copies processed, where the budget is in examples.")
@click.option("--anchor-lr", type=float, help="A learning rate that was tuned ...")
@click.option("--anchor-batch", type=int, help="... at this batch size ...")
@click.option("--anchor-alpha", type=float, help="... and this alpha.  [default: 0, clean labels]")
@click.option("--json", "as_json", is_flag=True, help="Print JSON: an object, or a list for several pairs.")
def command(
    alpha: Sequence[float],
    batch: Sequence[int],
    classes: int,
    optimizer: str,
    schedule: str,
    steps: int | None,
    examples: int | None,
    anchor_lr: float | None,
    anchor_batch: int | None,
    anchor_alpha: float | None,
    as_json: bool,
) -> None:
    """Learning rate, batch size and labels needed when most labels are wrong.

    Without an anchor, rates are factors on the best rate for clean labels at the same batch size; with
    one, they are rates. Every α is paired with every batch size.
    """
    anchor = _anchor(anchor_lr, anchor_batch, anchor_alpha)
    predictions = [
        predict(
            a,
            b,
            num_classes=classes,
            optimizer=optimizer,
            schedule=schedule,
            steps=steps,
            examples=examples,
            anchor=anchor,
        )
        for a, b in itertools.product(alpha, batch)
    ]
    if as_json:
        objects = [prediction.to_dict() for prediction in predictions]
        answer = objects[0] if len(objects) == 1 else objects
        click.echo(json.dumps(answer, indent=2, ensure_ascii=False, allow_nan=False))
        return

    from rich.console import Console

    console = Console(highlight=False)
    if len(predictions) == 1:
        _print_one(console, predictions[0])
    else:
        _print_table(console, predictions)


def _anchor(learning_rate: float | None, batch_size: int | None, alpha: float | None) -> Anchor | None:
    given = {"--anchor-lr": learning_rate, "--anchor-batch": batch_size, "--anchor-alpha": alpha}
    came = ", ".join(option for option, value in given.items() if value is not None)
    if not came:
        return None
    if learning_rate is None or batch_size is None:
        raise InputError(
            f"an anchor needs --anchor-lr and --anchor-batch; only {came} came: give both, or no anchor", given=given
        )
    return Anchor(learning_rate, batch_size, 0.0 if alpha is None else alpha)


def _print_one(console: Console, prediction: Prediction) -> None:
    from rich.padding import Padding
    from rich.text import Text

    s, labels, chosen = prediction.setting, prediction.labels, prediction.recommended
    console.print(Text(_headline(prediction), style="bold"))
    console.print(Text(_sentence(f"Law {chosen.law}: {chosen.why}")))
    console.print(Text(_situation(prediction), style="dim"))

    section = _section(console, "Effective batch size: the clean batch with as good a gradient")
    effective = prediction.effective_batch_size
    section.add_row(_number(effective["signal_to_noise"]), "by signal-to-noise ratio, B/(1+α)²; a limit, see below")
    section.add_row(_number(effective["clean_count"]), "by counting clean labels, B/(1+α); the folk rule")
    section.add_row("?", "measured: needs the gradients of a network")
    console.print(section)

    rate = "factor, and rate" if prediction.anchor else "factor"
    section = _section(console, f"Learning rate by law: {rate}, exact given the law")
    every = prediction.learning_rate
    for name in sorted((n for n in every if every[n].applies), key=lambda n: (n != chosen.law, n)):
        law = every[name]
        numbers = f"× {_number(law.factor)}" + ("" if law.value is None else f"\n{_number(law.value)}")
        section.add_row(numbers, _law_text(name, law, chosen=name == chosen.law))
    console.print(section)
    console.print(Text("\nLaws that do not apply here", style="bold"))
    for name in sorted(n for n in every if not every[n].applies):
        console.print(Padding(Text.assemble(name, (f": {every[name].reason}", "dim")), (0, 0, 0, 2)))

    section = _section(console, "What the noise costs")
    section.add_row(
        _number(prediction.restoring_batch_size),
        f"restoring batch, B(1+α)²: has the signal-to-noise ratio of {s.batch_size} clean labels",
    )
    section.add_row(
        f"× {_number(prediction.clean_labels_factor)}",
        "clean labels for the same accuracy, 1+α, where label noise is what limits it",
    )
    section.add_row(
        f"{labels.loss_floor:.4g} nat", "loss floor (exact): a training loss below it is memorising wrong labels"
    )
    section.add_row(f"{100 * labels.noise_rate:.3g} %", "of labels are wrong (exact)")
    console.print(section)
    console.print()
    console.print(
        Text(
            "B/(1+α)² and B(1+α)² hold exactly where the network still answers 1/K for every class and its noise scale "
            "is large. No number here was measured (n = 0); `effbatch validate` measures.",
            style="dim",
        )
    )


def _print_table(console: Console, predictions: Sequence[Prediction]) -> None:
    from rich.table import Table
    from rich.text import Text

    first = predictions[0]
    law, anchored = first.recommended.law, first.anchor is not None
    what = "Learning rate" if anchored else "Factor on the rate tuned with clean labels at the same batch size"
    console.print(Text(f"{what}, by {law}.", style="bold"))
    console.print(Text(_sentence(first.recommended.why)))
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for heading in ("α", "B", "factor", *(["rate"] if anchored else []), "B/(1+α)²", "loss floor"):
        table.add_column(heading, justify="right")
    for p in predictions:
        rate = [_number(p.recommended.value)] if anchored else []
        table.add_row(
            _number(p.setting.alpha),
            _number(p.setting.batch_size),
            _number(p.recommended.factor),
            *rate,
            _number(p.effective_batch_size["signal_to_noise"]),
            f"{p.labels.loss_floor:.4g}",
        )
    console.print(table)
    console.print(
        Text(
            "B/(1+α)² is the effective batch size by signal-to-noise ratio; the loss floor is exact, in nat; factors "
            "are exact given the law. Ask for one pair to see every law.",
            style="dim",
        )
    )


def _section(console: Console, title: str) -> Table:
    """Print a title and return the two-column grid for its rows: number, then what it is."""
    from rich.table import Table
    from rich.text import Text

    console.print()
    console.print(Text(title, style="bold"))
    grid = Table.grid(padding=(0, 0, 0, 2))
    grid.add_column(justify="right", no_wrap=True, min_width=10)
    grid.add_column(overflow="fold")
    return grid


def _law_text(name: str, law: LawPrediction, *, chosen: bool = False) -> Text:
    from rich.text import Text

    text = Text(name, style="bold" if chosen else "")
    text.append(f" {law.formula}\n", style="not bold")
    if law.interval is not None:
        text.append(f"{_number(law.interval[0])} to {_number(law.interval[1])} (90 % of n = {law.n} cells)\n")
    text.append(law.reason, style="dim not bold")
    return text


def _headline(prediction: Prediction) -> str:
    chosen, anchor = prediction.recommended, prediction.anchor
    if anchor is None and chosen.factor == 1:
        return "Keep the learning rate best on clean labels at this batch size."
    if anchor is None:
        return f"Multiply the learning rate best on clean labels at this batch size by {_number(chosen.factor)}."
    interval = "" if chosen.interval is None else f" ({' to '.join(map(_number, chosen.interval))})"
    return (
        f"Use learning rate {_number(chosen.value)}{interval}: {_number(chosen.factor)} times the anchor's "
        f"{_number(anchor.learning_rate)} at batch size {_number(anchor.batch_size)}, α = {_number(anchor.alpha)}."
    )


def _situation(prediction: Prediction) -> str:
    s = prediction.setting
    budget = ""
    if s.steps is not None:
        budget = f", {_number(s.steps)} steps"
    if s.examples is not None:
        budget = f", {_number(s.examples)} examples"
    return (
        f"For α = {_number(s.alpha)}, B = {_number(s.batch_size)}, {s.num_classes} classes, uniform label noise, "
        f"{s.optimizer}, {s.schedule} schedule{budget}."
    )


def _sentence(text: str) -> str:
    return text[0].upper() + text[1:] + "."


def _number(value: float | None) -> str:
    """Three digits, whole from 1,000 on with separators, powers of ten beyond 10⁹."""
    if value is None:
        return "?"
    return f"{value:,.0f}" if 1000 <= abs(value) < 1e9 else f"{value:.3g}"
