"""`effbatch fit`: best learning rates, law comparison and data collapse of a cube."""

from __future__ import annotations

import json
from itertools import product
from typing import Any

import click

from effbatch.cli.options import JSON
from effbatch.cli.tables import number, print_table, with_interval

_HEADINGS = {"alpha": "α", "batch_size": "B"}


@click.command()
@click.argument("path", metavar="DIR|CUBE")
@click.option("--name", help="The simulation, where the file holds several.")
@click.option("--target", type=float, help="Target accuracy: also fit the collapse of the steps to it.")
@JSON
def command(path: str, name: str | None, target: float | None, as_json: bool) -> None:
    """Fit the best learning rate of every setting, and compare the laws on it.

    \b
    effbatch fit out --name learning_rate
    effbatch fit sweep --target 0.85
    effbatch fit out --name learning_rate --json
    """
    from effbatch.fitting import fit
    from effbatch.plan.cube import open_cube

    cube = open_cube(path, name)
    found = fit(cube)
    rates, laws = _best_rates(found.best), _laws(found.laws)
    powers = _exponents(found.exponents)
    collapse = None if target is None else _collapse(cube, target)
    if as_json:
        click.echo(json.dumps({"best_learning_rates": rates, "exponents": powers, "laws": laws, "collapse": collapse}))
        return
    _print_best_rates(rates)
    _print_exponents(powers)
    _print_laws(laws)
    if collapse:
        _print_collapse(collapse, target)


def _best_rates(best: Any) -> list[dict[str, Any]]:
    from effbatch.fitting import FitOutcome

    dims = list(best["outcome"].dims)
    cells = best.stack(cell=dims)
    rows = []
    for i in range(cells.sizes["cell"]):
        cell = cells.isel(cell=i)
        rows.append(
            {
                **{dim: cell[dim].item() for dim in dims},
                **{key: _number(cell[key]) for key in ("best_learning_rate", "low", "high", "best_accuracy")},
                "n": int(cell["seeds"]),
                "outcome": FitOutcome(int(cell["outcome"])).name.lower(),  # type: ignore[call-arg]
            }
        )
    return rows


def _exponents(exponents: Any) -> list[dict[str, Any]]:
    cells = exponents.stack(row=list(exponents["exponent"].dims))
    rows = []
    for i in range(cells.sizes["row"]):
        row = cells.isel(row=i)
        place = {dim: row[dim].item() for dim in exponents["exponent"].dims}
        rows.append({**place, **{k: _number(row[k]) for k in ("exponent", "low", "high")}, "n": int(row["cells"])})
    return rows


def _laws(compared: Any) -> list[dict[str, Any]]:
    rows = []
    for name in compared["law"].values:
        law = compared.sel(law=name)
        if int(law["pairs"]):
            numbers = {k: _number(law[k]) for k in ("median_error", "low", "high", "quantile90")}
            lost = {k: _number(100 * law[k]) for k in ("regret", "regret95")}
            rows.append({"law": str(name), **numbers, **lost, "n": int(law["cells"]), "how": str(law["how"].values)})
    return sorted(rows, key=lambda row: row["median_error"])


def _collapse(cube: Any, target: float) -> list[str]:
    """Sentences on the collapse over α, batch size and seed, one after another for every value of the other dims."""
    from effbatch.fitting import best_steps, collapse_exponent

    steps = best_steps(cube, target)["seed_steps"]
    others = [dim for dim in steps.dims if dim not in ("alpha", "batch_size", "seed")]
    if not others:
        return list(collapse_exponent(steps).sentences)
    sentences = []
    for values in product(*(steps[dim].values for dim in others)):
        place = dict(zip(others, values, strict=True))
        where = ", ".join(f"{_heading(str(dim))} {_text(value)}" for dim, value in place.items())
        first, *more = collapse_exponent(steps.sel(place, drop=True)).sentences
        sentences += [f"{where}: {first}", *more]
    return sentences


def _number(value: Any) -> float | None:
    """A finite number, or None: an open limit and "cannot tell" have no number."""
    number = float(value)
    return number if abs(number) < float("inf") else None


def _print_best_rates(rates: list[dict[str, Any]]) -> None:
    from rich.console import Console

    from effbatch.fitting import FitOutcome

    numbers = {"best_learning_rate", "low", "high", "best_accuracy", "n", "outcome"}
    dims = [key for key in rates[0] if key not in numbers]
    rows = []
    for row in rates:
        if row["best_learning_rate"] is None:
            rate = f"? ({row['outcome'].replace('_', ' ')})"
        else:
            rate = with_interval(row["best_learning_rate"], row["low"] or None, row["high"])  # 0 and None: open limits
        rows.append([*(_text(row[dim]) for dim in dims), rate, number(row["best_accuracy"], ".1%"), str(row["n"])])
    console = Console(highlight=False)
    headings = [*map(_heading, dims), "best rate", "accuracy", "n"]
    print_table(console, "Best learning rate (95 % interval), accuracy there, n seeds", headings, rows)
    for outcome in dict.fromkeys(row["outcome"] for row in rates if row["best_learning_rate"] is None):
        console.print(f"{outcome.replace('_', ' ')}: the setting {FitOutcome[outcome.upper()].sentence}")


def _print_exponents(powers: list[dict[str, Any]]) -> None:
    from rich.console import Console

    if not powers:
        return
    place = [key for key in powers[0] if key not in {"exponent", "low", "high", "n"}]
    rows = [[*(_text(row[key]) for key in place), _known(row, "exponent"), str(row["n"])] for row in powers]
    headings = [*map(_heading, place), "exponent", "n"]
    print_table(Console(highlight=False), "Exponents of the best rate (95 % interval), n cells", headings, rows)


def _print_laws(laws: list[dict[str, Any]]) -> None:
    from rich.console import Console

    if not laws:
        return
    rows = [
        [
            row["law"],
            _known(row, "median_error", ".2f"),
            number(row["quantile90"], ".2f"),
            number(row["regret"], ".1f"),
            number(row["regret95"], ".1f"),
            str(row["n"]),
            row["how"].split()[0],
        ]
        for row in laws
    ]
    console = Console(highlight=False)
    headings = ["law", "median error", "90th", "lost", "95th", "n", ""]
    print_table(console, "Laws on n cells that they have not seen", headings, rows)
    console.print(
        "Error of the rate in powers of two: median (95 % interval), 90th percentile. Accuracy lost by it in points: "
        "mean, 95th percentile. anchored: tuned at one other cell; fitted: to all other cells.",
        style="dim",
    )


def _print_collapse(sentences: list[str], target: float | None) -> None:
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False)
    console.print()
    console.print(Text(f"Steps to an accuracy of {target:g}: collapse on B/(1+α)^δ (95 % intervals)", style="bold"))
    for sentence in sentences:
        console.print(Text(sentence))


def _known(row: dict[str, Any], key: str, form: str = "") -> str:
    """The number with its interval, alone where too few cells give none."""
    if row["low"] is None and row["high"] is None:
        return number(row[key], form)
    return with_interval(row[key], row["low"], row["high"], form)


def _heading(key: str) -> str:
    return _HEADINGS.get(key, key.replace("_", " "))


def _text(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
