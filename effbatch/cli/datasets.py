"""`effbatch datasets`: what there is to train on."""

from __future__ import annotations

import click


@click.command()
def command() -> None:
    """List the data sets: images, shape, classes and source."""
    from effbatch.errors import InputError
    from effbatch.training import datasets

    for name in datasets.names():
        try:
            data = datasets.load(name)
        except InputError as error:
            click.echo(f"{name}: not here\n    {error}")
            continue
        shape = "×".join(str(side) for side in data.image_shape)
        click.echo(
            f"{name}: {len(data.x_train):,} train, {len(data.x_test):,} test, {shape}, {data.num_classes} classes"
        )
        click.echo(f"    {data.source}")
