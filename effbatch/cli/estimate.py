"""`effbatch estimate`: a hand-checked sample, confusion counts or what a model reached -> α, as text or JSON."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import click

from effbatch.audit import (
    METHODS,
    Bound,
    NoiseEstimate,
    alpha_bound_from_accuracy,
    alpha_bound_from_loss,
    estimate_noise,
)
from effbatch.audit.confusion import CountsEstimate, estimate_from_counts
from effbatch.cli.options import JSON, Name, echo_json
from effbatch.core.errors import InputError
from effbatch.core.pages import page
from effbatch.noise.matrixfile import read_matrix
from effbatch.show import terminal
from effbatch.show.views.audit import bound_page

_EPILOG = """\b
Examples
  effbatch estimate --checked 200 --wrong 66 --classes 10
  effbatch estimate --counts counts.csv
  effbatch estimate --classes 10 --train-loss 1.9 \\
      --holdout-accuracy 0.55
  effbatch estimate --checked 200 --wrong 66 --classes 10 --json \\
      | effbatch predict --from-estimate - --batch 128
"""


@click.command("estimate", epilog=_EPILOG)
@click.option("--checked", type=int, help="Labels checked by hand, drawn at random ...")
@click.option("--wrong", type=int, help="... and how many of them were wrong.")
@click.option("--classes", type=int, help="Number of classes; with --counts, that of the file.")
@click.option("--examples", type=int, help="Size of the data set, if the estimate is for this data set alone.")
@click.option("--counts", type=click.Path(), help="K×K counts, CSV or .npy: rows checked class, columns given label.")
@click.option("--holdout-accuracy", type=float, help="Accuracy on held-out noisy labels; bounds α from above.")
@click.option("--train-loss", type=float, help="Training loss on labels not seen before, in nats; bounds α from above.")
@click.option("--confidence", type=float, default=0.95, show_default=True, help="Of every interval.")
@click.option(
    "--method",
    type=Name(METHODS),
    default="exact",
    show_default=True,
    help="Clopper-Pearson (with --examples: exact hypergeometric) limits, or Wilson's.",
)
@JSON
def command(
    checked: int | None,
    wrong: int | None,
    classes: int | None,
    examples: int | None,
    counts: str | None,
    holdout_accuracy: float | None,
    train_loss: float | None,
    confidence: float,
    method: str,
    as_json: bool,
) -> None:
    """Estimate α, the noisy labels per clean one, of a data set.

    The checked examples must be drawn at random, and the check itself be right. α is that of uniform noise; counts
    tell whether the noise is uniform, and which classes it leaves to be learned.
    """
    options: dict[str, Any] = {"examples": examples, "confidence": confidence, "method": method}
    found: NoiseEstimate | CountsEstimate | None = None
    if counts is not None:
        if checked is not None or wrong is not None:
            raise InputError("counts say how many were checked and wrong; --checked or --wrong came too: leave it out")
        found = estimate_from_counts(read_matrix(counts), **options)
        if classes not in (None, len(found.counts)):
            raise InputError(f"--classes {classes} came with counts of {len(found.counts)} classes: leave it out")
        classes = len(found.counts)
    elif classes is None:
        raise InputError("the number of classes is needed and did not come: give --classes")
    elif checked is not None and wrong is not None:
        found = estimate_noise(checked, wrong, classes, **options)
    elif checked is not None or wrong is not None:
        raise InputError("a sample needs --checked and --wrong; only one of them came: give both")
    elif examples is not None:
        raise InputError("--examples came without a sample of them: give --checked and --wrong, or --counts")

    bounds: dict[str, Bound] = {}
    if holdout_accuracy is not None:
        bounds["holdout_accuracy"] = alpha_bound_from_accuracy(holdout_accuracy, classes)
    if train_loss is not None:
        bounds["train_loss"] = alpha_bound_from_loss(train_loss, classes)
    if found is None and not bounds:
        raise InputError(
            "nothing to estimate from came: give --checked and --wrong, --counts, --holdout-accuracy or --train-loss"
        )
    if as_json:
        answer: dict[str, Any] = {"num_classes": classes} if found is None else found.to_dict()
        answer["bounds"] = {name: asdict(bound) for name, bound in bounds.items()}
        echo_json(answer)
        return
    if found is not None:
        terminal.echo(page(found))
    for name, bound in bounds.items():
        click.echo()
        terminal.echo(bound_page(bound, f"--{name.replace('_', '-')}"))
