"""TOML text -> `Spec`: one simulation with its data, training and grid; every mistake is named.

[claim] is kept as it came: what judges the cube checks it (`claims.claim_of`), and training needs none.
"""

from __future__ import annotations

import json
import math
import re
import shlex
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from pathlib import Path
from typing import Any

from effbatch.core.errors import SpecError
from effbatch.core.resources import bundled
from effbatch.noise.given import GIVEN
from effbatch.plan.adaptive import Ladder
from effbatch.plan.cube import CORE_DIMS
from effbatch.plan.keys import check_names, check_table, keys_of, shown
from effbatch.plan.options import (
    CROSS_ENTROPY,
    DATA,
    EXTRAS,
    GRID,
    MAX_NAME,
    NOISE_KINDS,
    OPTIMIZERS,
    RANGE,
    SIMULATION,
    TRAIN,
    TRAIN_RULES,
    Data,
    Train,
)

__all__ = ["OPTIMIZERS", "Data", "Spec", "Train", "at", "load", "parse"]

MAX_SPEC_BYTES = 1_000_000
MAX_CELLS = 10_000_000  # of a grid
MAX_POINTS = 10_000  # combinations of the [data] and [train] keys in it
DEFAULT_SEEDS = 5  # the first only chooses learning rates, and no interval is made of fewer than three
KNOWN_MATRIX = {"uniform", "structured", "matrix"}  # kinds of noise with one matrix for the labels of all images
SECTIONS = ("simulation", "data", "train", "grid", "claim")
MEMBER_DIMS = ("alpha", "learning_rate", "seed")


@dataclass(frozen=True, kw_only=True)
class Spec:
    """One simulation. `grid` maps each dimension of the cube to its values, the four core ones first.

    `about` holds what [simulation] says beside the name. A budget in the grid is held by its label, "500 steps".
    Where a `ladder` is given the grid is adaptive: its learning rates are only the ones that the sweep starts on.
    Where the grid was cut out of a `whole_grid`, its cells train beside those that they had there.
    `arguments` are those of the command line that make this spec of its file.
    """

    name: str
    about: Mapping[str, str]
    data: Data
    train: Train
    grid: Mapping[str, tuple]
    claim: Mapping[str, Any]
    ladder: Ladder | None = None
    whole_grid: Mapping[str, tuple] | None = None
    quick: bool = False
    arguments: str = field(default="", compare=False)
    text: str = field(default="", compare=False, repr=False)

    def resolved(self) -> dict[str, Any]:
        """Everything that decides the numbers and the verdict, as JSON-ready values."""
        optional: dict[str, Any] = {} if self.ladder is None else {"ladder": vars(self.ladder)}
        if self.whole_grid is not None:
            optional["whole_grid"] = {key: list(values) for key, values in self.whole_grid.items()}
        return {
            "simulation": {"name": self.name, **self.about},
            "data": self.data.given(),
            "train": self.train.given(),
            "grid": {key: list(values) for key, values in self.grid.items()},
            "claim": dict(self.claim),
            **optional,
        }


def load(path: str | Path, *, quick: bool = False, dataset: str | None = None) -> Spec:
    """Read a spec file; `dataset` puts in other images, `quick` applies the [quick.*] tables over the full ones.

    On another data set the tables [on.DATASET.*] apply too, before [quick.*]: a grid and thresholds that suit it.
    """
    path = Path(path)
    try:
        size = path.stat().st_size
        if size > MAX_SPEC_BYTES:
            raise SpecError(f"a spec is at most {MAX_SPEC_BYTES:,} bytes, got {size:,} in {path}: shorten it")
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise SpecError(f"the spec {path} cannot be read ({error.strerror}); give the path of a TOML file") from error
    except UnicodeDecodeError as error:
        raise SpecError(f"the spec {path} is not UTF-8 text; save it as that") from error
    called = path.stem if path.parent == bundled("simulations") else path.name
    return parse(text, quick=quick, dataset=dataset, origin=str(path), called=called)


def parse(
    text: str, *, quick: bool = False, dataset: str | None = None, origin: str = "spec", called: str | None = None
) -> Spec:
    """Turn TOML text into a checked Spec; raises SpecError that names the key and what would be right.

    called   what the command line calls it, where that is not its name
    """
    tables = _tables(text, origin, quick=quick, dataset=dataset)
    simulation = tables.get("simulation", {})
    check_table(simulation, SIMULATION, "[simulation]")
    name = simulation.get("name", "")
    if not name.replace("_", "").replace("-", "").isalnum() or len(name) > MAX_NAME:
        raise SpecError(
            f"[simulation] name must be letters, digits, - and _, at most {MAX_NAME} characters, got {shown(name)}: "
            "rename it"
        )
    arguments = shlex.quote(called or name) + " --quick" * quick
    if dataset is not None:
        arguments += f" --dataset {shlex.quote(dataset)}"
        name = f"{name}-{re.sub('[^0-9A-Za-z_-]+', '-', dataset).strip('-')[-MAX_NAME:]}"
    claim = tables.get("claim", {})
    try:
        json.dumps(claim, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise SpecError(
            f"[claim] must hold texts, finite numbers and lists of them, got {claim}: leave out the rest"
        ) from error
    rates = tables.get("grid", {}).get("learning_rate")
    spec = Spec(
        name=name,
        about={"title": simulation.get("title", name), **{k: simulation.get(k, "") for k in ("claim", "figure")}},
        data=_options(Data(), tables.get("data", {}), "[data]"),
        train=_options(Train(), tables.get("train", {}), "[train]"),
        grid=_grid(tables.get("grid", {})),
        claim=claim,
        ladder=_ladder(rates) if isinstance(rates, Mapping) and "refine" in rates else None,
        quick=quick,
        arguments=arguments,
        text=text,
    )
    # [data] and [train] keys in the grid obey the rules of their tables, in every combination that will be trained
    for point in points(spec.grid, without=CORE_DIMS):
        options = _with_budget(point)
        _options(spec.data, {name: value for name, value in options.items() if name in DATA}, "[data]")
        _options(spec.train, {name: value for name, value in options.items() if name in TRAIN}, "[train]")
    _check_noise(spec)
    _check_loss(spec)
    return spec


def at(spec: Spec, point: Mapping[str, Any]) -> tuple[Data, Train]:
    """The [data] and [train] options of the cells at a grid point, with the grid's values put in."""
    point = _with_budget(point)
    data = replace(spec.data, **{k: v for k, v in point.items() if k in DATA})
    # where the grid varies the noise, its kinds leave alone what belongs to the others
    others: dict[str, Any] = {key: None for kind, keys in NOISE_KINDS.items() if kind != data.noise for key in keys}
    train = replace(spec.train, **{k: v for k, v in point.items() if k in TRAIN})
    return replace(data, **others), train


def points(grid: Mapping[str, tuple], *, without: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Every combination of the values of a grid, the dimensions `without` left out."""
    dims = [dim for dim in grid if dim not in without]
    for values in product(*(grid[dim] for dim in dims)):
        yield dict(zip(dims, values, strict=True))


def _tables(text: str, origin: str, *, quick: bool, dataset: str | None) -> dict[str, dict[str, Any]]:
    """The tables of a spec by name, those for the data set and those of --quick put over them."""
    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise SpecError(f"{origin} is not valid TOML ({error}): correct that line") from error
    except RecursionError as error:
        raise SpecError(f"{origin} nests tables or lists too deeply; a spec needs three levels") from error
    quick_tables, on_tables = tables.pop("quick", {}), _table(tables.pop("on", {}), f"[on] in {origin}")
    tables = _sections(tables, origin)
    quick_tables = _sections(quick_tables, "[quick]")
    on_tables = {name: _sections(table, f"[on.{name}]") for name, table in on_tables.items()}
    if dataset is not None:
        if "dataset" in tables.get("grid", {}):
            raise SpecError(f"--dataset puts in one data set, and the grid of {origin} names its own: leave it out")
        tables = _over(_over(tables, {"data": {"dataset": dataset}}), on_tables.get(dataset, {}))
    if quick and not quick_tables:
        raise SpecError(f"--quick needs the tables [quick.*], and {origin} has none: leave --quick out, or add them")
    return _over(tables, quick_tables) if quick else tables


def _with_budget(point: Mapping[str, Any]) -> dict[str, Any]:
    """The grid point with its budget, where it has one, as the table that its label stands for."""
    if "budget" not in point:
        return dict(point)
    amount, unit = point["budget"].split()
    return {**point, "budget": {unit: json.loads(amount)}}


def _sections(tables: Any, where: str) -> dict[str, dict[str, Any]]:
    """The tables of a spec, or of an override, each checked to be one."""
    check_names(_table(tables, where), SECTIONS, where=where)
    return {name: _table(table, f"[{name}] in {where}") for name, table in tables.items()}


def _table(value: Any, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise SpecError(f"{where} must be a table, got {shown(value)}: write [NAME] and its keys")
    return value


def _over(tables: Mapping[str, dict], overrides: Mapping[str, dict]) -> dict[str, dict]:
    return {section: {**tables.get(section, {}), **overrides.get(section, {})} for section in SECTIONS}


def _options(defaults: Any, table: Mapping[str, Any], where: str) -> Any:
    """`defaults` (a Data or Train) with the values of a TOML table put in and checked."""
    check_table(table, keys_of(type(defaults)), where)
    options = replace(defaults, **{k: tuple(v) if isinstance(v, list) else v for k, v in table.items()})
    for broken, said in TRAIN_RULES if isinstance(options, Train) else ():
        if broken(options):
            raise SpecError(f"{where} {said.format(**vars(options))}")
    return options


def _check_noise(spec: Spec) -> None:
    """Every kind of noise in the spec has its keys, every key a kind that needs it, and foreign copies one label.

    To labels that came with the data nothing is added. Measured moments are those of uniform noise.
    """
    kinds = spec.grid.get("noise", (spec.data.noise,))
    copies = spec.grid.get("copies", (spec.data.copies,))
    given = {*spec.grid, *spec.data.given()}
    for kind, name in ((kind, name) for kind, names in NOISE_KINDS.items() for name in names):
        if kind in kinds and name not in given:
            raise SpecError(f"[data] noise = {kind!r} needs {name}, got none: give it, or a list of it in [grid]")
        if kind not in kinds and name in given:
            raise SpecError(f"[data] {name} is for {kind} noise, got it with {', '.join(kinds)}: leave it out")
    if came := [kind for kind in kinds if kind in GIVEN]:
        if spec.grid["alpha"] != (0,):
            raise SpecError(
                f"[data] noise = {came[0]!r} adds no labels to those of the data set, so that [grid] alpha must be "
                f"[0], got {[*spec.grid['alpha']]}: give [0]"
            )
        if "expected" in copies:
            raise SpecError(
                f'[data] noise = {came[0]!r} has one label for each image, got it with copies = "expected", the mean '
                "over all: leave copies out"
            )
    elif "memorised" in spec.train.measure:
        raise SpecError(
            '[train] measure = ["memorised"] needs labels that came with the data set, got noise = '
            f'{", ".join(kinds)}: leave measure out, or take noise = "given"'
        )
    if "foreign" in kinds and "expected" in copies:
        raise SpecError(
            '[data] copies = "expected" averages over the labels of an image, got it with foreign copies, which '
            'are other images: take "fresh" or "fixed"'
        )
    if "moments" in spec.train.measure and set(kinds) != {"uniform"}:
        raise SpecError(
            f'[train] measure = ["moments"] needs uniform noise, got {", ".join(kinds)}: leave measure out, or take '
            'noise = "uniform"'
        )


def _check_loss(spec: Spec) -> None:
    """A loss other than cross-entropy has one label for each copy, and forward correction knows where it comes from."""
    losses = {*spec.grid.get("loss", (spec.train.loss,))}
    kinds = spec.grid.get("noise", (spec.data.noise,))
    if losses != {CROSS_ENTROPY} and "expected" in spec.grid.get("copies", (spec.data.copies,)):
        raise SpecError(
            '[data] copies = "expected" averages over the labels of an image, got it with [train] loss = '
            f'{", ".join(sorted(losses))}, which needs one label: take "fresh" or "fixed"'
        )
    if "forward" in losses and not KNOWN_MATRIX.issuperset(kinds):
        raise SpecError(
            '[train] loss = "forward" needs the matrix that noisy labels are drawn from, got noise = '
            f"{', '.join(kinds)}: take {', '.join(sorted(KNOWN_MATRIX))}"
        )


def _grid(table: Mapping[str, Any]) -> dict[str, tuple]:
    check_names(table, (*GRID, *EXTRAS), where="[grid]")
    for name in ("alpha", "batch_size", "learning_rate"):
        if name not in table:
            raise SpecError(f"[grid] needs {name}, a list of values, got none: give it")
    read = {"learning_rate": _spread, "seed": _seeds, "budget": _budget_labels}
    table, grid = {"seed": DEFAULT_SEEDS, **table}, {}
    for name in (name for name in (*GRID, *EXTRAS) if name in table):
        values = read[name](table[name]) if name in read else table[name]
        for value in values if name in GRID and isinstance(values, list) else ():
            GRID[name].check(f"every value of [grid] {name}", value)
        listed = isinstance(values, list | range) and all(isinstance(value, str | int | float) for value in values)
        if not listed or not values or len(set(values)) != len(values):
            raise SpecError(f"[grid] {name} must be a list of different values, at least one, got {shown(values)}")
        grid[name] = tuple(sorted(map(GRID[name].takes, values))) if name in GRID else tuple(values)
    _check_size(math.prod(map(len, grid.values())), MAX_CELLS, "cells")
    extras = [len(values) for name, values in grid.items() if name not in GRID]
    _check_size(math.prod(extras), MAX_POINTS, "combinations of [data] and [train] keys")
    return grid


def _budget_labels(values: Any) -> Any:
    """[{steps = 500}, ...] -> ["500 steps", ...], which the cube can hold."""
    if not isinstance(values, list):
        return values
    for budget in values:
        TRAIN["budget"].check("[train] budget", budget)
    return [f"{amount!r} {unit}" for budget in values for unit, amount in budget.items()]


def _check_size(size: int, most: int, of: str) -> None:
    if size > most:
        raise SpecError(f"[grid] may have at most {most:,} {of}, got {size:,}: shorten its lists")


def _spread(value: Any) -> Any:
    """{start, stop, factor} -> start, start·factor, ... up to stop (included within rounding)."""
    if not isinstance(value, Mapping):
        return value
    check_table(value, RANGE, "[grid] learning_rate")
    if not {"start", "stop", "factor"} <= set(value) or value["start"] > value["stop"]:
        raise SpecError(
            f"[grid] learning_rate needs start, stop from start on, and factor, got {shown(dict(value))}: change them"
        )
    start, factor = float(value["start"]), float(value["factor"])
    count = math.floor((math.log(value["stop"]) - math.log(start)) / math.log(factor) + 1e-9) + 1
    _check_size(count, MAX_CELLS, "learning rates")
    return [start * factor**i for i in range(count)]


def _ladder(value: Mapping[str, Any]) -> Ladder:
    """{start, stop, factor, refine} -> the ladder of an adaptive grid."""
    refine = value["refine"]
    return Ladder(float(value["start"]), float(value["factor"]), refine, last=(len(_spread(value)) - 1) * 2**refine)


def _seeds(value: Any) -> Any:
    """A count of seeds -> the seeds."""
    if not isinstance(value, int) or isinstance(value, bool):
        return value
    if not 1 <= value <= MAX_CELLS:
        raise SpecError(f"[grid] seed must be a count from 1 to {MAX_CELLS:,}, or a list, got {value}: 5 is usual")
    return range(value)
