"""`effbatch datasets`: what there is to train on, where it was found, and how to get what is not here."""

from __future__ import annotations

import click

from effbatch.cli.options import DATA_DIR


@click.command()
@DATA_DIR
def command() -> None:
    """List the built-in data sets: images, shape, classes and source; those that are here are read and checked.

    Beside them, wherever a data set is named: a file .npz, or hub:NAME of the Hugging Face hub (docs/data.md).
    """
    from effbatch.errors import InputError
    from effbatch.training import datasets

    for name in datasets.names():
        try:
            place = datasets.where(name)
            if datasets.is_fetched(place):
                click.echo(f"{name}: not here yet\n    {place} is fetched when it is first asked for")
                continue
            data = datasets.read(name)
        except InputError as error:
            click.echo(f"{name}: not here\n    {error}")
            continue
        click.echo(f"{name}: {data.size}\n    {data.source}")
