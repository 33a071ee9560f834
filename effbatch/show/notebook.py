"""A page -> the escaped HTML that a notebook shows of an answer, one <div> without scripts or styles."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from effbatch.core.figures import Table
from effbatch.core.formats import formatted
from effbatch.core.pages import Code, Heading, Note, Page, Part


def as_html(page: Page) -> str:
    """The page as HTML; what its texts hold of HTML is escaped."""
    return block(heading(page.title), *map(_html, page.parts))


def _html(part: Part) -> str:
    if isinstance(part, Table):
        rows = list(zip(*formatted(part), strict=True))
        return (title(part.caption) if part.caption else "") + table(part.columns, rows)
    if isinstance(part, Heading):
        return title(part.text)
    if isinstance(part, Code):
        return code(part.text)
    if isinstance(part, Note):
        return f"<p><small>{escape(part.text)}</small></p>"
    return sentences([part])


def block(*parts: str) -> str:
    """Parts that are HTML already, in one <div> without scripts or styles."""
    return f"<div>{''.join(parts)}</div>"


def heading(text: str) -> str:
    return f"<p><b>{escape(text)}</b></p>"


def title(text: str) -> str:
    return f"<h4>{escape(text)}</h4>"


def sentences(texts: Sequence[str]) -> str:
    return "".join(f"<p>{escape(text)}</p>" for text in texts)


def code(text: str) -> str:
    return f"<pre>{escape(text)}</pre>"


def table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    head = "".join(f"<th>{escape(cell)}</th>" for cell in headings)
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def interval(value: float | None, limits: Sequence[float | None] | None, form: str = ".3g") -> str:
    """`12.3 (10.1 to 15)`; `?` stands for what cannot be told."""

    def number(x: float | None) -> str:
        return "?" if x is None else format(x, form)

    return number(value) if limits is None else f"{number(value)} ({' to '.join(map(number, limits))})"
