"""Options and arguments that several commands share."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import CompletionItem

from effbatch.core.errors import InputError, hint
from effbatch.laws.base import OPTIMIZERS
from effbatch.noise import NOISE_KINDS
from effbatch.theory.schedules import SCHEDULES

if TYPE_CHECKING:
    from effbatch.advice.noise import Noise
    from effbatch.advice.question import Anchor
    from effbatch.plan.spec import Spec


class Name(click.Choice):
    """One of a few names, in upper or lower case; a misspelt one gets the nearest."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        alike = [choice for choice in self.choices if choice.casefold() == str(value).casefold()]
        if not alike:
            self.fail(f"{value!r} is not known; {hint(value, self.choices)}", param, ctx)
        return alike[0]

    def get_missing_message(self, param: click.Parameter, ctx: click.Context | None) -> str:
        return f"Choose from: {', '.join(self.choices)}."


class Share(click.ParamType):
    """A share from 0 to 1, or a percentage with its sign."""

    name = "float"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        text = str(value).strip()
        try:
            return float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
        except ValueError:
            self.fail(f"{text!r} is no share: write 0.4 or 40%", param, ctx)


def _use_data_dir(_: click.Context, __: click.Parameter, folder: str | None) -> None:
    """The variable reaches every place that loads data, worker processes too."""
    if folder is not None:
        from effbatch.data.sources import VARIABLE

        os.environ[VARIABLE] = folder


def _completed(names: Callable[[], Iterable[str]]) -> Callable[..., list[CompletionItem]]:
    """Completes the names that fit, or a file where none does; they are looked up only when a shell asks."""

    def complete(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        fitting = [CompletionItem(name) for name in names() if name.startswith(incomplete)]
        return fitting or [CompletionItem(incomplete, type="file")]

    return complete


def _networks() -> Iterable[str]:
    from effbatch.networks.zoo import NETWORKS

    return NETWORKS


def _datasets() -> Iterable[str]:
    from effbatch.data import datasets

    return datasets.names()


def built_in_simulations() -> dict[str, Path]:
    """Name -> spec file."""
    from effbatch.core.resources import bundled

    return {path.stem: path for path in sorted(bundled("simulations").glob("*.toml"))}


NETWORK_NAMES, DATA_NAMES, SIMULATION_NAMES = map(_completed, (_networks, _datasets, built_in_simulations))

NETWORK_ARGUMENT = click.argument("network", shell_complete=NETWORK_NAMES)
DATA_ARGUMENT = click.argument("data", shell_complete=DATA_NAMES)
OPTIMIZER = click.option(
    "--optimizer", type=Name(OPTIMIZERS), default="sgd", show_default=True, help="The optimiser you train with."
)
DATA_DIR = click.option(
    "--data-dir",
    type=click.Path(exists=True, file_okay=False, resolve_path=True),
    callback=_use_data_dir,
    expose_value=False,
    help="Read data sets from here, one folder each.  [default: $EFFBATCH_DATA_DIR, else ~/.cache/effbatch/data]",
)
QUICK = click.option(
    "--quick", is_flag=True, help="Run the small grid of each simulation, in minutes on two CPU cores."
)
DATASET = click.option(
    "--dataset",
    metavar="DATA",
    shell_complete=DATA_NAMES,
    help="Use these images instead of the simulation's own: a name, .npz or hub:NAME.",
)
DEVICE = click.option(
    "--device",
    type=Name(["auto", "cpu", "cuda"]),
    default="auto",
    show_default=True,
    help="The device to compute on.",
)
SCHEDULER = click.option("--scheduler", metavar="ADDRESS", help="Train on the workers of a Dask scheduler: tcp://…")
WORKERS = click.option(
    "--workers", type=click.IntRange(min=1), metavar="N", help="Train in N processes of this machine."
)


def _stacked(*options: Callable[..., Any]) -> Callable[..., Any]:
    """Several options as one decorator, in the order of the help."""

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


READING = _stacked(
    click.option("--label", metavar="COLUMN", help="Read the labels from this column of a table."),
    click.option(
        "--channels",
        type=Name(["first", "last"]),
        help="Say where the channels are if the shape of the images does not tell.",
    ),
    click.option(
        "--tokens/--features", default=None, help="Read whole numbers (n, d) as sequences of tokens, or as features."
    ),
)
BUDGET = _stacked(
    click.option("--steps", type=int, help="Budget in optimiser steps."),
    click.option("--examples", type=int, help="Budget in labelled examples processed, instead of --steps."),
)
SCHEDULE = click.option(
    "--schedule",
    type=Name(tuple(SCHEDULES)),
    default="constant",
    show_default=True,
    help="How the learning rate changes over the run.",
)
NOISE_KIND = _stacked(
    click.option(
        "--noise",
        type=Name(NOISE_KINDS),
        default="uniform",
        show_default=True,
        help="The kind of label noise; structured means class-conditional.",
    ),
    click.option(
        "--delta",
        type=float,
        help="Degree of structured noise, from 0 (uniform) to 1 (one false label is as likely as the true one).",
    ),
    click.option(
        "--matrix",
        type=click.Path(),
        help="CSV or .npy with the probabilities of noisy labels: rows are true classes, columns labels.",
    ),
    click.option(
        "--transition",
        type=click.Path(),
        help="CSV or .npy with the probabilities of all given labels, right and wrong; replaces --alpha.",
    ),
)
AUDITED = _stacked(
    click.option(
        "--checked", type=int, help="Estimate alpha from this many labels, drawn at random and checked by hand."
    ),
    click.option("--wrong", type=int, help="How many of the checked labels were wrong."),
    click.option(
        "--counts",
        type=click.Path(),
        help="K×K counts of checked labels: rows are checked classes, columns given labels.",
    ),
)
FROM_ESTIMATE = click.option(
    "--from-estimate", type=click.File(), help="Alpha, its interval and classes from `estimate --json`; - reads stdin."
)
ANCHOR = _stacked(
    click.option("--anchor-lr", type=float, help="A learning rate that you have tuned."),
    click.option("--anchor-batch", type=int, help="The batch size at which you tuned --anchor-lr."),
    click.option(
        "--anchor-alpha", type=float, help="The alpha at which you tuned --anchor-lr.  [default: 0, clean labels]"
    ),
)
JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")


def noise_of(given: dict[str, Any], **known: Any) -> Noise:
    """The noise that NOISE_KIND, AUDITED and FROM_ESTIMATE took, their files read, with what else is known of it."""
    from effbatch.advice.noise import Noise
    from effbatch.audit.stratified import equally_many_checked
    from effbatch.audit.tables import read_counts, read_named_matrix

    for name in ("matrix", "transition"):
        if (path := given.get(name)) is not None:
            known[name], names = read_named_matrix(path)
            known |= {} if names is None else {"class_names": names}
    if (path := given.get("counts")) is not None:
        table = read_counts(path, whole_are_counts=True)
        known |= {"counts": table.counts, "class_names": table.names}
        if (each := equally_many_checked(known["counts"])) is not None:
            raise InputError(
                f"counts need a random sample, got {each} checked of every given label: let `effbatch estimate "
                "--counts ... --sizes N,N,... --json` weight them, and pipe its answer into --from-estimate -"
            )
    if (file := given["from_estimate"]) is not None:
        try:
            known["estimate"] = json.load(file) or {}
        except (ValueError, RecursionError) as error:
            raise InputError(
                f"--from-estimate needs the JSON of an estimate, got other text from {file.name}: add --json to "
                "`effbatch estimate`"
            ) from error
    noise = Noise(given["noise"], delta=given["delta"], **known)
    if noise.handed is not None and noise.handed.remark:
        click.echo(f"effbatch: {noise.handed.remark}", err=True)
    return noise


def anchor_of(given: dict[str, Any]) -> Anchor | None:
    """The anchor that ANCHOR took, None where none came."""
    from effbatch.advice.question import Anchor

    rate, batch, alpha = given["anchor_lr"], given["anchor_batch"], given["anchor_alpha"]
    options = {"--anchor-lr": rate, "--anchor-batch": batch, "--anchor-alpha": alpha}
    came = ", ".join(option for option, value in options.items() if value is not None)
    if not came:
        return None
    if rate is None or batch is None:
        raise InputError(f"an anchor needs --anchor-lr and --anchor-batch, got only {came}: give both, or no anchor")
    return Anchor(rate, batch, 0.0 if alpha is None else alpha)


def was_given(parameter: str) -> bool:
    """Whether an option of this command was written down, and not left at its default."""
    return click.get_current_context().get_parameter_source(parameter) is click.core.ParameterSource.COMMANDLINE


def echo_json(answer: Any) -> None:
    """Print an answer as JSON: numbers or null, never NaN."""
    click.echo(json.dumps(answer, indent=2, ensure_ascii=False, allow_nan=False))


def specs_named(names: Sequence[str], *, quick: bool, dataset: str | None = None) -> list[Spec]:
    """Specs by path, or by the name of a built-in simulation; on `dataset` in place of their own where it is given."""
    from effbatch.core.errors import SpecError
    from effbatch.plan.spec import load

    built_in = built_in_simulations()
    specs = []
    for name in names:
        if name in built_in:
            path = built_in[name]
        elif name.endswith(".toml") or Path(name).is_file():
            path = Path(name)
        else:
            raise SpecError(f"simulation {name!r} is no TOML file and not known; {hint(name, built_in)}", name=name)
        specs.append(load(path, quick=quick, dataset=dataset))
    found = [spec.name for spec in specs]
    if twice := sorted({name for name in found if found.count(name) > 1}):
        raise SpecError(
            f"every simulation needs its own name, got {', '.join(twice)} twice: leave one out, or rename it"
        )
    return specs
