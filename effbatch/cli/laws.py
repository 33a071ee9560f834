"""`effbatch laws`: every law with its formula and source."""

from __future__ import annotations

import click


@click.command()
@click.option("--bibtex", is_flag=True, help="Print the BibTeX entries of their sources instead.")
def command(bibtex: bool) -> None:
    """List the laws that predict the best learning rate: formula and reference."""
    from effbatch.laws import LAWS
    from effbatch.prediction.answers import LINEARISED

    if bibtex:
        click.echo("\n\n".join(dict.fromkeys(law.bibtex for law in LAWS.values())))
        return
    for law in LAWS.values():
        click.echo(f"{law.name}\n    {law.formula}\n    {law.reference}")
    formula, reference = LINEARISED
    click.echo(f"linearised (with a network: effbatch predict --network)\n    {formula}\n    {reference}")
