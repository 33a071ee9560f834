"""`effbatch advise`: a network, data, what is known of their labels and a recipe -> rate, plateau and accuracy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from effbatch.cli.options import (
    ANCHOR,
    AUDITED,
    BUDGET,
    DATA_ARGUMENT,
    DATA_DIR,
    DEVICE,
    FROM_ESTIMATE,
    JSON,
    NETWORK_ARGUMENT,
    NOISE_KIND,
    READING,
    Name,
    Share,
    anchor_of,
    echo_json,
    noise_of,
    was_given,
)
from effbatch.core.errors import InputError
from effbatch.laws.base import OPTIMIZERS
from effbatch.noise import ORDERS
from effbatch.theory.schedules import SCHEDULES

OF_NOISE = ("alpha", "alpha_interval", "noise_rate", "checked", "wrong", "order")
OF_RECIPE = (
    "optimizer", "momentum", "nesterov", "schedule", "warmup", "weight_decay", "label_smoothing", "clip", "steps",
    "examples", "epochs",
)  # fmt: skip
OF_PROBING = ("training", "effort", "rate", "seed", "device", "out")


class Optimizer(Name):
    """A name, or the function of the user's own."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        return value if ":" in value else super().convert(value, param, ctx)


@click.command("advise")
@NETWORK_ARGUMENT
@DATA_ARGUMENT
@BUDGET
@click.option(
    "--epochs",
    type=float,
    help="Budget in passes over the training examples (without a test part, four fifths of DATA), instead of --steps.",
)
@click.option("--batch", type=int, multiple=True, help="Batch size to probe; repeatable.  [default: 128]")
@click.option(
    "--optimizer",
    type=Optimizer(OPTIMIZERS),
    help="The optimiser you train with, or your own as package.module:function.  [default: sgd]",
)
@click.option("--momentum", type=float, help="Momentum of `--optimizer momentum`.  [default: 0.9]")
@click.option("--nesterov", is_flag=True, default=None, help="Use Nesterov's momentum.")
@click.option(
    "--schedule", type=Name(tuple(SCHEDULES)), help="How the learning rate changes over the run.  [default: constant]"
)
@click.option("--warmup", type=float, help="Warm up linearly over this share of all steps.")
@click.option("--weight-decay", type=float, help="Weight decay, as in PyTorch's optimisers.")
@click.option("--label-smoothing", type=float, help="Label smoothing, as in PyTorch's cross-entropy.")
@click.option("--clip", type=float, help="Clip the gradient to this norm.")
@click.option(
    "--recipe", type=click.Path(), help='Read the recipe from a TOML file: optimizer = "sgd", steps = 500, ...'
)
@click.option(
    "--labels",
    type=Name(["clean", "noisy"]),
    help="Whether the labels of DATA are clean (noise is simulated on top) or noisy already.",
)
@click.option("--alpha", type=float, help="Noisy labels per clean label.")
@click.option("--alpha-interval", type=(float, float), help="Low and high limit of alpha, with or without --alpha.")
@click.option("--noise-rate", type=Share(), help="Share of wrong labels (0.4 or 40%), instead of --alpha.")
@AUDITED
@FROM_ESTIMATE
@click.option("--checked-labels", type=click.Path(), help="CSV of checked training examples: index, right label.")
@NOISE_KIND
@click.option(
    "--order",
    type=Name(ORDERS),
    help="Which false labels of structured noise are likely.  [default: class c is taken for c + 1, c + 2, ...]",
)
@ANCHOR
@click.option("--training/--no-training", default=True, help="Train short real runs, or ask theory and laws only.")
@click.option(
    "--effort",
    type=float,
    help="Full runs that the short runs cost per batch size, on average, from 0.5 to 30; from 10 on none is short: "
    "for wrong labels seen many times.  [default: about 1.6; 2.2 where noisy labels score them; 10 where short ones "
    "may miss and whole ones take less than a minute of a core]",
)
@click.option("--rate", type=float, help="Also estimate what your own learning rate costs.")
@click.option("--out", type=click.Path(file_okay=False), help="Keep finished runs in this folder, and resume from it.")
@click.option(
    "--seed", type=int, default=0, show_default=True, help="Seed of data order, initialisation and simulated noise."
)
@DEVICE
@READING
@DATA_DIR
@click.option("--all", "everything", is_flag=True, help="Show every run, α, the limits and the whole training loop.")
@JSON
def command(network: str, data: str, batch: Sequence[int], everything: bool, as_json: bool, **given: Any) -> None:
    """Advise on the learning rate of NETWORK on DATA for the recipe that you train with.

    Short real runs of that recipe find it; their cost is printed before they start. NETWORK is a built-in name, or
    package.module:function or file.py:function, a function without arguments that returns an nn.Module; this runs its
    code. DATA is a built-in name, an .npz file, a table, a folder of images by class, or hub:NAME. With --labels noisy
    the runs use its labels as they are, with --labels clean noise is simulated on top. Built-in data count
    as clean, but cifar10n-*.

    \b
    effbatch advise mlp1 digits --steps 400 --alpha 6
    effbatch advise my_nets.py:make_net IMAGES --labels noisy \\
        --noise-rate 0.4 --epochs 30 --batch 128 \\
        --optimizer momentum --schedule cosine
    effbatch advise mlp1 digits --steps 400 --no-training
    """
    from effbatch.plan.recipe import Recipe, read_recipe

    recipe = Recipe() if given["recipe"] is None else read_recipe(given["recipe"])
    if was_given("momentum") and (optimizer := given["optimizer"] or recipe.optimizer) != "momentum":
        raise InputError(f"--momentum is for --optimizer momentum, got it with {optimizer}: change one of them")
    from effbatch.advice.advise import advise
    from effbatch.data.datasets import as_dataset
    from effbatch.show import terminal
    from effbatch.show.views.advice import advice_page

    advice = advise(
        network,
        as_dataset(data, **{name: given[name] for name in ("label", "channels", "tokens")}),
        labels=given["labels"],
        noise=noise_of(given, **{name: given[name] for name in OF_NOISE}),
        recipe=recipe,
        batch_sizes=batch,
        anchor=anchor_of(given),
        checked_labels=given["checked_labels"],
        **{name: given[name] for name in (*OF_RECIPE, *OF_PROBING)},
    )
    if as_json:
        echo_json(advice.to_dict())
    else:
        terminal.echo(advice_page(advice, everything=everything))
