"""Judged cubes -> the scorecard of the package: how good its predictions are, beside fixed goals.

It pools the package's own simulations that carry a prediction of the linearised theory, stored before training, and the
judgements of the collapse. A goal is met or missed only where the whole 95 % interval lies on one side of it.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from effbatch.audit.proportions import clopper_pearson
from effbatch.claims import Verdict
from effbatch.claims.shared.judgement import at_most
from effbatch.core.estimate import Estimate, exact
from effbatch.core.figures import Axis, Figure, Number, Panel, Series, Table
from effbatch.core.formats import estimate_text, number_text
from effbatch.core.resources import bundled
from effbatch.fitting.resampling import over_cells
from effbatch.fitting.student import CONFIDENCE, MIN_SEEDS, student_quantile
from effbatch.validation.judged import JudgedCube
from effbatch.validation.pooled import RIVALS, accuracy_errors, has_surface, rate_cells

MOMENTS = Path(__file__).with_name("moments_check.json")  # python benchmarks/moments_check.py writes it
RIVAL, THEORY = "rival: ", "linearised theory, on the cells of its rivals"
EVERY = "all networks"

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
class Line:
    """One number with its goal. `of` says of which networks, or of which rival; only EVERY has a goal to reach."""

    number: Number
    of: str = EVERY
    goal: str = ""
    reached: Reached | None = None

    @property
    def text(self) -> str:
        """The line as text."""
        return f"{str(self.reached).upper():<12}{self.number.label}: {number_text(self.number)} (goal: {self.goal})"

    def to_json(self) -> dict[str, Any]:
        """JSON-ready values; null where a number cannot be told or has no interval."""
        return {
            **self.number.to_json(),
            "of": self.of,
            "goal": self.goal,
            "reached": self.reached and str(self.reached),
        }


def measure(judged: Mapping[str, JudgedCube]) -> list[Line]:
    """Every line that the package's own simulations among these cubes can answer; none where there is none.

    moments      closed-form gradient moments against labels that are really noisy, as recorded (`MOMENTS`)
    best rate    error over the cells with a measured best rate; bootstrap over cells
    regret       what its use costs; bootstrap over cells. Rivals and theory stand beside each other on the cells for
                 which all say a rate
    surface      root mean square of predicted minus expected accuracy over all settings of the grid that finished with
                 two seeds or more; jackknife over seeds
    collapse     the exponent δ as its claim found it
    cost         seconds of prediction over seconds of training that it replaces
    """
    own = [one for one in judged.values() if of_the_package(one)]
    predicted = [one for one in own if has_surface(one)]
    lines = _moments() if own else []
    if predicted:
        cells = rate_cells(predicted)
        lines += _rate(cells) + _regret(cells) + _surface(accuracy_errors(predicted))
    lines += [_collapse(one) for one in own if one.claim is not None and one.claim.kind() == "collapse"]
    return [*lines, _cost(predicted)] if predicted else lines


def of_the_package(one: JudgedCube) -> bool:
    """Whether the sweep is of a simulation that comes with the package, not of a user's file."""
    return (bundled("simulations") / f"{one.arguments.split()[0]}.toml").is_file()


def headlines(card: Sequence[Line]) -> list[Line]:
    """Those with a goal."""
    return [line for line in card if line.reached is not None]


def table(card: Sequence[Line], name: str) -> Table:
    """These lines as a table of the report."""
    rows: list[list[str | int | None]] = []
    for line in card:
        label = line.number.label if line.reached else f"· {line.of}"
        bare = estimate_text(line.number.estimate, n=False)  # the goal says the unit
        rows.append([label, bare, line.number.estimate.n, line.goal, str(line.reached or "")])
    ended = Counter(str(line.reached) for line in headlines(card))
    caption = (
        f"Of {ended.total()} goals {ended[Reached.MET]} met, {ended[Reached.NOT_MET]} not met, "
        f"{ended[Reached.CANNOT_TELL]} cannot tell. A goal is met or missed only where the whole 95 % interval lies on "
        "one side of it."
    )
    if len(card) > ended.total():
        caption += (
            " Linearised theory: from the untrained networks, with no anchor. Rivals of the regret: anchored at the "
            "clean cell of the same network and the middle batch size; they and the theory beside them are tried on "
            "the other cells for which all of them say a rate."
        )
    return Table(name, caption, ("quantity", "value [95 % interval]", "n", "goal", "reached"), rows)


def figure(card: Sequence[Line]) -> Figure | None:
    """Accuracy lost by the rate of every law; None where no law was tried."""
    tried = [y for y in card if y.of.startswith((RIVAL, THEORY)) and np.isfinite(_value(y))]
    if not any(y.of.startswith(RIVAL) for y in tried):
        return None
    tried.sort(key=_value, reverse=True)
    names = [y.of.removeprefix(RIVAL).replace(THEORY, "linearised theory") for y in tried]
    places = list(range(len(tried)))
    groups = {"laws, one anchor": RIVAL, "theory, no anchor": THEORY}
    series = []
    for group, start in groups.items():
        chosen = [i for i in places if tried[i].of.startswith(start)]
        low, value, high = (
            [getattr(tried[i].number.estimate, key) for i in chosen] for key in ("low", "value", "high")
        )
        series.append(Series(group, "measured", value, chosen, low=low, high=high, interval="x"))
    best, worst = tried[-1], tried[0]
    caption = (
        f"Least accuracy is lost with the rate of {names[-1]}, {number_text(best.number)}; most with {names[0]}, "
        f"{number_text(worst.number)}. Accuracy at the best rate of the grid minus that at the predicted one, mean and "
        "95 % interval over the same n cells for all, those other than the anchors for which all of them say a rate."
    )
    labels = [f"{name}, n = {y.number.estimate.n}" for name, y in zip(names, tried, strict=True)]
    y = Axis("", ticks=places, names=labels, domain=(-0.6, len(tried) - 0.4))
    return Figure("regret", caption, (Panel(Axis("accuracy lost, points"), y, [s for s in series if len(s.x)]),))


def _value(line: Line) -> float:
    return line.number.estimate.floats.value


def _moments() -> list[Line]:
    """The recorded check of the closed form, see `measure.moments_check`."""
    check = json.loads(MOMENTS.read_text(encoding="utf-8"))
    inside, cells, error = check["inside"], check["cells"], check["exact_error"]
    low, high = (100 * float(limit) for limit in clopper_pearson(inside, cells, CONFIDENCE))
    share = Estimate(100 * inside / cells, low, high, n=cells, level=CONFIDENCE)
    held = Number("intervals that hold the closed-form gradient moments", share, "%", check["source"])
    closed = Number("relative error of exact gradient moments", exact(error), note=check["source"])
    return [
        Line(held, EVERY, "at least 95 %", _side(low >= 95, high < 95)),
        Line(closed, EVERY, "at most 1e-6", _side(error <= 1e-6, error > 1e-6)),
    ]


def _side(met: bool, missed: bool) -> Reached:
    return Reached.MET if met else Reached.NOT_MET if missed else Reached.CANNOT_TELL


def _rate(cells: xr.Dataset) -> list[Line]:
    label, unit = "error of the best rate predicted without training", "powers of two"
    return [
        _goal(_number(f"{label}, median", cells["error"], np.median, unit), 0.5, "at most 0.5 powers of two"),
        *_by_network(f"{label}, median", cells, "error", np.median, unit),
        _goal(_number(f"{label}, 90th percentile", cells["error"], _Q90, unit), 1.0, "at most 1 power of two"),
    ]


def _regret(cells: xr.Dataset) -> list[Line]:
    label, unit = "accuracy lost by using it", "points"
    names = {"regret": THEORY} | {f"regret_{law}": f"{RIVAL}{name}" for law, name in RIVALS.items()}
    same = cells[list(names)].to_array().notnull().all("variable")
    tried = {name: cells[key].where(same) for key, name in names.items()}
    beside = [Line(_number(f"{label}, mean", lost, np.mean, unit), name) for name, lost in tried.items()]
    return [
        _goal(_number(f"{label}, mean", cells["regret"], np.mean, unit), 0.5, "at most 0.5 points"),
        *_by_network(f"{label}, mean", cells, "regret", np.mean, unit),
        *beside,
        _goal(_number(f"{label}, 95th percentile", cells["regret"], _Q95, unit), 2.0, "at most 2 points"),
    ]


def _goal(number: Number, most: float, goal: str) -> Line:
    verdict, _ = at_most(number.estimate, most)
    return Line(number, EVERY, goal, _REACHED[verdict])


def _by_network(label: str, cells: xr.Dataset, name: str, statistic: Statistic, unit: str) -> list[Line]:
    """One row for every network, on every data set if there are several; none where there is one."""
    labels = list(dict.fromkeys(cells["label"].values))
    if len(labels) < 2:
        return []
    chosen = {str(of): cells[name].where(cells["label"] == of) for of in labels}
    return [Line(_number(label, values, statistic, unit), of) for of, values in chosen.items()]


def _number(label: str, values: xr.DataArray, statistic: Statistic, unit: str) -> Number:
    known = values.values[np.isfinite(values.values)]
    return Number(label, over_cells(known, statistic), unit, "cells")


def _surface(errors: Sequence[xr.DataArray]) -> list[Line]:
    label = "error of the accuracy predicted without training, root mean square"
    rows = [_goal(_rmse(label, errors), 3.0, "at most 3 points")]
    near = [error.isel(cell=error["near"].values) for error in errors]
    if any(bool(error.notnull().any()) for error in near):
        rows.append(Line(_rmse(label, near), "learning rates up to twice the best one predicted"))
    names = list(dict.fromkeys(name for error in errors for name in error["label"].values))
    if len(names) > 1:
        for name in names:
            chosen = [error.isel(cell=error["label"].values == name) for error in errors]
            rows.append(Line(_rmse(label, chosen), str(name)))
    return rows


def _rmse(label: str, errors: Sequence[xr.DataArray]) -> Number:
    """Root mean square over settings of the expected error, limits by leaving out one seed after the other.

    As in `fitting.student`, products of different seeds keep the seeds' own scatter out; the limits there need
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
    return Number(label, Estimate(value, low, high, n=squares.size, level=CONFIDENCE), "points", note)


def _mean_squares(errors: Sequence[np.ndarray]) -> np.ndarray:
    """Of every cell that finished with two seeds or more the mean of e_s e_t over s ≠ t; `errors` (seeds, cells)."""
    squares = []
    for values in errors:
        runs = np.isfinite(values).sum(axis=0)
        pairs = np.nansum(values, axis=0) ** 2 - np.nansum(values**2, axis=0)
        squares.append(pairs[runs > 1] / (runs * (runs - 1))[runs > 1])
    return np.concatenate(squares)


def _collapse(one: JudgedCube) -> Line:
    """δ, and which of 1 and 2 its interval excludes."""
    label, goal = "collapse exponent δ of B/(1+α)^δ", "interval excludes δ = 1 or δ = 2"
    if one.judgement is None:
        return Line(Number(label, Estimate(None)), EVERY, goal, Reached.CANNOT_TELL)
    delta = replace(one.judgement.numbers[0], label=label)
    if delta.estimate.interval is None:
        return Line(delta, EVERY, goal, Reached.CANNOT_TELL)
    excluded = [f"{d}" for d in (1, 2) if delta.estimate.excludes(d)]
    said = f"{goal}; it excludes {' and '.join(excluded) or 'neither'}"
    return Line(delta, EVERY, said, Reached.MET if excluded else Reached.CANNOT_TELL)


def _cost(judged: Sequence[JudgedCube]) -> Line:
    """Seconds of prediction over seconds of training, in per cent, on the machine of the run."""
    label, goal = "time to predict, share of the training time", "at most 2 %"
    spent = [one.stored.get("seconds", np.nan) for one in judged]
    share = 100 * float(np.sum(spent) / np.sum([one.cube.attrs["train_seconds"] for one in judged]))
    known = np.isfinite(share)
    number = Number(label, Estimate(share, n=len(spent)), "%" * bool(known), "sweeps")
    return Line(number, EVERY, goal, _side(share <= 2, share > 2))
