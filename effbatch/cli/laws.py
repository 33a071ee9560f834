"""`effbatch laws`: every law with its formula, when it is meant to hold and when not, and its source."""

from __future__ import annotations

import click

from effbatch.cli import lines
from effbatch.cli.options import JSON, echo_json


@click.command()
@click.option("--bibtex", is_flag=True, help="Print the BibTeX entries of their sources instead.")
@JSON
def command(bibtex: bool, as_json: bool) -> None:
    """List the laws that predict the best learning rate: formula, when it holds, when it does not, reference.

    \b
    effbatch laws
    effbatch laws --json
    effbatch laws --bibtex >> references.bib
    """
    from effbatch.laws import LAWS

    if bibtex:
        click.echo("\n\n".join(dict.fromkeys(law.bibtex for law in LAWS.values())))
        return
    laws = _laws()
    if as_json:
        echo_json(laws)
        return
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False)
    for law in laws:
        how = "" if law["asked_by"] == "effbatch predict" else f"  {law['asked_by']}"
        console.print(Text.assemble((law["name"], "bold"), how))
        for heading, key in (("", "formula"), ("holds", "regime"), ("not", "outside"), ("source", "reference")):
            lines.echo(f"{heading:<8}{law[key]}" if heading else law[key], indent="  ", hanging=" " * 10)


def _laws() -> list[dict[str, str]]:
    from effbatch.advice.first_principles import REGIME
    from effbatch.advice.law_answers import LINEARISED, SHORT_RUNS
    from effbatch.laws import LAWS
    from effbatch.laws.base import outside

    found = [
        {
            "name": law.name,
            "formula": law.formula,
            "regime": law.regime,
            "outside": outside(law),
            "reference": law.reference,
            "asked_by": "effbatch predict",
        }
        for law in LAWS.values()
    ]
    for name, options, (formula, reference), regime, no in (
        ("linearised", "--network", LINEARISED, REGIME, "for optimizers other than sgd and momentum"),
        (
            "short_runs",
            "--network ... --probe",
            SHORT_RUNS,
            "real runs of your own network, so about two full runs of work",
            "for anything but plain sgd at a constant rate and uniform noise",
        ),
    ):
        facts = {"name": name, "formula": formula, "regime": regime, "outside": no, "reference": reference}
        found.append(facts | {"asked_by": f"effbatch predict {options}"})
    return found
