"""A paragraph -> lines that fit the terminal, every word whole."""

from __future__ import annotations

import textwrap

import click


def echo(text: str, *, indent: str = "", hanging: str = "") -> None:
    """Print `text` after `indent`, its further lines after `hanging`; a word longer than a line stands out."""
    from rich.console import Console

    click.echo(wrapped(text, Console().width, indent=indent, hanging=hanging))


def wrapped(text: str, width: int, *, indent: str = "", hanging: str = "") -> str:
    """`text` in lines of at most `width` columns, but for longer words; paths and commands are words."""
    return textwrap.fill(
        text,
        max(width, 1),
        initial_indent=indent,
        subsequent_indent=hanging,
        break_long_words=False,
        break_on_hyphens=False,
    )
