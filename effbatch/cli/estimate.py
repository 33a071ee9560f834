"""`effbatch estimate`: a hand-checked sample, confusion counts or what a model reached -> α, as text or JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import click

from effbatch.audit import (
    METHODS,
    Bound,
    CountsEstimate,
    NoiseEstimate,
    StatedRate,
    after_relabelling,
    alpha_bound_from_accuracy,
    alpha_bound_from_loss,
    alpha_of_stated_rate,
    estimate_from_checks,
    estimate_from_counts,
    estimate_noise,
)
from effbatch.audit.checksfile import read_checks
from effbatch.audit.sizes import read_sizes
from effbatch.audit.stratified import equally_many_checked
from effbatch.audit.tables import read_counts
from effbatch.cli.options import JSON, Name, Share, echo_json
from effbatch.core.errors import InputError
from effbatch.core.jsonable import jsonable
from effbatch.core.pages import Page, page
from effbatch.show import terminal
from effbatch.show.views.audit import bound_page, relabelled_text

_EPILOG = """\b
Examples
  effbatch estimate --checked 200 --wrong 66 --classes 10
  effbatch estimate --counts crosstab.csv
  effbatch estimate --counts counts.csv --sizes 646,30,232
  effbatch estimate --checks checks.csv
  effbatch estimate --noise-rate 0.4 --classes 10 --relabel 0.2
  effbatch estimate --classes 10 --train-loss 1.9 \\
      --holdout-accuracy 0.55
  effbatch estimate --checked 200 --wrong 66 --classes 10 --json \\
      | effbatch predict --from-estimate - --batch 128
"""

Found = NoiseEstimate | CountsEstimate | StatedRate


class _Numbers(click.ParamType):
    """Whole numbers with commas between them."""

    name = "integer"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, ...]:
        try:
            return tuple(int(part) for part in str(value).split(","))
        except ValueError:
            self.fail(f"{value!r} is not a whole number, or several with commas between", param, ctx)


@click.command("estimate", epilog=_EPILOG)
@click.option(
    "--checked",
    type=_Numbers(),
    help="Labels drawn at random and checked by hand; with --counts as shares, in all or per class.",
)
@click.option("--wrong", type=int, help="How many of the checked labels were wrong.")
@click.option("--noise-rate", type=Share(), help="Share of wrong labels (0.4 or 40%), if it is known already.")
@click.option("--classes", type=int, help="Number of classes.  [default: that of a file]")
@click.option("--examples", type=int, help="Size of the data set, to estimate α of this data set only.")
@click.option(
    "--counts",
    type=click.Path(),
    help="K×K counts, CSV or .npy: rows are checked classes, columns given labels; names and sums may stay.",
)
@click.option(
    "--sizes",
    metavar="FILE/N,N,...",
    help="How many of each label the data set has, if --counts holds equally many of each.",
)
@click.option(
    "--random-sample",
    is_flag=True,
    help="The sample of --counts is random, though it holds equally many of each label.",
)
@click.option(
    "--checks", type=click.Path(), help="CSV with one check per row: image, given, checked; images may repeat."
)
@click.option(
    "--relabel", type=Share(), metavar="F", help="Tell also α after this share of the labels is checked and corrected."
)
@click.option("--holdout-accuracy", type=Share(), help="Bound α by the accuracy of a model on held-out noisy labels.")
@click.option("--train-loss", type=float, help="Bound α by the training loss, in nats, on labels not seen before.")
@click.option("--confidence", type=float, default=0.95, show_default=True, help="Confidence level of every interval.")
@click.option(
    "--method",
    type=Name(METHODS),
    default="exact",
    show_default=True,
    help="Limits of the interval: Clopper-Pearson (with --examples, hypergeometric) or Wilson.",
)
@JSON
def command(
    classes: int | None,
    relabel: float | None,
    holdout_accuracy: float | None,
    train_loss: float | None,
    as_json: bool,
    **given: Any,
) -> None:
    """Estimate α, the noisy labels per clean one, of a data set.

    The checked examples must be drawn at random, or so many of each given label, and the check itself be right. α is
    that of uniform noise; counts tell whether the noise is uniform, and which classes it leaves to be learned.
    """
    found, read_as = _found(classes, **given)
    if found is not None:
        classes = found.sample.num_classes if isinstance(found, CountsEstimate) else found.num_classes
    bounds = _bounds(classes, holdout_accuracy=holdout_accuracy, train_loss=train_loss)
    if found is None and not bounds:
        raise InputError(
            "there is nothing to estimate from: give --checked and --wrong, --counts, --checks, --noise-rate, "
            "--holdout-accuracy or --train-loss"
        )
    after = None
    if relabel is not None:
        if found is None or classes is None:
            raise InputError("--relabel needs a noise rate to start from, got none: give --checked and --wrong, say")
        rate = found.sample.noise_rate if isinstance(found, CountsEstimate) else found.noise_rate
        after = after_relabelling(rate, classes, relabel)
    if as_json:
        answer: dict[str, Any] = {"num_classes": classes} if found is None else found.to_dict()
        answer |= {"read_as": read_as} if read_as else {}
        answer |= {"after_relabelling": jsonable(after)} if after else {}
        answer["bounds"] = {name: asdict(bound) for name, bound in bounds.items()}
        echo_json(answer)
        return
    if found is not None:
        shown = page(found)
        said = [part for part in shown.parts if isinstance(part, str)]
        below = [part for part in shown.parts if not isinstance(part, str)]
        read, left = [f"Read as {read_as}."] if read_as else [], [relabelled_text(after)] if after else []
        terminal.echo(Page(shown.title, [*read, *said, *left, *below]))
    for i, (name, implied) in enumerate(bounds.items()):
        if found is not None or i:
            click.echo()
        terminal.echo(bound_page(implied, f"--{name.replace('_', '-')}"))


def _bounds(classes: int | None, *, holdout_accuracy: float | None, train_loss: float | None) -> dict[str, Bound]:
    """What a model's numbers imply for α, by what they are."""
    if classes is None and (holdout_accuracy, train_loss) != (None, None):
        raise InputError("the number of classes is needed, got none: give --classes")
    bounds = {}
    if classes is not None and holdout_accuracy is not None:
        bounds["holdout_accuracy"] = alpha_bound_from_accuracy(holdout_accuracy, classes)
    if classes is not None and train_loss is not None:
        bounds["train_loss"] = alpha_bound_from_loss(train_loss, classes)
    return bounds


def _found(
    classes: int | None,
    *,
    checked: Sequence[int] | None,
    wrong: int | None,
    noise_rate: float | None,
    counts: str | None,
    checks: str | None,
    sizes: str | None,
    random_sample: bool,
    **options: Any,
) -> tuple[Found | None, str | None]:
    """What was estimated, if anything, and what a file was read as."""
    sources = {"--counts": counts, "--checks": checks, "--noise-rate": noise_rate, "--wrong": wrong}
    came = [name for name, value in sources.items() if value is not None]
    if len(came) > 1:
        raise InputError(f"one thing says how many labels are wrong, got {' and '.join(came)}: leave one of them out")
    if counts is None and (sizes is not None or random_sample):
        raise InputError("--sizes and --random-sample say how --counts were drawn, got no counts: give --counts")
    if counts is not None:
        return _from_counts(counts, classes, checked, sizes, random_sample, options)
    if checks is not None:
        if checked is not None or options["examples"] is not None or options["method"] != "exact":
            raise InputError("--checks stand alone, got --checked, --examples or --method too: leave it out")
        file = read_checks(checks, num_classes=classes)
        found = estimate_from_checks(file.checks, class_names=file.names, confidence=options["confidence"])
        return found, file.read_as
    if noise_rate is not None and checked is not None:
        raise InputError("one thing says how many labels are wrong, got --checked and --noise-rate: leave one out")
    if options["examples"] is not None and checked is None:
        raise InputError("--examples needs a sample of them, got none: give --checked and --wrong, or --counts")
    if checked is None and wrong is None and noise_rate is None:
        return None, None
    if classes is None:
        raise InputError("the number of classes is needed, got none: give --classes")
    if noise_rate is not None:
        return alpha_of_stated_rate(noise_rate, classes), None
    if checked is None or wrong is None:
        raise InputError("a sample needs --checked and --wrong, got only one of them: give both")
    if len(checked) > 1:
        raise InputError(f"--checked needs one number beside --wrong, got {len(checked)}: give how many in all")
    return estimate_noise(checked[0], wrong, classes, **options), None


def _from_counts(
    path: str,
    classes: int | None,
    checked: Sequence[int] | None,
    sizes: str | None,
    random_sample: bool,
    options: dict[str, Any],
) -> tuple[CountsEstimate, str]:
    if sizes is not None and random_sample:
        raise InputError(
            "counts are a random sample or equally many of each label, got --random-sample and --sizes: leave one out"
        )
    table = read_counts(path, checked=checked, whole_are_counts=sizes is not None or random_sample)
    K = len(table.counts)
    if classes not in (None, K):
        raise InputError(f"--classes and the counts need to agree, got {classes} and counts of {K}: leave it out")
    each = equally_many_checked(table.counts)
    if each is not None and sizes is None and not random_sample:
        raise InputError(
            f"{each} were checked of every given label: such an audit needs how many of each the data set has "
            f"(--sizes {','.join(['N'] * min(K, 3))}{',...' if K > 3 else ''}), or say --random-sample"
        )
    known = [str(i) for i in range(K)] if table.names is None else table.names
    by_label = None if sizes is None else read_sizes(sizes, known)
    return estimate_from_counts(table.counts, sizes=by_label, class_names=table.names, **options), table.read_as
