"""`effbatch predict`: α and batch size -> every law's learning rate, as text for people or as JSON."""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, TextIO

import click

from effbatch.advice.first_principles import INITIALISATIONS
from effbatch.advice.law_answers import Anchor, LawPrediction
from effbatch.advice.noise_family import NOISE_KINDS
from effbatch.advice.prediction import Prediction, predict
from effbatch.cli.options import DATA_DIR, DATA_NAMES, NETWORK_NAMES, OPTIMIZER, Name, echo_json, was_given
from effbatch.core.errors import InputError
from effbatch.core.formats import limits_text
from effbatch.noise import ORDERS
from effbatch.plan.recipe import steps_bought
from effbatch.theory.schedules import SCHEDULES

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from effbatch.advice.alpha_interval import Interval
    from effbatch.probe.rule import Refinement
    from effbatch.theory.dynamics import Spectrum

_EPILOG = """\b
Examples
  effbatch predict --alpha 50 --batch 128
  effbatch predict --alpha 50 --batch 128 \\
      --anchor-lr 0.1 --anchor-batch 128
  effbatch predict --alpha 1 --alpha 10 \\
      --batch 32 --batch 256 --json
  effbatch predict --alpha 5 --batch 64 --optimizer adam
  effbatch predict --alpha 6 --batch 32 --steps 400 \\
      --network mlp1 --dataset digits
  effbatch predict --alpha 20 --batch 128 \\
      --noise structured --delta 0.8
  effbatch estimate --checked 200 --wrong 66 --classes 10 \\
      --json | effbatch predict --from-estimate - --batch 128
"""


@click.command("predict", epilog=_EPILOG)
@click.option("--alpha", type=float, multiple=True, help="Noisy labels per clean label; repeatable.")
@click.option("--alpha-interval", type=(float, float), help="Limits of alpha: every number gets its range over them.")
@click.option(
    "--from-estimate", type=click.File(), help="Alpha, its interval and classes from `estimate --json`; - reads stdin."
)
@click.option("--batch", type=int, multiple=True, required=True, help="Labelled copies per step; repeatable.")
@click.option("--classes", type=int, help="Number of classes.  [default: the network's or the matrix's, else 10]")
@click.option("--noise", type=Name(NOISE_KINDS), default="uniform", show_default=True)
@click.option(
    "--delta", type=float, help="Degree of structured noise: 0 uniform to 1, commonest false label as likely."
)
@click.option(
    "--order",
    type=Name(ORDERS),
    help="Of the false labels of structured noise, on --dataset.  [default: class c is taken for c + 1, c + 2, ...]",
)
@click.option(
    "--matrix", type=click.Path(), help="Law of noisy labels, CSV or .npy: rows true class, columns label drawn."
)
@OPTIMIZER
@click.option(
    "--momentum",
    type=float,
    default=0.9,
    show_default=True,
    help="Where the optimizer is momentum; Nesterov's too.",
)
@click.option("--schedule", type=Name(tuple(SCHEDULES)), default="constant", show_default=True)
@click.option("--steps", type=int, help="Optimiser steps, where the budget is in steps.")
@click.option("--examples", type=int, help="Labelled copies processed, where the budget is in examples.")
@click.option("--anchor-lr", type=float, help="A learning rate that was tuned ...")
@click.option("--anchor-batch", type=int, help="... at this batch size ...")
@click.option("--anchor-alpha", type=float, help="... and this alpha.  [default: 0, clean labels]")
@click.option(
    "--network",
    shell_complete=NETWORK_NAMES,
    help="A network (built-in, or package.module:function): rate and accuracy from first principles ...",
)
@click.option(
    "--dataset",
    shell_complete=DATA_NAMES,
    help="... on this data set (built-in, .npz, folder or hub:NAME), untrained; needs --steps or --examples.",
)
@DATA_DIR
@click.option("--probe", is_flag=True, help="Also train short real runs of the network, about two full runs of work.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON: an object, or a list for several pairs.")
def command(
    alpha: Sequence[float],
    alpha_interval: tuple[float, float] | None,
    from_estimate: TextIO | None,
    batch: Sequence[int],
    classes: int | None,
    noise: str,
    delta: float | None,
    order: str | None,
    matrix: str | None,
    optimizer: str,
    momentum: float,
    schedule: str,
    steps: int | None,
    examples: int | None,
    anchor_lr: float | None,
    anchor_batch: int | None,
    anchor_alpha: float | None,
    network: str | None,
    dataset: str | None,
    probe: bool,
    as_json: bool,
) -> None:
    """Learning rate, batch size and labels needed when most labels are wrong.

    Without an anchor, rates are factors on the best rate for clean labels at the same batch size; with
    one, they are rates. Every α is paired with every batch size.
    """
    interval: Interval | None = alpha_interval
    if from_estimate is not None:
        if alpha or alpha_interval:
            raise InputError("alpha comes from the estimate; --alpha or --alpha-interval came too: leave them out")
        estimated, interval, its_classes = _estimate(from_estimate)
        alpha, classes = [estimated], its_classes if classes is None else classes
    if not alpha:
        raise click.UsageError("Missing option '--alpha' (or '--from-estimate').")
    if interval is not None and len(alpha) > 1:
        raise InputError(f"--alpha-interval belongs to one alpha; {len(alpha)} came: ask for one at a time")
    if was_given("momentum") and optimizer != "momentum":
        raise InputError(f"--momentum is for --optimizer momentum; {optimizer} came with it: change one of them")
    if was_given("data_dir") and dataset is None:
        raise InputError("--data-dir is where a data set lies, and none is asked for: give --network and --dataset")
    if probe and (matrix or (noise, optimizer, schedule) != ("uniform", "sgd", "constant")):
        raise InputError(
            "--probe trains with plain sgd at a constant rate on uniform noise, and more came: leave out --probe, or "
            "what asks for other training"
        )
    anchor = _anchor(anchor_lr, anchor_batch, anchor_alpha)
    spectra = _spectra(network, dataset, budget=examples if steps is None else steps)
    classes_by_preference = None if order is None else _order(order, dataset)
    predictions = [
        predict(
            a,
            b,
            num_classes=classes,
            alpha_interval=interval,
            noise=noise,
            delta=delta,
            order=classes_by_preference,
            matrix=None if matrix is None else _matrix(matrix),
            optimizer=optimizer,
            momentum=momentum,
            schedule=schedule,
            steps=steps,
            examples=examples,
            anchor=anchor,
            spectra=spectra,
            short_runs=_short_runs(network, dataset, a, b, steps, examples) if probe else None,
        )
        for a, b in itertools.product(alpha, batch)
    ]
    if as_json:
        objects = [prediction.to_dict() for prediction in predictions]
        answer = objects[0] if len(objects) == 1 else objects
        echo_json(answer)
        return

    from rich.console import Console

    console = Console(highlight=False)
    if len(predictions) == 1:
        _print_one(console, predictions[0])
    else:
        _print_table(console, predictions)


def _estimate(file: TextIO) -> tuple[float, Interval, int]:
    """α, its interval and the number of classes in what `estimate --json` printed."""
    try:
        found = json.load(file)
        classes = int(found["num_classes"])
        value, low, high = (
            None if limit is None else float(limit)
            for limit in (found["alpha"]["value"], *(found["alpha"]["interval"] or (None, None)))
        )
        test = found.get("uniform_noise")
        p_value = None if test is None or test["fits"] else float(test["p_value"])
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise InputError(
            f"--from-estimate needs what `estimate --json` prints of a sample or of counts; {file.name} is not that"
        ) from error
    if value is None:
        raise InputError(f"the estimate has no alpha to predict from: {found['alpha'].get('reason')}")
    if p_value is not None:
        click.echo(
            f"effbatch: uniform noise does not fit the counts (p = {p_value:.3g}); this takes it as uniform, "
            "--alpha and --matrix would not",
            err=True,
        )
    return value, (low, high), classes


def _matrix(path: str):
    from effbatch.noise.matrixfile import read_matrix

    return read_matrix(path)


def _order(name: str, dataset: str | None) -> NDArray[np.intp]:
    """Classes of a data set by falling preference as a false label; PyTorch is imported only here."""
    if dataset is None:
        raise InputError("--order is that of a data set's classes, and none came: give --network and --dataset")
    from effbatch.data import datasets
    from effbatch.noise.class_orders import class_order

    return class_order(datasets.load(dataset), name)


def _spectra(network: str | None, dataset: str | None, *, budget: int | None) -> list[Spectrum]:
    """Kernels of the untrained network, one per initialisation; PyTorch is imported only here."""
    if network is None and dataset is None:
        return []
    if network is None or dataset is None:
        raise InputError("first principles need --network and --dataset; only one of them came: give both, or neither")
    if budget is None:  # `predict` would say so too, but seconds later
        raise InputError("first principles need a budget, and none came: give --steps or --examples")
    from effbatch.validation.setup import initial_spectrum

    return [initial_spectrum(network, dataset, seed=seed) for seed in range(INITIALISATIONS)]


def _short_runs(
    network: str | None, dataset: str | None, alpha: float, batch: int, steps: int | None, examples: int | None
) -> Refinement:
    """What short real runs say of a network; `_spectra` has checked that network, data set and budget came."""
    if network is None or dataset is None:
        raise InputError("--probe trains a network, and none came: give --network, --dataset and --steps")
    from effbatch.validation.setup import refined_learning_rate

    budget = {"examples": examples or 1} if steps is None else {"steps": steps}
    return refined_learning_rate(network, dataset, alpha, batch, steps_bought(budget, batch))


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

    if prediction.noise["unlearnable"]:
        console.print(Text(_unlearnable(prediction), style="bold"))
    spans = prediction.intervals or {}

    section = _section(console, "Effective batch size: the clean batch with as good a gradient")
    effective, ranges = prediction.effective_batch_size, spans.get("effective_batch_size", {})
    section.add_row(
        _number(effective["signal_to_noise"]),
        f"by signal-to-noise ratio, B/(1+α)²; a limit, see below{_range(ranges.get('signal_to_noise'))}",
    )
    section.add_row(
        _number(effective["clean_count"]),
        f"by counting clean labels, B/(1+α); the folk rule{_range(ranges.get('clean_count'))}",
    )
    section.add_row("?", "measured: needs the gradients of a network")
    console.print(section)

    if prediction.accuracy is not None:
        section = _section(console, "Accuracy to expect at that rate")
        section.add_row(*_accuracy_row(prediction))
        console.print(section)

    rate = "factor" if chosen.value is None else "factor, and rate"
    section = _section(console, f"Learning rate by law: {rate}, exact given the law")
    every = prediction.learning_rate
    for name in sorted((n for n in every if every[n].applies), key=lambda n: (n != chosen.law, n)):
        law = every[name]
        factor = "" if law.factor is None else f"× {_number(law.factor)}\n"
        numbers = (factor + ("" if law.value is None else _number(law.value))).rstrip("\n")
        section.add_row(numbers, _law_text(name, law, chosen=name == chosen.law))
    console.print(section)
    console.print(Text("\nLaws that do not apply here", style="bold"))
    for name in sorted(n for n in every if not every[n].applies):
        console.print(Padding(Text.assemble(name, (f": {every[name].reason}", "dim")), (0, 0, 0, 2)))

    section = _section(console, "What the noise costs")
    section.add_row(
        _number(prediction.restoring_batch_size),
        f"restoring batch, B(1+α)²: has the signal-to-noise ratio of {s.batch_size} clean labels"
        f"{_range(spans.get('restoring_batch_size'))}",
    )
    if prediction.clean_labels_factor is not None:
        section.add_row(
            f"× {_number(prediction.clean_labels_factor)}",
            "clean labels for the same accuracy, 1+α, where label noise is what limits it"
            f"{_range(spans.get('clean_labels_factor'))}",
        )
    ranges = spans.get("labels", {})
    section.add_row(
        f"{labels.loss_floor:.4g} nat",
        f"loss floor (exact): a training loss below it is memorising wrong labels{_range(ranges.get('loss_floor'))}",
    )
    section.add_row(
        f"{100 * labels.noise_rate:.3g} %",
        f"of labels are wrong (exact){_range(ranges.get('noise_rate'), percent=True)}",
    )
    console.print(section)
    console.print()
    console.print(
        Text(
            f"{_EFFECTIVE if prediction.noise['reason'] else ''}"
            "B/(1+α)² and B(1+α)² hold exactly where the network still answers 1/K for every class and its noise scale "
            "is large. What was measured says its n; `effbatch validate` measures more.",
            style="dim",
        )
    )


_EFFECTIVE = (
    "The laws are for uniform noise: α in them is the effective one, from the root-mean-square signal of the labels. "
)


def _unlearnable(prediction: Prediction) -> str:
    """Which classes no amount of data teaches; the rest of the page does not know."""
    classes = prediction.noise["unlearnable"]
    who = f"Class{'es' * (len(classes) > 1)} {', '.join(map(str, classes))} cannot"
    if len(classes) == prediction.setting.num_classes:
        who = "No class can"
    return (
        f"{who} be learned: a false label is at least as likely as the true one, and no learning rate or batch size "
        "changes that."
    )


def _accuracy_row(prediction: Prediction) -> tuple[str, str]:
    accuracy = prediction.accuracy
    assert accuracy is not None  # the caller asked
    if accuracy.value is None:
        return "?", accuracy.reason or ""
    note = "" if accuracy.reason is None else f"; {accuracy.reason}"
    covers = f" over {accuracy.initialisations} initialisations" + " and alpha" * (
        prediction.alpha_interval is not None
    )
    range_ = "" if accuracy.interval is None else _range(accuracy.interval, percent=True) + covers
    return f"{100 * accuracy.value:.3g} %", f"{accuracy.how}{range_}{note}"


def _print_table(console: Console, predictions: Sequence[Prediction]) -> None:
    from rich.table import Table
    from rich.text import Text

    first = predictions[0]
    law, anchored = first.recommended.law, first.recommended.value is not None
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
        text.append(f"rate {limits_text(law.interval, _number)} ({law.covers})\n")
    elif law.factor_interval is not None and law.factor_interval[0] != law.factor_interval[1]:
        text.append(f"× {limits_text(law.factor_interval, _number)} ({law.covers})\n")
    text.append(law.reason, style="dim not bold")
    return text


def _headline(prediction: Prediction) -> str:
    chosen, anchor = prediction.recommended, prediction.anchor
    if anchor is None and chosen.value is None:
        if chosen.factor == 1:
            return "Keep the learning rate best on clean labels at this batch size."
        limits = "" if chosen.factor_interval is None else f" ({limits_text(chosen.factor_interval, _number)})"
        return (
            f"Multiply the learning rate best on clean labels at this batch size by {_number(chosen.factor)}{limits}."
        )
    interval = "" if chosen.interval is None else f" ({limits_text(chosen.interval, _number)})"
    if chosen.factor is None:
        return f"Use learning rate {_number(chosen.value)}{interval}."
    times = f"Use learning rate {_number(chosen.value)}{interval}: {_number(chosen.factor)} times"
    if anchor is None:
        return f"{times} the best on clean labels at this batch size."
    return (
        f"{times} the anchor's {_number(anchor.learning_rate)} at batch size {_number(anchor.batch_size)}, "
        f"α = {_number(anchor.alpha)}."
    )


def _situation(prediction: Prediction) -> str:
    s = prediction.setting
    budget = ""
    if s.steps is not None:
        budget = f", {_number(s.steps)} steps"
    if s.examples is not None:
        budget = f", {_number(s.examples)} examples"
    noise = f"{prediction.noise['kind']} label noise"
    if prediction.noise["kind"] != "uniform":
        degree = "" if prediction.noise["delta"] is None else f"δ = {_number(prediction.noise['delta'])}, "
        noise += f" ({degree}effective α = {_number(prediction.noise['effective_alpha'])})"
    limits = "" if prediction.alpha_interval is None else f" ({limits_text(prediction.alpha_interval, _number)})"
    return (
        f"For α = {_number(s.alpha)}{limits}, B = {_number(s.batch_size)}, {s.num_classes} classes, {noise}, "
        f"{s.optimizer}, {s.schedule} schedule{budget}."
    )


def _sentence(text: str) -> str:
    return text[0].upper() + text[1:] + "."


def _range(interval: Interval | None, *, percent: bool = False) -> str:
    """A clause with the range of a number, empty where it has none."""
    if interval is None:
        return ""
    if percent:
        return "; " + " to ".join("?" if x is None else f"{100 * x:.3g} %" for x in interval)
    return f"; {limits_text(interval, _number)}"


def _number(value: float | None) -> str:
    """Three digits, whole from 1,000 on with separators, powers of ten beyond 10⁹."""
    if value is None:
        return "?"
    return f"{value:,.0f}" if 1000 <= abs(value) < 1e9 else f"{value:.3g}"
