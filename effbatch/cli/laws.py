"""`effbatch laws`: every law with its formula, when it is meant to hold and when not, and its source."""

from __future__ import annotations

import click

from effbatch.cli.options import JSON, echo_json
from effbatch.core.pages import Heading, Page, Part
from effbatch.show import terminal


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
    parts: list[Part] = []
    for law in laws:
        how = "" if law["asked_by"] == "effbatch predict" else f": {law['asked_by']}"
        parts += [Heading(law["name"] + how), law["formula"]]
        parts += [
            f"{word} {law[key]}" for word, key in (("holds", "regime"), ("not", "outside"), ("source", "reference"))
        ]
    terminal.echo(Page(f"{len(laws)} laws that predict the best learning rate", parts))


def _laws() -> list[dict[str, str]]:
    from effbatch.advice.law_answers import LINEARISED, PROBE
    from effbatch.advice.untrained import REGIME
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
        ("linearised", " --no-training", LINEARISED, REGIME, "for optimizers other than sgd and momentum"),
        (
            "probe",
            "",
            PROBE,
            "real runs of your own network and recipe, about 1.5 full runs of work",
            "without training",
        ),
    ):
        facts = {"name": name, "formula": formula, "regime": regime, "outside": no, "reference": reference}
        found.append(facts | {"asked_by": f"effbatch advise{options}"})
    return found
