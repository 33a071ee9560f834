"""Any text -> Markdown that shows this text: no tags, links, emphasis, mathematics, and one line in one table cell."""

from __future__ import annotations

import re
from collections.abc import Iterable

from markupsafe import Markup

from effbatch.core.formats import known

_SPECIAL = re.compile(
    r"""
    [\\`*$|~]             # escapes, code, emphasis, mathematics, table cells, strike-through
    | <(?=[A-Za-z/!?])    # tags, comments and addresses in angle brackets
    | &(?=\#?\w+;)        # names of characters
    | \](?=[(\[:]) | \[(?=[^]]*\][(\[:])  # links, images and their definitions
    | (?<!\w)_ | _(?!\w)  # emphasis; inside of a word it is a letter
    | ^(?:[#>+-]|\d+(?=[.)]\s))  # headings, quotes and lists
    """,
    flags=re.VERBOSE,
)


def markdown_text(value: object) -> object:
    """`value` as text on one line, every sign that Markdown would read escaped; what is Markup stays as it is."""
    if isinstance(value, Markup):
        return value
    return _SPECIAL.sub(lambda sign: _escaped(sign[0]), " ".join(known(str(value)).split("\n")))


def code_span(value: object) -> Markup:
    """`value` between more backticks than it holds in a row."""
    text = " ".join(str(value).splitlines())
    fence = "`" * (1 + max(map(len, re.findall("`+", text)), default=0))
    return Markup(f"{fence}{text}{fence}" if len(fence) == 1 else f"{fence} {text} {fence}")


def cells(values: Iterable[object]) -> Markup:
    """The cells of a table's row, without the bars at its ends."""
    return Markup(" | ".join(str(markdown_text(value)) for value in values))


def slug(title: str) -> Markup:
    """What a link to a heading is called: letters, digits and hyphens."""
    return Markup(re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-"))


def _escaped(sign: str) -> str:
    if sign[0].isdigit():
        return f"{sign}\u200b"  # a space of no width: 1. is no list
    return {"<": "&lt;", "&": "&amp;"}.get(sign, f"\\{sign}")
