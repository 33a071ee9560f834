"""`effbatch laws`: every law with its formula and source."""

from __future__ import annotations

import click


@click.command()
@click.option("--bibtex", is_flag=True, help="Print the BibTeX entries of their sources instead.")
def command(bibtex: bool) -> None:
    """List the laws that predict the best learning rate: formula and reference."""
    from effbatch.laws import LAWS
    from effbatch.prediction.answers import LINEARISED, SHORT_RUNS

    if bibtex:
        click.echo("\n\n".join(dict.fromkeys(law.bibtex for law in LAWS.values())))
        return
    for law in LAWS.values():
        click.echo(f"{law.name}\n    {law.formula}\n    {law.reference}")
    for name, option, (formula, reference) in (
        ("linearised", "--network", LINEARISED),
        ("short_runs", "--network ... --probe", SHORT_RUNS),
    ):
        click.echo(f"{name} (effbatch predict {option})\n    {formula}\n    {reference}")
