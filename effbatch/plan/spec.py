"""TOML text -> `Spec`: one simulation with its data, training and grid; every mistake is named.

[claim] is kept as it came: what judges the cube checks it (`claims.rule_of`), and training needs none.
"""

from __future__ import annotations

import json
import math
import re
import shlex
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from itertools import product
from pathlib import Path
from typing import Any

from effbatch.core.errors import InputError, SpecError, hint
from effbatch.core.resources import bundled
from effbatch.laws.base import LARGEST, SMALLEST
from effbatch.noise import ORDERS
from effbatch.plan.adaptive import Ladder
from effbatch.plan.cube import CORE_DIMS, MEASURED
from effbatch.theory.schedules import multipliers

MAX_SPEC_BYTES = 1_000_000
MAX_NAME = 100  # characters; it becomes the name of a folder
MAX_CELLS = 10_000_000  # of a grid
MAX_POINTS = 10_000  # combinations of the [data] and [train] keys in it
DEFAULT_SEEDS = 5  # the first only chooses learning rates, and no interval is made of fewer than three
MAX_BATCH = 1_000_000  # labelled copies, held in memory
MAX_EVALUATIONS = 10_000
MAX_BUDGET = 1e12  # steps, examples or epochs
SECTIONS = ("simulation", "data", "train", "grid", "claim")
NOISE_KINDS: Mapping[str, tuple[str, ...]] = {  # each with the keys of [data] that it needs
    "uniform": (),
    "structured": ("delta", "order"),
    "foreign": ("source",),
}
OPTIMIZERS = ("sgd", "adam", "adamw", "rmsprop", "adadelta")  # `engine.optimizers` has one class for each
COPIES = ("fresh", "fixed", "expected")
BUDGETS = ("steps", "examples", "epochs")
MAX_REFINE = 8  # halvings of the spacing: finer than any score can tell apart
NOT_IN_GRID = ("evaluations", "history_images", "measure")  # what is looked at, not what is done
MEMBER_DIMS = ("alpha", "learning_rate", "seed")


@dataclass(frozen=True)
class Data:
    """What the networks see.

    dataset         its name
    clean_examples  0 takes the whole training set; fewer are drawn anew for each seed
    noise           "uniform": noisy copies are labelled at random; "structured": by preference, see delta and order;
                    "foreign": they are other images, see source, labelled at random
    copies          "fresh": noise is drawn at every visit; "fixed": every image has α noisy copies that never change;
                    "expected": soft targets, the mean over all labels
    delta           of structured noise, 0 (uniform) to 1 (the commonest false label is as likely as the true one)
    order           of the false labels of structured noise: "confusion" (first what a clean reference model takes a
                    class for most), "reverse" (of that), "random"
    source          of foreign images: "white" noise, or the name of a data set with images of the same shape
    """

    dataset: str = "digits"
    clean_examples: int = 0
    noise: str = "uniform"
    copies: str = "fresh"
    delta: float | None = None
    order: str | None = None
    source: str | None = None

    def given(self) -> dict[str, Any]:
        """The options that this kind of noise has."""
        return {key: value for key, value in vars(self).items() if value is not None}


@dataclass(frozen=True)
class Train:
    """`budget` is one of {steps = T}, {examples = labelled copies}, {epochs = passes over all copies}.

    `schedule` and `warmup` (a fraction of the steps) span the budget in any unit; see `schedules.multipliers`.
    `weight_decay` is coupled, but decoupled with adamw; see `training.optimizers`.
    Histories are taken on `history_images` of the test images, drawn once, the same for all runs, 0: on all of them,
    as what a run ends at always is. `measure` names what else is measured at each evaluation, of `cube.MEASURED`.
    """

    network: str = "mlp1"
    optimizer: str = "sgd"
    momentum: float = 0.0
    nesterov: bool = False
    weight_decay: float = 0.0
    schedule: str = "constant"
    warmup: float = 0.0
    budget: Mapping[str, float] = field(default_factory=lambda: {"steps": 500})
    evaluations: int = 12
    history_images: int = 500
    measure: tuple[str, ...] = ()

    def given(self) -> dict[str, Any]:
        """The options as JSON-ready values; `measure` only where something is, so that old sweeps keep their names."""
        options = {**vars(self), "budget": dict(self.budget), "measure": list(self.measure)}
        return {key: value for key, value in options.items() if key != "measure" or value}


@dataclass(frozen=True)
class Spec:
    """One simulation. `grid` maps each dimension of the cube to its values, the four core ones first.

    A budget in the grid is held by its label, "500 steps".
    Where a `ladder` is given the grid is adaptive: its learning rates are only the ones that the sweep starts on.
    Where the grid was cut out of a `whole_grid`, its cells train beside those that they had there.
    `arguments` are those of the command line that make this spec of its file.
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
            "simulation": {
                "name": self.name,
                "title": self.title,
                "claim": self.claim_text,
                "figure": self.figure,
            },
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
            raise SpecError(f"a spec is at most {MAX_SPEC_BYTES} bytes; {path} has {size}")
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise SpecError(f"the spec {path} cannot be read ({error.strerror}); give the path of a TOML file") from error
    except UnicodeDecodeError as error:
        raise SpecError(f"the spec {path} is not UTF-8 text") from error
    called = path.stem if path.parent == bundled("simulations") else path.name
    return parse(text, quick=quick, dataset=dataset, origin=str(path), called=called)


def parse(
    text: str, *, quick: bool = False, dataset: str | None = None, origin: str = "spec", called: str | None = None
) -> Spec:
    """Turn TOML text into a checked Spec; raises SpecError that names the key and what would be right.

    called   what the command line calls it, where that is not its name
    """
    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise SpecError(f"{origin} is not valid TOML: {error}") from error
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
    if quick:
        if not quick_tables:
            raise SpecError(
                f"--quick needs the tables [quick.*], and {origin} has none: leave --quick out, or add them"
            )
        tables = _over(tables, quick_tables)

    simulation = tables.get("simulation", {})
    _check_keys(simulation, ("name", "title", "claim", "figure"), where="[simulation]")
    name = simulation.get("name")
    if not isinstance(name, str) or not name.replace("_", "").replace("-", "").isalnum():
        raise SpecError(f"[simulation] name must be letters, digits, - and _; {name!r} came")
    if len(name) > MAX_NAME:
        raise SpecError(f"[simulation] name must have at most {MAX_NAME} characters; {len(name)} came: shorten it")
    for key, value in simulation.items():
        if not isinstance(value, str):
            raise SpecError(f"[simulation] {key} must be a string; {value!r} came")
    arguments = shlex.quote(called or name) + " --quick" * quick
    if dataset is not None:
        arguments += f" --dataset {shlex.quote(dataset)}"
        name = f"{name}-{re.sub('[^0-9A-Za-z_-]+', '-', dataset).strip('-')[-MAX_NAME:]}"
    claim = tables.get("claim", {})
    try:
        json.dumps(claim, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise SpecError(f"[claim] must hold texts, finite numbers and lists of them, got {claim}") from error
    spec = Spec(
        name=name,
        title=simulation.get("title", name),
        claim_text=simulation.get("claim", ""),
        figure=simulation.get("figure", ""),
        data=_options(Data(), tables.get("data", {}), "data"),
        train=_options(Train(), tables.get("train", {}), "train"),
        grid=_grid(tables.get("grid", {})),
        claim=claim,
        ladder=_ladder(tables.get("grid", {}).get("learning_rate")),
        quick=quick,
        arguments=arguments,
        text=text,
    )
    # [data] and [train] keys in the grid obey the rules of their tables, in every combination that will be trained
    extras = [key for key in spec.grid if key not in CORE_DIMS]
    for values in product(*(spec.grid[key] for key in extras)):
        point = _with_budget(dict(zip(extras, values, strict=True)))
        for section, options in (("data", spec.data), ("train", spec.train)):
            _options(options, {k: v for k, v in point.items() if k in _names(type(options))}, section)
    _check_noise(spec)
    return spec


def at(spec: Spec, point: Mapping[str, Any]) -> tuple[Data, Train]:
    """The [data] and [train] options of the cells at a grid point, with the grid's values put in."""
    point = _with_budget(point)
    data = replace(spec.data, **{k: v for k, v in point.items() if k in _names(Data)})
    # where the grid varies the noise, its kinds leave alone what belongs to the others
    others: dict[str, Any] = {key: None for kind, keys in NOISE_KINDS.items() if kind != data.noise for key in keys}
    train = replace(spec.train, **{k: v for k, v in point.items() if k in _names(Train)})
    return replace(data, **others), train


def budget_label(budget: Mapping[str, float]) -> str:
    """A budget as a coordinate of the cube: {steps = 500} -> "500 steps"."""
    ((unit, amount),) = budget.items()
    return f"{amount!r} {unit}"


def _with_budget(point: Mapping[str, Any]) -> dict[str, Any]:
    """The grid point with its budget, where it has one, as the table that its label stands for."""
    if "budget" not in point:
        return dict(point)
    amount, unit = point["budget"].split()
    return {**point, "budget": {unit: json.loads(amount)}}


def _sections(tables: Any, where: str) -> dict[str, dict[str, Any]]:
    """The tables of a spec, or of an override, each checked to be one."""
    _check_keys(_table(tables, where), SECTIONS, where=where)
    return {name: _table(table, f"[{name}] in {where}") for name, table in tables.items()}


def _table(value: Any, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise SpecError(f"{where} must be a table; {value!r} came")
    return value


def _over(tables: Mapping[str, dict], overrides: Mapping[str, dict]) -> dict[str, dict]:
    return {section: {**tables.get(section, {}), **overrides.get(section, {})} for section in SECTIONS}


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
        if isinstance(default, bool):
            if not isinstance(value, bool):
                raise SpecError(f"[{section}] {key} must be true or false; {value!r} came")
        elif isinstance(default, int) and (isinstance(value, bool) or not isinstance(value, int)):
            raise SpecError(f"[{section}] {key} must be a whole number; {value!r} came")
        if isinstance(default, float) and (isinstance(value, bool) or not isinstance(value, int | float)):
            raise SpecError(f"[{section}] {key} must be a number; {value!r} came")
        if isinstance(default, tuple):
            if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
                raise SpecError(f"[{section}] {key} must be a list of names; {value!r} came")
            table = {**table, key: tuple(value)}
    options = replace(defaults, **table)
    if isinstance(options, Data):
        _check_data(options)
    else:
        _check_train(options)
    return options


def _check_data(data: Data) -> None:
    _one_of(data.noise, tuple(NOISE_KINDS), "[data] noise")
    _one_of(data.copies, COPIES, "[data] copies")
    if data.clean_examples < 0:
        raise SpecError(f"[data] clean_examples must be 0 (all) or more; {data.clean_examples} came")
    if data.delta is not None and not (_is_number(data.delta) and 0 <= data.delta <= 1):
        raise SpecError(f"[data] delta must lie between 0 (uniform noise) and 1; {data.delta!r} came")
    if data.order is not None:
        _one_of(data.order, ORDERS, "[data] order")
    if data.source is not None and not isinstance(data.source, str):
        raise SpecError(f'[data] source must be "white" or the name of a data set; {data.source!r} came')


def _check_noise(spec: Spec) -> None:
    """Every kind of noise in the spec has its keys, every key a kind that needs it, and foreign copies one label.

    Measured moments are those of uniform noise.
    """
    kinds = spec.grid.get("noise", (spec.data.noise,))
    given = {*spec.grid, *spec.data.given()}
    for kind in kinds:
        for key in NOISE_KINDS.get(kind, ()):
            if key not in given:
                raise SpecError(f"[data] noise = {kind!r} needs {key}, in [data] or as a list in [grid]", key=key)
    for owner, keys in NOISE_KINDS.items():
        for key in keys:
            if key in given and owner not in kinds:
                raise SpecError(f"[data] {key} is for {owner} noise; it came with {', '.join(kinds)}: leave it out")
    if "foreign" in kinds and "expected" in spec.grid.get("copies", (spec.data.copies,)):
        raise SpecError(
            '[data] copies = "expected" averages over the labels of an image; foreign copies are other images: take '
            '"fresh" or "fixed"'
        )
    if "moments" in spec.train.measure and set(kinds) != {"uniform"}:
        raise SpecError(
            f'[train] measure = ["moments"] takes uniform noise; {", ".join(kinds)} came: leave measure out, or take '
            'noise = "uniform"'
        )


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _check_train(train: Train) -> None:
    _one_of(train.optimizer, OPTIMIZERS, "[train] optimizer")
    if not 0 <= train.momentum < 1:
        raise SpecError(f"[train] momentum must lie in [0, 1); {train.momentum} came")
    if train.momentum and train.optimizer != "sgd":
        raise SpecError(f"[train] momentum is for sgd; it came with {train.optimizer}: leave it out")
    if train.nesterov and not train.momentum:
        raise SpecError("[train] nesterov needs sgd with momentum above 0; none came: give momentum, or leave it out")
    if not 0 <= train.weight_decay <= LARGEST:
        raise SpecError(f"[train] weight_decay must be finite and at least 0; {train.weight_decay} came")
    try:
        multipliers(train.schedule, 1, warmup=train.warmup)
    except InputError as error:
        raise SpecError(f"[train] {error}") from error
    for kind in train.measure:
        _one_of(kind, tuple(MEASURED), "[train] measure")
    if not 1 <= train.evaluations <= MAX_EVALUATIONS:
        raise SpecError(
            f"[train] evaluations must be at least 1 and at most {MAX_EVALUATIONS:,}; {train.evaluations} came"
        )
    if train.history_images < 0:
        raise SpecError(f"[train] history_images must be at least 1, or 0 for all; {train.history_images} came")
    _check_budget(train.budget)
    steps = train.budget.get("steps")
    if steps is not None and train.evaluations > steps:
        raise SpecError(f"[train] evaluations must be at most the steps; {train.evaluations} came with {steps} steps")


def _check_budget(budget: Any) -> None:
    if not isinstance(budget, Mapping) or len(budget) != 1:
        raise SpecError(
            f"[train] budget needs exactly one of {{steps = T}}, {{examples = n}}, {{epochs = e}}; {budget!r} came"
        )
    _check_keys(budget, BUDGETS, where="[train] budget")
    ((unit, amount),) = budget.items()
    if isinstance(amount, bool) or not isinstance(amount, int | float) or not 0 < amount < math.inf:
        raise SpecError(f"[train] budget {unit} must be a positive number; {amount!r} came")
    if amount > MAX_BUDGET:
        raise SpecError(f"[train] budget {unit} must be at most {MAX_BUDGET:g}; {amount!r} came")
    if unit == "steps" and amount != int(amount):
        raise SpecError(f"[train] budget steps must be a whole number; {amount!r} came")


def _one_of(value: Any, known: tuple[str, ...], where: str) -> None:
    if not isinstance(value, str):
        raise SpecError(f"{where} must be one of {', '.join(known)}; {value!r} came", value=value, known=known)
    if value not in known:
        raise SpecError(f"{where} = {value!r} is not known; {hint(value, known)}", value=value, known=known)


def _grid(table: Mapping) -> dict[str, tuple]:
    extras = tuple(n for n in (*_names(Data), *_names(Train)) if n not in NOT_IN_GRID)
    _check_keys(table, (*CORE_DIMS, *extras), where="[grid]")
    for dim in ("alpha", "batch_size", "learning_rate"):
        if dim not in table:
            raise SpecError(f"[grid] needs {dim}, a list of values")
    grid = {
        "alpha": _numbers(table["alpha"], "alpha", low=0.0),
        "batch_size": _whole(table["batch_size"], "batch_size", low=1, high=MAX_BATCH),
        "learning_rate": _numbers(_spread(table["learning_rate"]), "learning_rate", low=SMALLEST),
        "seed": _seeds(table.get("seed", DEFAULT_SEEDS)),
    }
    for key in extras:
        if key in table:
            values = _budget_labels(table[key]) if key == "budget" else table[key]
            listed = isinstance(values, list) and all(isinstance(v, str | int | float) for v in values)
            if not listed or not values or len(set(values)) != len(values):
                raise SpecError(f"[grid] {key} must be a list of different values; {values!r} came")
            grid[key] = tuple(values)
    if (cells := math.prod(map(len, grid.values()))) > MAX_CELLS:
        raise SpecError(f"a grid has at most {MAX_CELLS:,} cells; {cells:,} came: shorten its lists")
    if (points := math.prod(len(grid[key]) for key in extras if key in grid)) > MAX_POINTS:
        raise SpecError(
            f"a grid has at most {MAX_POINTS:,} combinations of [data] and [train] keys; {points:,} came: "
            "shorten its lists"
        )
    return grid


def _budget_labels(values: Any) -> Any:
    """[{steps = 500}, ...] -> ["500 steps", ...], which the cube can hold."""
    if not isinstance(values, list):
        return values
    for budget in values:
        _check_budget(budget)
    return [budget_label(budget) for budget in values]


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
    count = math.floor((math.log(stop) - math.log(start)) / math.log(factor) + 1e-9) + 1
    if count > MAX_CELLS:
        raise SpecError(f"[grid] learning_rate may have at most {MAX_CELLS:,} values; {count:,} came: raise factor")
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


def _numbers(values: Any, name: str, *, low: float, high: float = LARGEST) -> tuple[float, ...]:
    if not isinstance(values, list) or not values:
        raise SpecError(f"[grid] {name} must be a list with at least one value; {values!r} came")
    for value in values:
        if not _is_number(value) or not low <= value <= high:
            limit = f"at most {high:g}" if _is_number(value) and value > high else f"at least {low:g}"
            raise SpecError(f"[grid] {name} must hold finite numbers of {limit}; {value!r} came")
    if len(set(values)) != len(values):
        raise SpecError(f"[grid] {name} holds a value twice: {values}")
    return tuple(sorted(float(v) for v in values))


def _whole(values: Any, name: str, *, low: int, high: float = LARGEST) -> tuple[int, ...]:
    for value in values if isinstance(values, list) else ():
        if isinstance(value, bool) or not isinstance(value, int):
            raise SpecError(f"[grid] {name} must hold whole numbers; {value!r} came")
    return tuple(int(v) for v in _numbers(values, name, low=low, high=high))


def _seeds(value: Any) -> tuple[int, ...]:
    if isinstance(value, int) and not isinstance(value, bool):
        if not 1 <= value <= MAX_CELLS:
            raise SpecError(
                f"[grid] seed must be a count of at least 1 and at most {MAX_CELLS:,}, or a list; {value} came"
            )
        return tuple(range(value))
    return _whole(value, "seed", low=0)
