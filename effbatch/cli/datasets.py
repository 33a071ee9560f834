"""`effbatch datasets`: what there is to train on, where it was found, and how to get what is not here."""

from __future__ import annotations

from typing import Any

import click

from effbatch.cli.options import DATA_DIR, JSON, echo_json
from effbatch.core.figures import Table
from effbatch.core.pages import Heading, Note, Page, Part
from effbatch.show import terminal


@click.command()
@DATA_DIR
@click.option("--all", "everything", is_flag=True, help="Show also sources, licences, and how to get what is not here.")
@JSON
def command(everything: bool, as_json: bool) -> None:
    """List the built-in data sets: images, shape, classes and source; those that are here are read and checked.

    Beside them, wherever a data set is named: a file .npz, or hub:NAME of the Hugging Face hub (docs/data.md).

    \b
    effbatch datasets
    effbatch datasets --data-dir /data --json
    """
    from effbatch.data import datasets

    found = [_look_for(name) for name in datasets.names()]
    if as_json:
        echo_json(found)
        return
    here = sum(data["state"] == "here" for data in found)
    title = f"{here} of {len(found)} built-in data sets are here."
    if not everything:
        table = Table("datasets", "", ("", ""), [(data["name"], data["size"] or data["state"]) for data in found])
        how = Note("Sources, licences, and how to get what is not here: effbatch datasets --all")
        terminal.echo(Page(title, [table, how]))
        return
    parts: list[Part] = []
    for data in found:
        parts += [Heading(f"{data['name']}: {data['size'] or data['state']}"), data["source"] or data["how"]]
    terminal.echo(Page(title, parts))


def _look_for(name: str) -> dict[str, Any]:
    """Name and state of a built-in set; its size and source where it is here, else how to get it."""
    from effbatch.core.errors import InputError
    from effbatch.data import datasets
    from effbatch.data.sources import hub

    answer: dict[str, Any] = {"name": name, "state": "not here", "size": None, "source": None, "how": None}
    try:
        place = datasets.where(name)
        if hub.takes(place):
            return answer | {"state": "not here yet", "how": f"{place} is fetched when it is first asked for"}
        data = datasets.looked_at(name)
    except InputError as error:
        return answer | {"how": str(error)}
    return answer | {"state": "here", "size": str(data.size), "source": data.source}
