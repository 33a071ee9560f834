"""TOML text -> `Spec`: one simulation with its data, training, grid and claim; every mistake is named."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from effbatch import claims
from effbatch.claims import checked_rule
from effbatch.errors import SpecError, hint
from effbatch.training.adaptive import Ladder

MAX_SPEC_BYTES = 1_000_000
NOISE_KINDS = ("uniform",)
COPIES = ("fresh", "fixed", "expected")
BUDGETS = ("steps", "examples", "epochs")
MAX_REFINE = 8  # halvings of the spacing: finer than any score can tell apart
MEMBER_DIMS = ("alpha", "learning_rate", "seed")
GRID_DIMS = ("alpha", "batch_size", "learning_rate", "seed")


@dataclass(frozen=True)
class Data:
    """`clean_examples` = 0 takes the whole training set; fewer are drawn anew for each seed."""

    dataset: str = "digits"
    clean_examples: int = 0
    noise: str = "uniform"
    copies: str = "fresh"


@dataclass(frozen=True)
class Train:
    """`budget` is one of {steps = T}, {examples = labelled copies}, {epochs = passes over all copies}."""

    network: str = "mlp1"
    optimizer: str = "sgd"
    momentum: float = 0.0
    schedule: str = "constant"
    budget: Mapping[str, float] = field(default_factory=lambda: {"steps": 500})
    evaluations: int = 12


@dataclass(frozen=True)
class Spec:
    """One simulation. `grid` maps each dimension of the cube to its values, the four core ones first.

    Where a `ladder` is given the grid is adaptive: its learning rates are only the ones that the sweep starts on.
    """

    name: str
    title: str
    claim_text: str
    figure: str
    data: Data
    train: Train
    grid: Mapping[str, tuple]
    claim: Mapping[str, Any]
    ladder: Ladder | None = None
    quick: bool = False
    text: str = field(default="", compare=False, repr=False)

    def resolved(self) -> dict[str, Any]:
        """Everything that decides the numbers and the verdict, as JSON-ready values."""
        adaptive = {} if self.ladder is None else {"ladder": vars(self.ladder)}
        return {
            "simulation": {
                "name": self.name,
                "title": self.title,
                "claim": self.claim_text,
                "figure": self.figure,
            },
            "data": vars(self.data) | {},
            "train": vars(self.train) | {"budget": dict(self.train.budget)},
            "grid": {key: list(values) for key, values in self.grid.items()},
            "claim": dict(self.claim),
            **adaptive,
        }


def load(path: str | Path, *, quick: bool = False) -> Spec:
    """Read a spec file; `quick` applies its [quick.*] tables over the full ones."""
    path = Path(path)
    try:
        size = path.stat().st_size
        if size > MAX_SPEC_BYTES:
            raise SpecError(f"a spec is at most {MAX_SPEC_BYTES} bytes; {path} has {size}")
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise SpecError(f"the spec {path} cannot be read ({error.strerror}); give the path of a TOML file") from error
    except UnicodeDecodeError as error:
        raise SpecError(f"the spec {path} is not UTF-8 text") from error
    return parse(text, quick=quick, origin=str(path))


def parse(text: str, *, quick: bool = False, origin: str = "spec") -> Spec:
    """Turn TOML text into a checked Spec; raises SpecError that names the key and what would be right."""
    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise SpecError(f"{origin} is not valid TOML: {error}") from error
    sections = ("simulation", "data", "train", "grid", "claim")
    _check_keys(tables, (*sections, "quick"), where=origin)
    overrides = tables.pop("quick", {})
    _check_keys(overrides, sections, where="[quick]")
    for section in sections:
        if not isinstance(tables.get(section, {}), dict) or not isinstance(overrides.get(section, {}), dict):
            raise SpecError(f"[{section}] in {origin} must be a table")
    if quick:
        tables = {s: {**tables.get(s, {}), **overrides.get(s, {})} for s in sections}

    simulation = tables.get("simulation", {})
    _check_keys(simulation, ("name", "title", "claim", "figure"), where="[simulation]")
    name = simulation.get("name")
    if not isinstance(name, str) or not name.replace("_", "").replace("-", "").isalnum():
        raise SpecError(f"[simulation] name must be letters, digits, - and _; {name!r} came")
    claim = tables.get("claim", {})
    if not isinstance(claim.get("kind"), str):
        raise SpecError(f'[claim] in {origin} needs kind = "...": the rule that turns the cube into a verdict')
    rule = {"kind": claim["kind"], **checked_rule(claims.get(claim["kind"]), claim)}
    spec = Spec(
        name=name,
        title=str(simulation.get("title", name)),
        claim_text=str(simulation.get("claim", "")),
        figure=str(simulation.get("figure", "")),
        data=_options(Data(), tables.get("data", {}), "data"),
        train=_options(Train(), tables.get("train", {}), "train"),
        grid=_grid(tables.get("grid", {})),
        claim=rule,
        ladder=_ladder(tables.get("grid", {}).get("learning_rate")),
        quick=quick,
        text=text,
    )
    for (
        key,
        values,
    ) in spec.grid.items():  # a [data] or [train] key in the grid obeys the same rules as in its table
        if key not in GRID_DIMS:
            section = "data" if key in _names(Data) else "train"
            for value in values:
                _options(getattr(spec, section), {key: value}, section)
    return spec


def at(spec: Spec, point: Mapping[str, Any]) -> tuple[Data, Train]:
    """The [data] and [train] options of the cells at a grid point, with the grid's values put in."""
    data = replace(spec.data, **{k: v for k, v in point.items() if k in _names(Data)})
    train = replace(spec.train, **{k: v for k, v in point.items() if k in _names(Train)})
    return data, train


def _names(kind: type) -> tuple[str, ...]:
    return tuple(f.name for f in fields(kind))


def _check_keys(table: Mapping, known: tuple[str, ...], *, where: str) -> None:
    for key in table:
        if key not in known:
            raise SpecError(f"unknown key {key!r} in {where}; {hint(key, known)}", key=key)


def _options(defaults: Any, table: Mapping, section: str) -> Any:
    """`defaults` (a Data or Train) with the values of a TOML table put in and checked."""
    _check_keys(table, _names(type(defaults)), where=f"[{section}]")
    for key, value in table.items():
        default = getattr(defaults, key)
        if isinstance(default, str) and not isinstance(value, str):
            raise SpecError(f"[{section}] {key} must be a string; {value!r} came")
        if isinstance(default, int) and (isinstance(value, bool) or not isinstance(value, int)):
            raise SpecError(f"[{section}] {key} must be a whole number; {value!r} came")
        if isinstance(default, float) and (isinstance(value, bool) or not isinstance(value, int | float)):
            raise SpecError(f"[{section}] {key} must be a number; {value!r} came")
    options = replace(defaults, **table)
    if isinstance(options, Data):
        _one_of(options.noise, NOISE_KINDS, "[data] noise")
        _one_of(options.copies, COPIES, "[data] copies")
        if options.clean_examples < 0:
            raise SpecError(f"[data] clean_examples must be 0 (all) or more; {options.clean_examples} came")
    else:
        _check_train(options)
    return options


def _check_train(train: Train) -> None:
    from effbatch.training.optimizers import OPTIMIZERS
    from effbatch.training.schedules import SCHEDULES

    _one_of(train.optimizer, tuple(OPTIMIZERS), "[train] optimizer")
    _one_of(train.schedule, tuple(SCHEDULES), "[train] schedule")
    if not 0 <= train.momentum < 1:
        raise SpecError(f"[train] momentum must lie in [0, 1); {train.momentum} came")
    if train.momentum and train.optimizer != "sgd":
        raise SpecError(f"[train] momentum is for sgd; it came with {train.optimizer}: leave it out")
    if train.evaluations < 1:
        raise SpecError(f"[train] evaluations must be at least 1; {train.evaluations} came")
    budget = train.budget
    if not isinstance(budget, Mapping) or len(budget) != 1:
        raise SpecError(
            f"[train] budget needs exactly one of {{steps = T}}, {{examples = n}}, {{epochs = e}}; {budget!r} came"
        )
    _check_keys(budget, BUDGETS, where="[train] budget")
    ((unit, amount),) = budget.items()
    if isinstance(amount, bool) or not isinstance(amount, int | float) or not 0 < amount < math.inf:
        raise SpecError(f"[train] budget {unit} must be a positive number; {amount!r} came")
    if unit == "steps" and amount != int(amount):
        raise SpecError(f"[train] budget steps must be a whole number; {amount!r} came")
    if unit == "steps" and train.evaluations > amount:
        raise SpecError(f"[train] evaluations must be at most the steps; {train.evaluations} came with {amount} steps")


def _one_of(value: str, known: tuple[str, ...], where: str) -> None:
    if value not in known:
        raise SpecError(f"{where} = {value!r} is not known; {hint(value, known)}", value=value, known=known)


def _grid(table: Mapping) -> dict[str, tuple]:
    extras = tuple(n for n in (*_names(Data), *_names(Train)) if n not in ("budget", "evaluations"))
    _check_keys(table, (*GRID_DIMS, *extras), where="[grid]")
    for dim in ("alpha", "batch_size", "learning_rate"):
        if dim not in table:
            raise SpecError(f"[grid] needs {dim}, a list of values")
    grid = {
        "alpha": _numbers(table["alpha"], "alpha", low=0.0),
        "batch_size": _whole(table["batch_size"], "batch_size", low=1),
        "learning_rate": _numbers(_spread(table["learning_rate"]), "learning_rate", low=0.0),
        "seed": _seeds(table.get("seed", 3)),
    }
    for key in extras:
        if key in table:
            values = table[key]
            if not isinstance(values, list) or not values or len(set(values)) != len(values):
                raise SpecError(f"[grid] {key} must be a list of different values; {values!r} came")
            grid[key] = tuple(values)
    return grid


def _spread(value: Any) -> Any:
    """{start, stop, factor} -> start, start·factor, ... up to stop (included within rounding)."""
    if not isinstance(value, Mapping):
        return value
    _check_keys(value, ("start", "stop", "factor", "refine"), where="[grid] learning_rate")
    try:
        start, stop, factor = (float(value[k]) for k in ("start", "stop", "factor"))
    except (KeyError, TypeError, ValueError) as error:
        raise SpecError("[grid] learning_rate needs numbers for start, stop and factor, or a list") from error
    if not (0 < start <= stop < math.inf and 1 < factor < math.inf):
        raise SpecError(f"[grid] learning_rate needs 0 < start <= stop and factor > 1; {dict(value)} came")
    count = math.floor(math.log(stop / start) / math.log(factor) + 1e-9) + 1
    return [start * factor**i for i in range(count)]


def _ladder(value: Any) -> Ladder | None:
    """{start, stop, factor, refine} -> the ladder of an adaptive grid; None without `refine`: that grid is fixed."""
    if not isinstance(value, Mapping) or "refine" not in value:
        return None
    refine = value["refine"]
    if isinstance(refine, bool) or not isinstance(refine, int) or not 0 <= refine <= MAX_REFINE:
        raise SpecError(
            f"[grid] learning_rate refine must be a whole number from 0 (only extend) to {MAX_REFINE}; {refine!r} came"
        )
    return Ladder(float(value["start"]), float(value["factor"]), refine, last=(len(_spread(value)) - 1) * 2**refine)


def _numbers(values: Any, name: str, *, low: float) -> tuple[float, ...]:
    if not isinstance(values, list) or not values:
        raise SpecError(f"[grid] {name} must be a list with at least one value; {values!r} came")
    for value in values:
        if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value < math.inf:
            raise SpecError(f"[grid] {name} must hold finite numbers of at least {low:g}; {value!r} came")
    if len(set(values)) != len(values):
        raise SpecError(f"[grid] {name} holds a value twice: {values}")
    return tuple(sorted(float(v) for v in values))


def _whole(values: Any, name: str, *, low: int) -> tuple[int, ...]:
    for value in values if isinstance(values, list) else ():
        if isinstance(value, bool) or not isinstance(value, int):
            raise SpecError(f"[grid] {name} must hold whole numbers; {value!r} came")
    return tuple(int(v) for v in _numbers(values, name, low=low))


def _seeds(value: Any) -> tuple[int, ...]:
    if isinstance(value, int) and not isinstance(value, bool):
        if value < 1:
            raise SpecError(f"[grid] seed must be a count of at least 1 or a list; {value} came")
        return tuple(range(value))
    return _whole(value, "seed", low=0)
