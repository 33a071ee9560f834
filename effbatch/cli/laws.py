"""`effbatch laws`: every law with its formula and source."""

from __future__ import annotations

import click

from effbatch.cli.options import JSON, echo_json


@click.command()
@click.option("--bibtex", is_flag=True, help="Print the BibTeX entries of their sources instead.")
@JSON
def command(bibtex: bool, as_json: bool) -> None:
    """List the laws that predict the best learning rate: formula and reference.

    \b
    effbatch laws
    effbatch laws --bibtex >> references.bib
    """
    from effbatch.laws import LAWS
    from effbatch.prediction.answers import LINEARISED, SHORT_RUNS

    if bibtex:
        click.echo("\n\n".join(dict.fromkeys(law.bibtex for law in LAWS.values())))
        return
    laws = [
        {"name": law.name, "formula": law.formula, "reference": law.reference, "asked_by": "effbatch predict"}
        for law in LAWS.values()
    ]
    for name, options, (formula, reference) in (
        ("linearised", "--network", LINEARISED),
        ("short_runs", "--network ... --probe", SHORT_RUNS),
    ):
        asked_by = f"effbatch predict {options}"
        laws.append({"name": name, "formula": formula, "reference": reference, "asked_by": asked_by})
    if as_json:
        echo_json(laws)
        return
    for law in laws:
        how = "" if law["asked_by"] == "effbatch predict" else f" ({law['asked_by']})"
        click.echo(f"{law['name']}{how}\n    {law['formula']}\n    {law['reference']}")
