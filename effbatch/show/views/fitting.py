"""What a cube says about learning rates -> its page and figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from effbatch.core.estimate import Estimate
from effbatch.core.figures import Cell, Figure, Table, figures
from effbatch.core.formats import estimate_text
from effbatch.core.pages import Heading, Note, Page, Part, page
from effbatch.fitting import Fit, FitOutcome
from effbatch.fitting.figures import accuracy_map, best_rates, steps_collapsed
from effbatch.plan.cube import place_text
from effbatch.plan.words import list_in_words
from effbatch.show.terminal import on_a_screen

BASES = {"alpha": "1 + α", "batch_size": "B"}  # what the terms of a power law are powers of


@page.register
def fit_page(found: Fit, *, everything: bool = True) -> Page:
    """Best rates, the exponents they follow, the laws beside them, and the collapse of the steps to a target.

    everything  every row; else as many of each table as fit on a screen
    """
    said = found.to_dict()
    if not everything and said["collapse"]:
        further = {sentence for one in found.collapses.values() for sentence in one.sentences[2:]}  # of another fit
        said["collapse"] = [sentence for sentence in said["collapse"] if sentence not in further]
    longest = max(len(said[key]) for key in ("best_learning_rates", "exponents", "laws"))
    if everything:
        return _fit(said, found, longest)
    return on_a_screen(lambda rows: _fit(said, found, rows), longest)


def _fit(said: Mapping[str, Any], found: Fit, most: int) -> Page:
    rates, laws = said["best_learning_rates"], said["laws"]
    told = [row for row in rates if row["best_learning_rate"] is not None]
    inside = f"{len(told)} of {len(rates)} settings have their best learning rate inside the grid."
    title = f"{inside} Widen the grid." if not told else inside
    parts: list[Part] = []
    if laws:
        off = estimate_text(_estimate(laws[0], "median_error"), "powers of two")
        title = f"Best on unseen cells: law {laws[0]['law']}, median error {off}."
        parts.append(inside)
    parts += [*_laws(laws, most), *_exponents(said["exponents"], most), *_rates(rates, most)]
    if found.steps is not None:
        target = found.steps.attrs["target"]
        parts.append(Heading(f"Steps to an accuracy of {target:g}: collapse on B/(1+α)^δ (95 % intervals)"))
        parts += said["collapse"]
    return Page(title, parts)


def _some(title: str, rows: Sequence[Any], most: int) -> str:
    """The title of a table, and how many of its rows are left out."""
    return title if len(rows) <= most else f"{title}; {most} of {len(rows)} (--all)"


def _rates(rates: Sequence[Mapping[str, Any]], most: int) -> list[Part]:
    dims = _dims(rates, {"best_learning_rate", "low", "high", "best_accuracy", "n", "outcome"})
    rows = [(*_place(row, dims), _best(row), row["best_accuracy"], row["n"]) for row in rates]
    headings = (*map(list_in_words, dims), "best rate", "accuracy", "n")
    title = _some("Best learning rate [95 % interval]; n seeds", rows, most)
    missing = dict.fromkeys(row["outcome"] for row in rates if row["best_learning_rate"] is None)
    return [
        Table("rates", title, headings, rows[:most], (*[""] * len(dims), "", ".1%")),
        *(f"{_spaced(outcome)}: the setting {FitOutcome[outcome.upper()].sentence}" for outcome in missing),
    ]


def _best(row: Mapping[str, Any]) -> Cell:
    if row["best_learning_rate"] is None:
        return f"cannot tell ({_spaced(row['outcome'])})"
    return _estimate(row, "best_learning_rate")


def _exponents(powers: Sequence[Mapping[str, Any]], most: int) -> list[Part]:
    dims = _dims(powers, {"exponent", "low", "high", "n"})
    rows = [(*_exponent_of(row, dims), row["n"]) for row in powers]
    title = _some("Exponents of the best rate [95 % interval]; n cells", rows, most)
    return [Table("exponents", title, (*map(list_in_words, dims), "exponent", "n"), rows[:most])]


def _exponent_of(row: Mapping[str, Any], dims: Sequence[str]) -> tuple[Cell, ...]:
    """Where a row stands, of what the exponent is, and the exponent, which may as well be 0."""
    told = estimate_text(_estimate(row, "exponent"), n=False, difference=True)
    return *_place({**row, "term": BASES[row["term"]]}, dims), told


def _laws(laws: Sequence[Mapping[str, Any]], most: int) -> list[Part]:
    if not laws:
        return []
    numbers = ("quantile90", "regret", "regret95", "n")
    rows = [
        (row["law"], _estimate(row, "median_error"), *(row[key] for key in numbers), row["how"].split()[0])
        for row in laws
    ]
    headings = ("law", "median error", "90th", "lost", "95th", "n", "")
    forms = ("", "", ".2f", ".1f", ".1f")
    return [
        Table("laws", _some("Laws on n cells that they have not seen", rows, most), headings, rows[:most], forms),
        Note(
            "Error in powers of two, accuracy lost in points. anchored: tuned at one other cell; fitted: to all others."
        ),
    ]


def _dims(rows: Sequence[Mapping[str, Any]], numbers: set[str]) -> list[str]:
    """The keys that say where a row stands."""
    return [key for key in rows[0] if key not in numbers] if rows else []


def _place(row: Mapping[str, Any], dims: Sequence[str]) -> list[str]:
    return [place_text(row[dim]) for dim in dims]


def _estimate(row: Mapping[str, Any], key: str) -> Estimate:
    return Estimate(row[key], row["low"], row["high"], n=row["n"], level=0.95)


def _spaced(outcome: str) -> str:
    return outcome.replace("_", " ")


@figures.register
def fit_figures(found: Fit) -> list[Figure]:
    """Best rates with a law, accuracy over noise and rates, and the collapse, as far as the grid shows them."""
    made = [best_rates("best_rate", found.best)]
    if found.cube.sizes["alpha"] > 1 and found.cube.sizes["learning_rate"] > 1:
        made.append(accuracy_map("accuracy", found.cube, found.best))
    for where, collapse in found.collapses.items():
        if found.steps is not None and collapse.base is not None and not where:
            made.append(steps_collapsed("collapse", found.steps, collapse))
    return [figure for figure in made if figure.panels]
