"""Pages as plain data, and `page`: an answer -> its page, which terminals, notebooks and reports show alike.

An answer is data: a frozen dataclass that inherits from `Shown` and knows nothing of pages. What is shown of it stands
in `effbatch/show/views/FOLDER.py`, FOLDER being that of the answer, which is imported when an answer is first shown:

    from effbatch.core.pages import Heading, Page, page
    from effbatch.core.figures import figures

    @page.register
    def _(answer: NoiseEstimate) -> Page:
        return Page(f"α = {estimate_text(answer.alpha)}.", ["A sentence.", Heading("Why"), table])

    @figures.register
    def _(answer: NoiseEstimate) -> list[Figure]: ...

That makes `print(answer)`, its HTML in a notebook, `effbatch.plot(answer)` and, in a command,
`terminal.echo(page(answer))` work. Numbers in sentences are written by `formats.estimate_text`; cells of a `Table` may
be estimates themselves.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import singledispatch

from effbatch.core.dispatch import maker, writer
from effbatch.core.figures import Figure, Table


@dataclass(frozen=True)
class Heading:
    """The title of what follows, up to the next one."""

    text: str


@dataclass(frozen=True)
class Note:
    """A sentence in smaller or paler type: how to read a table, say."""

    text: str


@dataclass(frozen=True)
class Code:
    """Lines that are never broken."""

    text: str


@dataclass(frozen=True)
class Terms:
    """Words, each with what is said of it."""

    of: Mapping[str, object]


Part = str | Heading | Note | Code | Terms | Table | Figure  # a str is a sentence, an item where it begins with "- "


@dataclass(frozen=True)
class Page:
    """The sentence that answers, with the number, its interval and what to do; below it all the rest, in order.

    The caption of a table stands above it, as a heading. A terminal shows the caption of a figure alone.
    """

    title: str
    parts: Sequence[Part] = ()


@singledispatch
def page(answer: object) -> Page:
    """The page of an answer of this package; InputError for anything that has none."""
    return maker(page, answer, "a page")(answer)


class Shown:
    """An answer with a page: `print` writes it as text of 80 columns, a notebook shows it as HTML."""

    def __str__(self) -> str:
        return writer("terminal").as_text(page(self))

    def _repr_html_(self) -> str:
        return writer("notebook").as_html(page(self))
