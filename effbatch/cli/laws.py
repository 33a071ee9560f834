"""`effbatch laws`: every law with its formula, when it is meant to hold and when not, and its source."""

from __future__ import annotations

import click

from effbatch.cli.options import JSON, echo_json
from effbatch.core.figures import Table
from effbatch.core.pages import Heading, Note, Page, Part
from effbatch.show import terminal

ASK, MORE = "effbatch predict", "When each law holds, and its source"


@click.command()
@click.option("--bibtex", is_flag=True, help="Print the BibTeX entries of the sources instead.")
@click.option("--all", "everything", is_flag=True, help="Show also when each law holds, when not, and its source.")
@JSON
def command(bibtex: bool, everything: bool, as_json: bool) -> None:
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
    title = f"{len(laws)} laws predict the best learning rate; `effbatch predict` shows those that apply."
    if not everything:
        rows = [
            (law["name"], law["formula"].split(", ")[0] if law["asked_by"] == ASK else law["asked_by"]) for law in laws
        ]
        terminal.echo(Page(title, [Table("laws", "", ("law", "formula"), rows), Note(f"{MORE}: effbatch laws --all")]))
        return
    parts: list[Part] = []
    for law in laws:
        how = "" if law["asked_by"] == ASK else f": {law['asked_by']}"
        parts += [Heading(law["name"] + how), law["formula"]]
        parts += [
            f"{word} {law[key]}" for word, key in (("holds", "regime"), ("not", "outside"), ("source", "reference"))
        ]
    terminal.echo(Page(title, parts))


def _laws() -> list[dict[str, str]]:
    from effbatch.advice.law_answers import LINEARISED, MOVING, PROBE
    from effbatch.advice.untrained import REGIME, REGIME_MOVING
    from effbatch.laws import LAWS
    from effbatch.laws.base import outside

    found = [
        {
            "name": law.name,
            "formula": law.formula,
            "regime": law.regime,
            "outside": outside(law),
            "reference": law.reference,
            "asked_by": ASK,
        }
        for law in LAWS.values()
    ]
    for name, options, (formula, reference), regime, no in (
        ("linearised", " --no-training", LINEARISED, REGIME, "for optimizers other than sgd and momentum"),
        ("moving_kernel", " --no-training", MOVING, REGIME_MOVING, "with an anchor, and for runs of over 5,000 steps"),
        (
            "probe",
            "",
            PROBE,
            "real runs of your own network and recipe, about two full runs of work",
            "without training",
        ),
    ):
        facts = {"name": name, "formula": formula, "regime": regime, "outside": no, "reference": reference}
        found.append(facts | {"asked_by": f"effbatch advise{options}"})
    return found
