"""Judged cubes -> the yardsticks of the whole package: how good its predictions are, beside fixed goals.

They pool the cubes that carry a prediction of the linearised theory, stored before training, and the judgements of
the collapse. A goal is met or missed only where the whole 95 % interval lies on one side of it.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from functools import partial
from typing import Any

import numpy as np
import xarray as xr

from effbatch.audit.proportions import clopper_pearson
from effbatch.claims import Judgement, Verdict
from effbatch.claims.base import at_most
from effbatch.claims.shared import linearised
from effbatch.core.figures import Axis, Figure, Number, Panel, Series, Table
from effbatch.core.formats import number_text
from effbatch.fitting import best_learning_rates, regret
from effbatch.fitting.cells import groups, setting_of
from effbatch.fitting.resampling import MIN_SEEDS, over_cells
from effbatch.fitting.student import student_quantile
from effbatch.laws import get
from effbatch.plan.cube import Outcome, resolved_spec

RIVALS = {
    "square_root_clean_count": "√(B/(1+α))",
    "none": "no scaling",
    "linear": "linear in B",
    "square_root": "√B",
    "clean_count": "B/(1+α)",
}
RIVAL, THEORY = "rival: ", "linearised theory, on the cells of its rivals"
EVERY = "all networks"
_RESAMPLES = 1000
CONFIDENCE = 0.95

Statistic = Callable[..., Any]
_Q90, _Q95 = (partial(np.quantile, q=q) for q in (0.9, 0.95))


class Reached(StrEnum):
    """Whether a goal was reached."""

    MET = "met"
    NOT_MET = "not met"
    CANNOT_TELL = "cannot tell"


_REACHED = {
    Verdict.SUPPORTED: Reached.MET,
    Verdict.REFUTED: Reached.NOT_MET,
    Verdict.UNDECIDED: Reached.CANNOT_TELL,
}


@dataclass(frozen=True)
class Yardstick:
    """One number with its goal. `of` says of which networks, or of which rival; only EVERY has a goal to reach."""

    number: Number
    of: str = EVERY
    goal: str = ""
    reached: Reached | None = None

    @property
    def line(self) -> str:
        """The yardstick in one line of text."""
        return f"{str(self.reached).upper():<12}{self.number.label}: {number_text(self.number)} (goal: {self.goal})"

    def to_json(self) -> dict[str, Any]:
        """JSON-ready values; null where a number cannot be told or has no interval."""
        number = {k: None if isinstance(v, float) and not np.isfinite(v) else v for k, v in asdict(self.number).items()}
        return {**number, "of": self.of, "goal": self.goal, "reached": self.reached and str(self.reached)}


def measure(cubes: Mapping[str, xr.Dataset], judgements: Mapping[str, Judgement]) -> list[Yardstick]:
    """Every yardstick that these cubes can answer, headlines and what stands beside them.

    moments      closed-form gradient moments against labels that are really noisy (`training.moments_check`)
    best rate    |log2(predicted/measured)| over the cells with a measured best rate, in powers of two; bootstrap over
                 cells
    regret       accuracy at the best rate of the grid minus accuracy at the predicted one, in points; bootstrap over
                 cells. Rivals: anchored at the clean cell of the same network at the middle batch size; they and the
                 theory stand beside each other on the cells, other than that anchor, for which all say a rate
    surface      root mean square of predicted minus expected accuracy over all settings of the grid that finished with
                 two seeds or more; jackknife over seeds
    collapse     the exponent δ as its claim found it
    cost         seconds of prediction over seconds of training that it replaces
    """
    predicted = [cube for cube in cubes.values() if _has_surface(cube)]
    yardsticks = [y for cube in list(cubes.values())[:1] if "moments_check" in cube.attrs for y in _moments(cube)]
    if predicted:
        names = _names(predicted)
        cells = xr.concat([_cells(cube, of) for cube, of in zip(predicted, names, strict=True)], "cell")
        errors = [_errors(cube, of) for cube, of in zip(predicted, names, strict=True)]
        yardsticks += _rate(cells) + _regret(cells) + _surface(errors)
    yardsticks += [_collapse(judgements[name]) for name, cube in cubes.items() if _kind(cube) == "collapse"]
    if predicted:
        yardsticks.append(_cost(predicted))
    return yardsticks


def headlines(yardsticks: Sequence[Yardstick]) -> list[Yardstick]:
    """Those with a goal."""
    return [yardstick for yardstick in yardsticks if yardstick.reached is not None]


def table(yardsticks: Sequence[Yardstick]) -> Table:
    """The table of the report."""
    rows: list[list[str | int | None]] = []
    for yardstick in yardsticks:
        label = yardstick.number.label if yardstick.reached else f"· {yardstick.of}"
        bare = number_text(replace(yardstick.number, unit="", n=None))  # the goal says the unit
        rows.append([label, bare, yardstick.number.n, yardstick.goal, str(yardstick.reached or "")])
    ended = Counter(str(yardstick.reached) for yardstick in headlines(yardsticks))
    caption = (
        f"Of {ended.total()} goals {ended[Reached.MET]} met, {ended[Reached.NOT_MET]} not met, "
        f"{ended[Reached.CANNOT_TELL]} cannot tell. Linearised theory: from the untrained networks, with no anchor. "
        "Rivals of the regret: anchored at the clean cell of the same network and the middle batch size; they and the "
        "theory beside them are tried on the other cells for which all of them say a rate. A goal is met or missed "
        "only where the whole 95 % interval lies on one side of it."
    )
    return Table("yardsticks", caption, ("yardstick", "value [95 % interval]", "n", "goal", "reached"), rows)


def figure(yardsticks: Sequence[Yardstick]) -> Figure | None:
    """Accuracy lost by the rate of every law; None where no law was tried."""
    tried = [y for y in yardsticks if y.of.startswith((RIVAL, THEORY)) and np.isfinite(_value(y))]
    if not any(y.of.startswith(RIVAL) for y in tried):
        return None
    tried.sort(key=_value, reverse=True)
    names = [y.of.removeprefix(RIVAL).replace(THEORY, "linearised theory") for y in tried]
    places = list(range(len(tried)))
    groups = {"laws, anchored at one tuned cell": RIVAL, "linearised theory, no anchor": THEORY}
    series = []
    for group, start in groups.items():
        chosen = [i for i in places if tried[i].of.startswith(start)]
        low, value, high = ([getattr(tried[i].number, key) for i in chosen] for key in ("low", "value", "high"))
        series.append(Series(group, "measured", value, chosen, low, high, interval="x"))
    best, worst = tried[-1], tried[0]
    caption = (
        f"Least accuracy is lost with the rate of {names[-1]}, {number_text(best.number)}; most with {names[0]}, "
        f"{number_text(worst.number)}. Accuracy at the best rate of the grid minus that at the predicted one, mean and "
        "95 % interval over the same n cells for all, those other than the anchors for which all of them say a rate."
    )
    labels = [f"{name}, n = {y.number.n}" for name, y in zip(names, tried, strict=True)]
    y = Axis("", ticks=places, names=labels, domain=(-0.6, len(tried) - 0.4))
    return Figure("regret", caption, (Panel(Axis("accuracy lost, points"), y, [s for s in series if len(s.x)]),))


def _value(yardstick: Yardstick) -> float:
    return np.nan if yardstick.number.value is None else yardstick.number.value


def _has_surface(cube: xr.Dataset) -> bool:
    """Whether the linearised theory said something of this cube before it was trained."""
    stored = _prediction(cube).get("linearised")
    return stored is not None and bool(linearised.from_json(stored)["accuracy"].notnull().any())


def _cells(cube: xr.Dataset, names: xr.DataArray) -> xr.Dataset:
    """By `cell`: error of the predicted best rate, its regret and the rivals', NaN where unknown; `label`: its name."""
    best = best_learning_rates(cube)
    predicted = linearised.from_json(_prediction(cube)["linearised"])["best_learning_rate"]
    found = xr.Dataset({"error": np.abs(np.log2(predicted / best["best_learning_rate"]))})
    found["regret"] = 100 * regret(cube, best, predicted)["regret"]
    for law, rates in _from_clean_cell(best).items():
        found[f"regret_{law}"] = 100 * regret(cube, best, rates)["regret"]
    found["label"] = names.broadcast_like(found["error"])
    dims = best["outcome"].dims
    flat = {name: ("cell", values.transpose(*dims).values.ravel()) for name, values in found.items()}
    return xr.Dataset(flat)


def _from_clean_cell(best: xr.Dataset) -> dict[str, xr.DataArray]:
    """Rates by every rival, anchored at the clean cell of the middle batch size; NaN there and where it has none."""
    nowhere = xr.full_like(best["best_learning_rate"], np.nan).transpose(..., "alpha", "batch_size")
    rates = {law: nowhere.copy() for law in RIVALS}
    clean, middle = float(best["alpha"].min()), np.sort(best["batch_size"].values)[best.sizes["batch_size"] // 2]
    for place, cells in groups(best):
        at = (cells["alpha"].values == clean) & (cells["batch_size"].values == middle)
        if clean > 0 or not at.any():
            continue
        setting, anchor, others = setting_of(cells), np.flatnonzero(at), np.flatnonzero(~at)
        row, column = (
            (cells[dim].values[others][:, None] == best[dim].values).argmax(1) for dim in ("alpha", "batch_size")
        )
        for law, known in rates.items():
            factor = get(law).factor(setting(others), setting(anchor))
            known.values[(*place, row, column)] = cells["best_learning_rate"].values[anchor] * factor
    return {law: known.transpose(*best["best_learning_rate"].dims) for law, known in rates.items()}


def _moments(cube: xr.Dataset) -> list[Yardstick]:
    check = json.loads(cube.attrs["moments_check"])
    inside, cells = check["inside"], check["cells"]
    low, high = (100 * float(limit) for limit in clopper_pearson(inside, cells, CONFIDENCE))
    label = "intervals that hold the closed-form gradient moments"
    reached = Reached.MET if low >= 95 else Reached.NOT_MET if high < 95 else Reached.CANNOT_TELL
    error = Number("relative error of exact gradient moments", check["exact_error"], exact=True)
    small = Reached.MET if check["exact_error"] <= 1e-6 else Reached.NOT_MET
    return [
        Yardstick(Number(label, 100 * inside / cells, low, high, cells, "%"), EVERY, "at least 95 %", reached),
        Yardstick(error, EVERY, "at most 1e-6", small),
    ]


def _rate(cells: xr.Dataset) -> list[Yardstick]:
    label, unit = "error of the best rate predicted without training", "powers of two"
    return [
        _goal(_number(f"{label}, median", cells["error"], np.median, unit), 0.5, "at most 0.5 powers of two"),
        *_by_network(f"{label}, median", cells, "error", np.median, unit),
        _goal(_number(f"{label}, 90th percentile", cells["error"], _Q90, unit), 1.0, "at most 1 power of two"),
    ]


def _regret(cells: xr.Dataset) -> list[Yardstick]:
    label, unit = "accuracy lost by using it", "points"
    names = {"regret": THEORY} | {f"regret_{law}": f"{RIVAL}{name}" for law, name in RIVALS.items()}
    same = cells[list(names)].to_array().notnull().all("variable")
    beside = [_plain(f"{label}, mean", cells[key].where(same), np.mean, unit, name) for key, name in names.items()]
    return [
        _goal(_number(f"{label}, mean", cells["regret"], np.mean, unit), 0.5, "at most 0.5 points"),
        *_by_network(f"{label}, mean", cells, "regret", np.mean, unit),
        *beside,
        _goal(_number(f"{label}, 95th percentile", cells["regret"], _Q95, unit), 2.0, "at most 2 points"),
    ]


def _goal(number: Number, most: float, goal: str) -> Yardstick:
    assert number.low is not None
    assert number.high is not None
    return Yardstick(number, EVERY, goal, _REACHED[at_most(number.low, number.high, most)])


def _by_network(label: str, cells: xr.Dataset, name: str, statistic: Statistic, unit: str) -> list[Yardstick]:
    """One row for every network, on every data set if there are several; none where there is one."""
    labels = list(dict.fromkeys(cells["label"].values))
    if len(labels) < 2:
        return []
    return [_plain(label, cells[name].where(cells["label"] == of), statistic, unit, str(of)) for of in labels]


def _plain(label: str, values: xr.DataArray, statistic: Statistic, unit: str, of: str) -> Yardstick:
    return Yardstick(_number(label, values, statistic, unit), of)


def _number(label: str, values: xr.DataArray, statistic: Statistic, unit: str) -> Number:
    known = values.values[np.isfinite(values.values)]
    estimate = over_cells(known, statistic, resamples=_RESAMPLES)
    return Number(label, estimate.value, estimate.low, estimate.high, len(known), unit, note="cells")


def _errors(cube: xr.Dataset, names: xr.DataArray) -> xr.DataArray:
    """Measured minus predicted accuracy in points, (seed, cell); NaN unless finished.

    With every cell its name, and whether its rate is at most twice the best one predicted: beyond, the linearised
    theory diverges or knows no edge.
    """
    stored = linearised.from_json(_prediction(cube)["linearised"])
    predicted, reach = stored["accuracy"], 2 * stored["best_learning_rate"]
    finished = cube["test_accuracy"].astype(float).where(cube["outcome"] == int(Outcome.FINISHED))
    error = (100 * (finished - predicted)).drop_vars(["step", "examples"], errors="ignore")
    dims = [dim for dim in error.dims if dim != "seed"]
    label = names.broadcast_like(error.isel(seed=0, drop=True)).transpose(*dims)
    stacked = error.transpose("seed", *dims).values.reshape(error.sizes["seed"], -1)
    near = (error["learning_rate"] <= reach).broadcast_like(error.isel(seed=0, drop=True)).transpose(*dims)
    coords = {"label": ("cell", label.values.ravel()), "near": ("cell", near.values.ravel())}
    return xr.DataArray(stacked, dims=("seed", "cell"), coords=coords)


def _surface(errors: Sequence[xr.DataArray]) -> list[Yardstick]:
    label = "error of the accuracy predicted without training, root mean square"
    rows = [_goal(_rmse(label, errors), 3.0, "at most 3 points")]
    near = [error.isel(cell=error["near"].values) for error in errors]
    if any(bool(error.notnull().any()) for error in near):
        rows.append(Yardstick(_rmse(label, near), "learning rates up to twice the best one predicted"))
    names = list(dict.fromkeys(name for error in errors for name in error["label"].values))
    if len(names) > 1:
        for name in names:
            chosen = [error.isel(cell=error["label"].values == name) for error in errors]
            rows.append(Yardstick(_rmse(label, chosen), str(name)))
    return rows


def _rmse(label: str, errors: Sequence[xr.DataArray]) -> Number:
    """Root mean square over settings of the expected error, limits by leaving out one seed after the other.

    As in `fitting.mean_square`, products of different seeds keep the seeds' own scatter out; the limits there need
    every run of every setting, but here some diverged and some cubes have more seeds. A seed means the same images in
    every cube and is left out of all at once: V ± t SE (jackknife; Student's t for the fewest seeds of a cube), V being
    the mean square. Measured coverage, nominal 95 %, two cubes of 3 to 10 seeds, 30 and 300 settings, scatter of 2
    points half shared by the settings, 1,000 draws each: 92 to 100 % for errors of 3 points or more, 86 to 100 % for 1.
    """
    values = [error.values for error in errors]
    fewest, most = (pick(map(len, values)) for pick in (min, max))
    squares = _mean_squares(values)
    low = high = np.nan
    if fewest >= MIN_SEEDS and squares.size:
        left = [_mean_squares([v[np.arange(len(v)) != seed] for v in values]).mean() for seed in range(most)]
        error = np.sqrt((most - 1) * np.var(left))
        half = error * student_quantile(fewest - 1, CONFIDENCE)
        low, high = (float(np.sqrt(max(squares.mean() + sign * half, 0.0))) for sign in (-1, 1))
    value = float(np.sqrt(max(squares.mean(), 0.0))) if squares.size else np.nan
    note = f"settings; interval over {fewest} seeds" if fewest >= MIN_SEEDS else "settings"
    return Number(label, value, low, high, squares.size, "points", note=note)


def _mean_squares(errors: Sequence[np.ndarray]) -> np.ndarray:
    """Of every cell that finished with two seeds or more the mean of e_s e_t over s ≠ t; `errors` (seeds, cells)."""
    squares = []
    for values in errors:
        runs = np.isfinite(values).sum(axis=0)
        pairs = np.nansum(values, axis=0) ** 2 - np.nansum(values**2, axis=0)
        squares.append(pairs[runs > 1] / (runs * (runs - 1))[runs > 1])
    return np.concatenate(squares)


def _collapse(judged: Judgement) -> Yardstick:
    """δ, and which of 1 and 2 its interval excludes."""
    delta = judged.numbers[0]
    goal = "interval excludes δ = 1 or δ = 2"
    number = Number("collapse exponent δ of B/(1+α)^δ", delta.value, delta.low, delta.high, delta.n, note=delta.note)
    if delta.value is None or delta.low is None or delta.high is None:
        return Yardstick(number, EVERY, goal, Reached.CANNOT_TELL)
    excluded = [f"{d}" for d in (1, 2) if not delta.low <= d <= delta.high]
    said = f"{goal}; it excludes {' and '.join(excluded) or 'neither'}"
    return Yardstick(number, EVERY, said, Reached.MET if excluded else Reached.CANNOT_TELL)


def _cost(cubes: Collection[xr.Dataset]) -> Yardstick:
    """Seconds of prediction over seconds of training, in per cent, on the machine of the run."""
    label, goal = "time to predict, share of the training time", "at most 2 %"
    spent = [_stored(cube).get("seconds", np.nan) for cube in cubes]
    share = 100 * float(np.sum(spent) / np.sum([cube.attrs["train_seconds"] for cube in cubes]))
    if np.isnan(share):
        return Yardstick(Number(label, None, n=len(spent), note="sweeps"), EVERY, goal, Reached.CANNOT_TELL)
    number = Number(label, share, n=len(spent), unit="%", note="sweeps")
    return Yardstick(number, EVERY, goal, Reached.MET if share <= 2 else Reached.NOT_MET)


def _names(cubes: Sequence[xr.Dataset]) -> list[xr.DataArray]:
    """The name of every cell of each cube: its network, and its data set where the cubes have several."""
    datasets = [_said(cube, "data", "dataset") for cube in cubes]
    several = len({name for said in datasets for name in said.values.ravel()}) > 1
    names = [_said(cube, "train", "network") for cube in cubes]
    if several:
        names = [network + " on " + dataset for network, dataset in zip(names, datasets, strict=True)]
    return [name.drop_vars(["network", "dataset"], errors="ignore") for name in names]


def _said(cube: xr.Dataset, part: str, key: str) -> xr.DataArray:
    """A key of the spec in every cell: a dimension of the grid, or one value for all."""
    values = cube[key] if key in cube.dims else xr.DataArray(resolved_spec(cube)[part][key])
    return values.astype(object)


def _stored(cube: xr.Dataset) -> dict[str, Any]:
    return json.loads(cube.attrs.get("predictions", "null")) or {"before_training": False}


def _prediction(cube: xr.Dataset) -> dict[str, Any]:
    """The prediction; empty unless it was stored before training."""
    stored = _stored(cube)
    return stored["prediction"] if stored["before_training"] else {}


def _kind(cube: xr.Dataset) -> str:
    return resolved_spec(cube)["claim"]["kind"]
