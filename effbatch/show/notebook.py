"""A page -> the escaped HTML that a notebook shows of an answer, one <div> without scripts or styles."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from effbatch.core.figures import Figure, Table
from effbatch.core.formats import formatted
from effbatch.core.pages import Code, Heading, Note, Page, Part, Terms
from effbatch.show import charts


def as_html(page: Page) -> str:
    """The page as HTML; what its texts hold of HTML is escaped."""
    return f"<div><p><b>{escape(page.title)}</b></p>{''.join(map(_html, page.parts))}</div>"


def _html(part: Part) -> str:
    match part:
        case Table(caption=caption):
            return (f"<h4>{escape(caption)}</h4>" if caption else "") + _table(part)
        case Heading(text):
            return f"<h4>{escape(text)}</h4>"
        case Code(text):
            return f"<pre>{escape(text)}</pre>"
        case Figure():
            return f"<figure>{charts.draw(part, alone=True).svg}</figure>"
        case Terms(said):
            return "".join(f"<p><b>{escape(word)}</b> {escape(str(what))}</p>" for word, what in said.items())
        case Note(text):
            return f"<p><small>{escape(text)}</small></p>"
        case _:
            return f"<p>{escape(part)}</p>"


def _table(table: Table) -> str:
    head = _cells(table.columns, "th")
    body = "".join(f"<tr>{_cells(row, 'td')}</tr>" for row in zip(*formatted(table), strict=True))
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _cells(texts: Sequence[str], tag: str) -> str:
    return "".join(f"<{tag}>{escape(text)}</{tag}>" for text in texts)
