"""A paragraph -> lines that fit the terminal, every word whole."""

from __future__ import annotations

import click

from effbatch.core.formats import wrapped


def echo(text: str, *, indent: str = "", hanging: str = "") -> None:
    """Print `text` after `indent`, its further lines after `hanging`; a word longer than a line stands out."""
    from rich.console import Console

    click.echo(wrapped(text, Console().width, indent=indent, hanging=hanging))
