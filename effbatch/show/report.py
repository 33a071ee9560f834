"""What was asked, found and left open, as chapters of plain data -> their figures, tables and table of verdicts.

`rendering` writes a report as one offline HTML file, as a PDF or as Markdown.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, TypeVar

from effbatch.claims import Verdict
from effbatch.core.estimate import Estimate
from effbatch.core.figures import Figure, Number, Table
from effbatch.core.formats import number_text, p_text
from effbatch.core.pages import Code, Heading, Page, Part
from effbatch.show import charts

Named = TypeVar("Named", Figure, Table, Code)
VERDICTS, SHORT = "verdicts", "verdicts_in_short"  # the table of the first page
MANY = 4  # claims, above which the first page shows the short one


@dataclass(frozen=True, kw_only=True)
class Chapter(Page):
    """A page of the report, its first sentence in larger type.

    name        its anchor; CHAPTER.NAME is a table of it that others have, too
    kind        what it looks like; claims are numbered, the appendix comes last
    further     what stands in the appendix in small type: long tables, how to run it again
    verdict     of a claim, None where nothing was judged. With it go into the table of verdicts, on the first page:
    headline    what must come out, in a few words
    result      what the rule looked at
    p_value     corrected for all claims of the report; None where there was no test
    references  BibTeX entries, or plain text
    """

    name: str
    kind: Literal["front", "claim", "recommendation", "scorecard", "appendix"] = "claim"
    further: Sequence[Part] = ()
    verdict: Verdict | None = None
    headline: str = ""
    result: Number | None = None
    p_value: float | None = None
    references: Sequence[str] = ()

    @property
    def anchor(self) -> str:
        """What a link to it says."""
        return f"claim-{self.name}" if self.kind == "claim" else self.name

    def all(self, kind: type[Named]) -> list[Named]:
        """Its figures, its tables, or its lines of code."""
        return [part for part in (*self.parts, *self.further) if isinstance(part, kind)]


@dataclass(frozen=True, kw_only=True)
class Report:
    """The whole document: a question, what answers it on one page, and chapters.

    findings   what was found, three to five sentences in plain words
    message    the one figure that carries it
    advice     what to do, a few sentences
    """

    title: str
    asked: str
    created: str
    chapters: Sequence[Chapter]
    findings: Sequence[str] = ()
    message: Figure | None = None
    advice: Sequence[str] = ()

    def _all(self, kind: type[Named]) -> Iterator[Named]:
        return (part for chapter in (self.front, *self.chapters) for part in chapter.all(kind))

    @cached_property
    def front(self) -> Chapter:
        """The first page: question, findings, verdicts, one figure, advice."""
        parts: list[Part] = [self.asked, *(f"- {finding}" for finding in self.findings)]
        told, many = self._verdicts_told(), len(self.judged) > MANY
        parts += [self._in_short() if many else told] if self.judged else []
        parts += [self.message] if self.message is not None else []
        parts += [Heading("What to do"), *(f"- {sentence}" for sentence in self.advice)] if self.advice else []
        return Chapter(self.title, parts, name="front", kind="front", further=[told] * many)

    def _verdicts_told(self) -> Table:
        """The table of verdicts as the first page shows it."""
        columns = ("claim", "predicted", "measured", "p", "verdict")
        rows = []
        for one in self.judged:
            measured = f"{one.result.label}: {number_text(one.result)}" if one.result else "cannot tell"
            rows.append([one.title, one.headline, measured, p_text(one.p_value), str(one.verdict)])
        caption = (
            f"{self.counts} p: two-sided, of the threshold of the rule, corrected for all claims of this report "
            "(Holm); from 0.05 on, undecided."
        )
        return Table(VERDICTS, caption, columns, rows)

    def _in_short(self) -> Table:
        """A line for each verdict, where there are many."""
        rows = [
            [one.title, number_text(one.result) if one.result else "cannot tell", one.verdict] for one in self.judged
        ]
        return Table(SHORT, self.counts, ("claim", "measured", "verdict"), rows)

    @property
    def claims(self) -> list[Chapter]:
        """The chapters that are numbered."""
        return [chapter for chapter in self.chapters if chapter.kind == "claim"]

    @property
    def judged(self) -> list[Chapter]:
        """Those with a verdict."""
        return [chapter for chapter in self.claims if chapter.verdict is not None]

    @property
    def figures(self) -> dict[str, Figure]:
        """Every figure by its name."""
        return {figure.name: figure for figure in self._all(Figure)}

    @cached_property
    def drawings(self) -> dict[str, charts.Drawing]:
        """Every figure as drawn, by its name: HTML and PDF show the same."""
        return {name: charts.draw(figure) for name, figure in self.figures.items()}

    @property
    def tables(self) -> dict[str, Table]:
        """Every table by its name; CHAPTER.NAME where several claims have one of that name, and for their numbers."""
        verdicts = {VERDICTS: self.verdicts_table} if self.judged else {}
        times = Counter(table.name for table in self._all(Table))
        return verdicts | {
            f"{chapter.name}.{table.name}" if times[table.name] > 1 or table.name == "numbers" else table.name: table
            for chapter in self.chapters
            for table in chapter.all(Table)
        }

    @property
    def verdicts_table(self) -> Table:
        """Claim, prediction, what was measured, p and verdict, one row per claim."""
        columns = ("claim", "predicted", "measured", "value", "low", "high", "n", "p", "verdict")
        rows: list[list[Any]] = []
        for chapter in self.judged:
            first = chapter.result or Number("", Estimate(None))
            numbers = [getattr(first.estimate, name) for name in ("value", "low", "high", "n")]
            rows.append([chapter.title, chapter.headline, first.label, *numbers, chapter.p_value, chapter.verdict])
        return Table(VERDICTS, self.counts, columns, rows)

    @property
    def counts(self) -> str:
        """How many claims ended how, in a sentence."""
        ended = Counter(chapter.verdict for chapter in self.judged)
        told = ", ".join(f"{ended[verdict]} {verdict}" for verdict in Verdict)
        return f"Of {len(self.judged)} claim{'s' * (len(self.judged) != 1)}: {told}."

    @property
    def references(self) -> list[str]:
        """Sources of all chapters, each once, in order of first use."""
        return list(dict.fromkeys(reference for chapter in self.chapters for reference in chapter.references))
