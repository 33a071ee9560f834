"""`effbatch advise`: a network, data, what is known of their labels and a budget -> batch size, rate and a snippet."""

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
    JSON,
    NETWORK_ARGUMENT,
    NOISE_KIND,
    OPTIMIZER,
    READING,
    SCHEDULE,
    Name,
    Share,
    anchor_of,
    echo_json,
    noise_of,
    was_given,
)
from effbatch.core.errors import InputError
from effbatch.noise import ORDERS


@click.command("advise")
@NETWORK_ARGUMENT
@DATA_ARGUMENT
@BUDGET
@click.option(
    "--labels", type=Name(["clean", "noisy"]), help="Of DATA: clean, noise comes on top; noisy, it is in them."
)
@click.option("--alpha", type=float, help="Noisy labels per clean label.")
@click.option("--alpha-interval", type=(float, float), help="Its low and high limit, with or without --alpha.")
@click.option("--noise-rate", type=Share(), help="Share of wrong labels, in place of alpha.")
@AUDITED
@NOISE_KIND
@click.option(
    "--order",
    type=Name(ORDERS),
    help="Of the false labels of structured noise.  [default: class c is taken for c + 1, c + 2, ...]",
)
@click.option("--batch", type=int, multiple=True, help="Batch size to choose from; repeatable.  [default: 8 to 128]")
@OPTIMIZER
@click.option(
    "--momentum",
    type=float,
    default=0.9,
    show_default=True,
    help="Where the optimizer is momentum; Nesterov's too.",
)
@SCHEDULE
@ANCHOR
@click.option("--probe", is_flag=True, help="Also train short real runs, about two full runs of work.")
@READING
@DATA_DIR
@JSON
def command(
    network: str, data: str, labels: str | None, batch: Sequence[int], probe: bool, as_json: bool, **given: Any
) -> None:
    """Advise on batch size and learning rate of NETWORK on DATA at a fixed budget.

    NETWORK is a built-in name, or package.module:function, a function without arguments that returns an nn.Module; this
    runs its code. DATA is a built-in name, an .npz file, a table, a folder of images by class, or hub:NAME. The theory
    takes its labels as right: where they are noisy, it says so. Where nothing is known of alpha, the answer covers 0 to
    9.

    \b
    effbatch advise mlp1 digits --steps 400 --alpha 6
    effbatch advise mlp1 digits --steps 400 --noise-rate 0.4 --probe
    effbatch advise my_pkg.models:make_net my.npz \\
        --examples 50000 --checked 200 --wrong 66
    """
    if was_given("momentum") and given["optimizer"] != "momentum":
        raise InputError(
            f"--momentum is for --optimizer momentum, got it with {given['optimizer']}: change one of them"
        )
    from effbatch.advice.advise import advise
    from effbatch.core.pages import page
    from effbatch.data.datasets import as_dataset
    from effbatch.plan.recipe import Recipe
    from effbatch.show import terminal

    of_noise = ("alpha", "alpha_interval", "noise_rate", "checked", "wrong", "order")
    of_recipe = ("optimizer", "momentum", "schedule", "steps", "examples")
    advice = advise(
        network,
        as_dataset(data, **{name: given[name] for name in ("label", "channels", "tokens")}),
        labels=labels,  # type: ignore[arg-type]
        noise=noise_of(given, **{name: given[name] for name in of_noise}),
        recipe=Recipe(**{name: given[name] for name in of_recipe}),
        batch_sizes=batch,
        anchor=anchor_of(given),
        probe=probe,
    )
    if as_json:
        echo_json(advice.to_dict())
    else:
        terminal.echo(page(advice))
