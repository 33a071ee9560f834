"""`effbatch advise`: a network, data, what is known of α and a budget -> batch size, learning rate and a snippet."""

from __future__ import annotations

from collections.abc import Sequence

import click

from effbatch.cli.options import DATA_ARGUMENT, DATA_DIR, JSON, NETWORK_ARGUMENT, OPTIMIZER, echo_json


@click.command("advise")
@NETWORK_ARGUMENT
@DATA_ARGUMENT
@click.option("--steps", type=int, help="Optimiser steps that may be made ...")
@click.option("--examples", type=int, help="... or labelled copies that may be processed.")
@click.option("--alpha", type=float, help="Noisy labels per clean label.")
@click.option("--alpha-interval", type=(float, float), help="Its low and high limit, with or without --alpha.")
@click.option("--checked", type=int, help="In place of alpha: labels checked by hand, drawn at random ...")
@click.option("--wrong", type=int, help="... and how many of them were wrong.")
@click.option("--batch", type=int, multiple=True, help="Batch size to choose from; repeatable.  [default: 8 to 128]")
@OPTIMIZER
@click.option("--probe", is_flag=True, help="Also train short real runs, about two full runs of work.")
@DATA_DIR
@JSON
def command(
    network: str,
    data: str,
    steps: int | None,
    examples: int | None,
    alpha: float | None,
    alpha_interval: tuple[float, float] | None,
    checked: int | None,
    wrong: int | None,
    batch: Sequence[int],
    optimizer: str,
    probe: bool,
    as_json: bool,
) -> None:
    """Advise on batch size and learning rate of NETWORK on DATA at a fixed budget.

    NETWORK is a built-in name, or package.module:function, a function without arguments that returns an nn.Module; this
    runs its code. DATA is a built-in name, an .npz file, a folder of images by class, or hub:NAME; its labels should be
    right ones, noise comes on top. Where nothing is known of alpha, the answer covers alpha from 0 to 9.

    \b
    effbatch advise mlp1 digits --steps 400 --alpha 6
    effbatch advise my_pkg.models:make_net my.npz \\
        --examples 50000 --checked 200 --wrong 66
    """
    from effbatch.advice.advise import advise

    advice = advise(
        network,
        data,
        alpha=alpha,
        alpha_interval=alpha_interval,
        checked=checked,
        wrong=wrong,
        steps=steps,
        examples=examples,
        batch_sizes=batch,
        optimizer=optimizer,
        probe=probe,
    )
    if as_json:
        echo_json(advice.to_dict())
        return
    from rich.console import Console

    from effbatch.advice.page import WIDTH, as_text

    click.echo(as_text(advice, min(WIDTH, Console().width)))
