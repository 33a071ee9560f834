"""`effbatch fit`: best learning rates, law comparison and data collapse of a cube."""

from __future__ import annotations

import click

from effbatch.cli.options import JSON, echo_json


@click.command()
@click.argument("path", metavar="DIR|CUBE")
@click.option("--name", help="Name the simulation, where the file holds several.")
@click.option("--target", type=float, help="Fit also how the steps to this accuracy collapse on one curve.")
@click.option("--all", "everything", is_flag=True, help="Show every row of every table.")
@JSON
def command(path: str, name: str | None, target: float | None, everything: bool, as_json: bool) -> None:
    """Fit the best learning rate of every setting, and compare the laws on it.

    \b
    effbatch fit out --name learning_rate
    effbatch fit sweep --target 0.85
    effbatch fit out --name learning_rate --json
    """
    from effbatch.fitting import fit
    from effbatch.plan.cube import open_cube
    from effbatch.show import terminal
    from effbatch.show.views.fitting import fit_page

    found = fit(open_cube(path, name), target=target)
    if as_json:
        echo_json(found.to_dict())
    else:
        terminal.echo(fit_page(found, everything=everything))
