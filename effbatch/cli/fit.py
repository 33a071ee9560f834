"""`effbatch fit`: best learning rates, law comparison and data collapse of a cube."""

from __future__ import annotations

import json
from typing import Any

import click

from effbatch.cli.options import JSON


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
    """
    from effbatch.cube import open_cube
    from effbatch.fitting import best_steps, collapse_exponent, fit

    cube = open_cube(path, name)
    found = fit(cube)
    rates, laws = _best_rates(found.best), _laws(found.laws)
    powers = _exponents(found.exponents)
    collapse = None
    if target is not None:
        collapse = list(collapse_exponent(best_steps(cube, target)["seed_steps"]).sentences)
    if as_json:
        click.echo(json.dumps({"best_learning_rates": rates, "exponents": powers, "laws": laws, "collapse": collapse}))
        return
    _print("Best learning rate (95 % interval, n seeds)", rates)
    _print("Exponents of the best rate (95 % interval, n cells)", powers)
    _print("Laws on cells that they have not seen: error in powers of two, accuracy lost in points", laws)
    for sentence in collapse or ():
        click.echo(sentence)


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


def _number(value: Any) -> float | None:
    """A finite number, or None: an open limit and "cannot tell" have no number."""
    number = float(value)
    return number if abs(number) < float("inf") else None


def _print(title: str, rows: list[dict[str, Any]]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    for key in rows[0] if rows else ():
        text = isinstance(rows[0][key], str)
        table.add_column(key.replace("_", " "), justify="left" if text else "right", no_wrap=text)
    for row in rows:
        table.add_row(*("-" if v is None else f"{v:.3g}" if isinstance(v, float) else str(v) for v in row.values()))
    console = Console()
    console.print(table)
    console.print()
