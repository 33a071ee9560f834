"""Claim: along one list of the grid the best learning rate goes as a power, with a given exponent.

The exponent is the slope of log2 of the best rate on log2 of 1 + α, batch size or budget. Of any other list, which has
two values, it is by how many powers of two the rate rises from the first to the second. It is the mean over the rest of
the grid; with `between`, it is that at the second value of that list minus that at the first. Rule: supported if its
95 % interval lies within ± `margin` of the exponent claimed, which leaves out the rival; refuted if it lies outside;
undecided else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from effbatch.claims.base import Claim, Setup
from effbatch.claims.shared import linearised, stored
from effbatch.claims.shared.accuracy_curves import estimated
from effbatch.claims.shared.case import Case
from effbatch.claims.shared.judgement import Judgement, within
from effbatch.claims.shared.rates import OCTAVES, rates_table, why_unknown
from effbatch.core.errors import CubeError, SpecError, hint
from effbatch.core.estimate import Estimate, exact
from effbatch.core.figures import Axis, Figure, Number, Panel, Series, noise_axis
from effbatch.core.formats import cell_text, estimate_text
from effbatch.fitting.peak import peak
from effbatch.fitting.resampling import over_seeds
from effbatch.laws.bibliography import BORDELON_2022, MCCANDLISH_2018
from effbatch.plan.cube import score
from effbatch.plan.keys import key
from effbatch.plan.words import bare_value, list_in_words, value_in_words

THEORY = "linearised"
LOG2: Mapping[str, Callable[[Any], float]] = {  # lists that a power is taken of; "500 steps" is a budget
    "alpha": lambda alpha: np.log2(1 + alpha),
    "batch_size": np.log2,
    "budget": lambda label: np.log2(float(str(label).split()[0])),
}
BASES = {"alpha": "1 + α", "batch_size": "the batch size", "budget": "the training length"}


@dataclass(frozen=True)
class RateExponentClaim(Claim):
    """The best rate goes as a power of what the grid varies."""

    asks = "the best rate goes along one list of the grid as a given power"
    references = (BORDELON_2022.bibtex, MCCANDLISH_2018.bibtex)

    along: str = key("alpha", "the list of [grid]: alpha, batch_size, budget, or another one of two values")
    between: str = key("", "a list of two values: what the exponent changes by from the first to the second")
    exponent: float | str = key(
        THEORY, "what is claimed; by default what the linearised theory says of this grid", takes=object
    )
    rival: float = key(0.0, "the exponent that has to be excluded", low=-10, high=10)
    margin: float = key(0.2, "largest distance from the exponent that counts as none", above=0, below=10)

    @property
    def headline(self) -> str:
        said = "the linearised theory's" if isinstance(self.exponent, str) else _text(self.exponent)
        unit = f" {self._unit}" if self._unit else ""
        return f"{self._what} within {self.margin:g}{unit} of {said} (rival: {_text(self.rival)})"

    @property
    def _what(self) -> str:
        shift = f"shift of the best rate by {list_in_words(self.along)}"
        of = f"exponent of {BASES[self.along]} in the best rate" if self.along in BASES else shift
        return f"change of the {of} by {list_in_words(self.between)}" if self.between else of

    @property
    def _unit(self) -> str:
        return "" if self.along in LOG2 else OCTAVES

    def predict(self, setup: Setup) -> dict[str, Any]:
        """The exponent claimed, with the best rates that it comes from where the theory says it."""
        self._check(setup)
        prediction: dict[str, Any] = {"exponent": self.exponent}
        if self.exponent == THEORY:
            rates = linearised.log2_best_rates(setup)
            prediction["exponent"] = round(float(self._of(rates)(rates.values[None])[0]), 3)
            prediction["log2_rates"] = stored.to_json(rates.to_dataset(name="log2_rates"))
        if abs(prediction["exponent"] - self.rival) <= self.margin:
            raise SpecError(
                f"[claim] margin must tell the exponent {prediction['exponent']:g} from the rival {self.rival:g}, got "
                f"{self.margin:g}: take a smaller margin, or another rival"
            )
        return prediction

    def _check(self, setup: Setup) -> None:
        """SpecError where the grid has no such lists, or the exponent is neither a number nor the theory's."""
        lists = {name: len(values) for name, values in setup.grid.items() if name not in ("learning_rate", "seed")}
        for name in filter(None, (self.along, self.between)):
            if name not in lists:
                raise SpecError(f"[claim] {name!r} is no list of [grid] for rate_exponent; {hint(name, lists)}")
            of_two = name == self.between or name not in LOG2
            if lists[name] < 2 or (of_two and lists[name] > 2):
                raise SpecError(
                    f"[claim] rate_exponent needs {'two' if of_two else 'at least two'} values of {name} in [grid], "
                    f"got {lists[name]}: give them"
                )
        if isinstance(self.exponent, str) and self.exponent != THEORY:
            raise SpecError(f'[claim] exponent must be a number or "{THEORY}", got {self.exponent!r}: take one of them')

    def _of(self, rates: xr.DataArray) -> Callable[[NDArray], NDArray]:
        """What takes log2 of best rates (rows, *dims of `rates`) to the exponent of every row."""
        dims = [str(dim) for dim in rates.dims]
        weights = np.ones([1] * len(dims)) / (rates.size / rates.sizes[self.along])
        weights = weights * _slope(self._places(rates)).reshape([-1 if dim == self.along else 1 for dim in dims])
        if self.between:
            weights = 2 * weights * np.array([-1, 1]).reshape([-1 if dim == self.between else 1 for dim in dims])
        return lambda log2: (log2 * weights).reshape(len(log2), -1).sum(1)

    def _places(self, rates: xr.DataArray) -> NDArray[np.float64]:
        """Where the values of the list stand: log2, or 0 and 1."""
        values = rates[self.along].values
        log2 = LOG2.get(self.along)
        return np.arange(len(values), dtype=float) if log2 is None else np.array([log2(value) for value in values])

    def describe(self, prediction: Mapping[str, Any]) -> str:
        return (
            f"The {self._what} is {_text(prediction['exponent'])}"
            + ", says the linearised theory of the untrained networks" * (self.exponent == THEORY)
            + f". The claim holds if the interval of the measured one lies within {self.margin:g} of it, which leaves "
            f"out the rival, {_text(self.rival)}, and is refuted if it lies outside."
        )

    def judge(self, case: Case) -> Judgement:
        scores = score(case.cube).sortby("learning_rate")
        if missing := [name for name in (self.along, self.between) if name and name not in scores.dims]:
            raise CubeError(f"the claim rate_exponent needs a cube along {missing[0]}, got none: sweep over it")
        dims = [dim for dim in scores.dims if dim not in ("learning_rate", "seed")]
        scores = scores.transpose("seed", *dims, "learning_rate")
        claimed, measured = case.prediction["exponent"], self._exponent(scores)
        verdict, p_value = within(measured, claimed - self.margin, claimed + self.margin)
        finding = self._finding(measured, claimed, scores)
        predicted = None
        if "log2_rates" in case.prediction:
            predicted = stored.from_json(case.prediction["log2_rates"])["log2_rates"]
        return Judgement(
            verdict=verdict,
            finding=finding,
            numbers=[
                self._number(measured),
                Number("predicted", exact(claimed), self._unit),
                Number("threshold of the rule", exact(self.margin), self._unit),
                Number("rival", exact(self.rival), self._unit),
                *self._by_setting(scores),
            ],
            figures=(self._figure(case.name, scores, predicted, finding),),
            tables=(rates_table(case.best, None if predicted is None else 2.0**predicted),),
            limits=[
                "One network; one batch size and training length, unless the rule varies it.",
                *self._at_edges(case),
            ],
            p_value=p_value,
        )

    def _finding(self, measured: Estimate, claimed: float, scores: xr.DataArray) -> str:
        """How the best rate goes along the list, against the prediction and the rival."""
        told = estimate_text(measured, self._unit, difference=True)
        said = f"The best rate goes as {BASES.get(self.along)} to the power {told}"
        if across := self.between or self.along * (self.along not in BASES):
            first, second = scores[across].values
            what = f"the exponent of {BASES[self.along]} in the best rate" if self.along in BASES else "the best rate"
            said = f"From {value_in_words(across, first)} to {bare_value(second)}, {what} changes by {told}"
        excluded = "is" if measured.excludes(self.rival) else "is not"
        return f"{said}; predicted: {_text(claimed)}. The rival, {_text(self.rival)}, {excluded} excluded."

    def _number(self, exponent: Estimate, where: str = "") -> Number:
        return Number(f"{self._what}{where}", exponent, self._unit, difference=True)

    def _at_edges(self, case: Case) -> list[str]:
        unknown = why_unknown(case.best)
        return [f"{unknown} There the rate at that edge counts."] * bool(unknown)

    def _exponent(self, scores: xr.DataArray) -> Estimate:
        """Of scores (seed, ..., learning_rate), over seeds."""
        of, x = self._of(scores.isel(seed=0, learning_rate=0)), np.log2(scores["learning_rate"].values)
        return over_seeds(scores.values, lambda means: of(peak(x, means).location))

    def _by_setting(self, scores: xr.DataArray) -> list[Number]:
        """The exponent in every setting of the rest of the grid, where it has more than one."""
        settings = list(_settings(scores, self.along, self.between))
        if len(settings) == 1:
            return []
        return [self._number(self._exponent(at), f", {name}") for name, at in settings]

    def _axis(self, scores: xr.DataArray) -> Axis:
        values = scores[self.along].values
        if self.along == "alpha":
            return noise_axis(values)
        if self.along not in LOG2:
            names = list(map(bare_value, values))
            return Axis(list_in_words(self.along), ticks=(0, 1), domain=(-0.5, 1.5), names=names)
        label = f"training length, {values[0].split()[1]}" if self.along == "budget" else "batch size B"
        return Axis(label, "log2", ticks=tuple(2 ** self._places(scores)))

    def _figure(self, name: str, scores: xr.DataArray, predicted: xr.DataArray | None, finding: str) -> Figure:
        """The best rate against the list, a curve for every setting of the rest."""
        axis = self._axis(scores)
        x, rates = axis.ticks, np.log2(scores["learning_rate"].values)
        theory = {} if predicted is None else dict(_settings(predicted, self.along))
        series = []
        for label, at in _settings(scores, self.along):
            points = [
                over_seeds(one.values, lambda means: 2 ** peak(rates, means).location)
                for one in at.transpose(self.along, "seed", "learning_rate")
            ]
            curve = label or "best rate"
            series.append(estimated(f"{curve}, measured", x, points, group=curve))
            if label in theory:
                series.append(Series(f"{curve}, predicted", "predicted", x, 2 ** theory[label].values, group=curve))
        caption = f"{finding} Best rate and its 95 % interval over {scores.sizes['seed']} seeds."
        return Figure(name, caption, (Panel(axis, Axis("best learning rate", "log"), tuple(series)),))


def _settings(values: xr.DataArray, *kept: str) -> Iterator[tuple[str, xr.DataArray]]:
    """Every setting of the dims that are not kept, with its name; no name where there is one."""
    rest = [dim for dim in values.dims if dim not in (*kept, "seed", "learning_rate")]
    for place in np.ndindex(*(values.sizes[dim] for dim in rest)):
        at = values.isel(dict(zip(rest, place, strict=True)))
        name = ", ".join(value_in_words(dim, at[dim].item()) for dim in rest if values.sizes[dim] > 1)
        yield name, at.drop_vars(rest)


def _text(exponent: float) -> str:
    return cell_text(exponent, ".3g")


def _slope(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Weights w of the least-squares slope, Σ w_i y_i."""
    centred = x - x.mean()
    return centred / (centred @ centred)
