"""An answer -> its figures as a notebook shows them, interactive or as SVG, and as files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from effbatch.advice.prediction import Prediction
from effbatch.core import durable
from effbatch.core.errors import InputError, RunError, hint
from effbatch.core.figures import Figure, figures
from effbatch.show.charts import Drawing, draw, written
from effbatch.show.charts.printed import Width
from effbatch.show.views.advice_figures import figures_along

SUFFIXES = (".svg", ".pdf", ".png", ".csv")
PAPER = (".svg", ".pdf")  # what has a width in a paper
# The one that Jupyter, VS Code and others draw; tests/show/test_plots.py draws the same picture by it as by the newest.
VEGA_LITE = "application/vnd.vegalite.v5+json"
SCHEMA = "https://vega.github.io/schema/vega-lite/v5.json"


def plot(answer: Any) -> Plots:
    """Draw the figures of `answer` with their intervals. A notebook shows them, `.save("rate.svg")` writes one.

    answer  what `predict` (one, or a list at several α or batch sizes), `advise`, `fit` or `measure_moments` returns, a
            `NoiseScaleTracker` after some steps, or a verdict
    Raises InputError for anything else, and for an answer without a number to draw.

    >>> effbatch.plot(effbatch.predict(3, 128)).names
    ['laws']
    """
    if isinstance(answer, list | tuple) and answer and all(isinstance(one, Prediction) for one in answer):
        made = figures_along(answer) if len(answer) > 1 else figures(answer[0])
    else:
        made = figures(answer)
    if not made:
        raise InputError(f"this {type(answer).__name__} has nothing to plot: its grid is too small for a figure")
    return Plots(tuple(map(Plot, made)))


@dataclass(frozen=True)
class Plot:
    """One figure with its caption below, in dark ink on white, whatever page it stands on."""

    figure: Figure

    @cached_property
    def _drawing(self) -> Drawing:
        return draw(self.figure, alone=True)

    def save(self, path: str | Path, *, width: Width | None = None) -> None:
        """Write the figure as .svg, .pdf or .png, or the points it shows as .csv.

        width  "one-column" (85 mm) or "two-columns" (175 mm) of a paper, for .svg and .pdf; with fonts, no caption
        Raises InputError for any other ending or width, RunError if the file cannot be written.
        """
        target = Path(path)
        if target.suffix not in SUFFIXES:
            raise InputError(f"a plot is saved as {', '.join(SUFFIXES)}, got {str(path)!r}: give one of these endings")
        if width is not None and target.suffix not in PAPER:
            raise InputError(f"a width is for {' and '.join(PAPER)}, got {str(path)!r}: leave it out, or save as .pdf")
        content = written(self.figure, target.suffix, width, alone=True)
        try:
            durable.write(target, content)
        except OSError as error:
            raise RunError(
                f"the plot needs to be written to {target} and cannot ({error.strerror}): give a writable folder"
            ) from error

    def __repr__(self) -> str:
        return f"<Plot {self.figure.name}: {self.figure.caption}>"

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> tuple[dict[str, Any], dict[str, Any]]:
        """What a notebook shows: the interactive chart where it can draw one, else the SVG."""
        bundle = {
            VEGA_LITE: {**self._drawing.spec, "$schema": SCHEMA},
            "image/svg+xml": self._drawing.svg,
            "text/plain": repr(self),
        }
        return bundle, {VEGA_LITE: {"embed_options": {"renderer": "svg", "actions": False}}}


@dataclass(frozen=True)
class Plots(Sequence[Plot]):
    """The plots of one answer. A notebook shows them one below the other; `plots["labels"]` is the one of this name."""

    all: tuple[Plot, ...]

    @property
    def names(self) -> list[str]:
        """What can stand between the brackets."""
        return [plot.figure.name for plot in self.all]

    def __len__(self) -> int:
        return len(self.all)

    def __iter__(self) -> Iterator[Plot]:
        return iter(self.all)

    def __getitem__(self, which: Any) -> Any:
        if not isinstance(which, str):
            return self.all[which]
        if which not in self.names:
            raise InputError(f"plot {which!r} is not among these; {hint(which, self.names)}", name=which)
        return self.all[self.names.index(which)]

    def save(self, path: str | Path, *, width: Width | None = None) -> None:
        """Write the only plot, see `Plot.save`; InputError where there are several."""
        if len(self) > 1:
            raise InputError(
                f"a file holds one plot, and these are {len(self)} ({', '.join(self.names)}): save one of them, "
                f'plot(answer)["{self.names[0]}"].save({str(path)!r})'
            )
        self.all[0].save(path, width=width)

    def __repr__(self) -> str:
        return "\n".join(map(repr, self.all))

    def _ipython_display_(self) -> None:
        """Every plot by itself, since one output of a notebook holds one chart."""
        from IPython.display import display

        for plot in self.all:
            display(plot)
