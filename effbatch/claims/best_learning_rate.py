"""Claim: a law carries the best learning rate from one tuned cell to every other noise level and batch size.

Rule: the median error of `law` over cells that its anchor has not seen, |log2(predicted/measured)|, is at most
`max_median_error` powers of two. Beside it stand all other laws, and the linearised theory, which needs no anchor.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from effbatch.claims.base import Claim, Setup
from effbatch.claims.shared import linearised, stored
from effbatch.claims.shared.case import Case
from effbatch.claims.shared.judgement import Judgement, at_most
from effbatch.claims.shared.rates import OCTAVES, rates_table, why_unknown
from effbatch.core.estimate import Estimate, exact
from effbatch.core.figures import Number, Table
from effbatch.core.formats import estimate_text
from effbatch.fitting import FitOutcome, compare_all, exponents
from effbatch.fitting.compare import prediction_row
from effbatch.fitting.figures import best_rates
from effbatch.laws import LAWS, get
from effbatch.plan.keys import key

LINEARISED = "linearised (no anchor, no training)"


@dataclass(frozen=True)
class BestLearningRateClaim(Claim):
    """A law gives the best rate of cells that its anchor has not seen."""

    asks = "a law carries the best rate from cell to cell"

    law: str = key("square_root_clean_count", "the law that is judged; all others stand beside it", choices=LAWS)
    max_median_error: float = key(0.5, "largest median error of the best rate, in powers of two", low=0)

    def sources(self) -> Sequence[str]:
        return list(dict.fromkeys(get(name).bibtex for name in (self.law, "signal_to_noise", "linear")))

    @property
    def headline(self) -> str:
        return f"{get(self.law).formula} within {self.max_median_error:g} powers of two (median)"

    def predict(self, setup: Setup) -> dict[str, Any]:
        """The exponents of the rule are in its formula; the linearised theory's best rates are computed here."""
        law = get(self.law)
        return {"law": law.name, "formula": law.formula, **linearised.prediction(setup)}

    def describe(self, prediction: Mapping[str, Any]) -> str:
        best = stored.theory(prediction)["best_learning_rate"]
        theory = (
            "Without an anchor and without training, the linearised theory says best rates from "
            f"{float(best.min()):.2g} to {float(best.max()):.2g}."
            if bool(best.notnull().any())
            else "The linearised theory says nothing about training like this."
        )
        return (
            f"The law {prediction['law']}, {prediction['formula']}, anchored at any one tuned cell, gives the best "
            f"rate of the others; the claim holds if its median error is at most {self.max_median_error:g} powers of "
            f"two. {theory}"
        )

    def judge(self, case: Case) -> Judgement:
        best, predicted = case.best, case.theory["best_learning_rate"]
        compared = compare_all(best, case.cube, threshold=self.max_median_error)
        row = compared.sel(law=self.law)
        error = _estimate(row, int(row["cells"]))
        verdict, p_value = at_most(error, self.max_median_error)
        theory = prediction_row(best, predicted, case.cube)
        powers = exponents(best)
        said = _goes_as(powers, "The best learning rate goes as {}.") or why_unknown(best)
        rates = best_rates("best_rate", best, self.law, finding=said, predicted=predicted)
        return Judgement(
            verdict=verdict,
            finding=self._finding(error, row, powers, best),
            plain=self._plain(error, row, powers),
            numbers=[
                Number(f"median error of {self.law}", error, OCTAVES),
                Number("threshold of the rule", exact(self.max_median_error), OCTAVES),
                Number(f"median error, {LINEARISED}", _estimate(theory, error.n), OCTAVES),
                *_exponent_numbers(powers),
            ],
            figures=(rates,) if rates.panels else (),
            tables=(_laws_table(compared, theory), rates_table(best, predicted)),
            limits=_limits(best),
            p_value=p_value,
        )

    def _finding(self, error: Estimate, row: xr.Dataset, powers: xr.Dataset, best: xr.Dataset) -> str:
        if not error.n:
            return f"There is nothing to judge a law by. {why_unknown(best)}"
        return (
            f"Anchored at one tuned cell, {get(self.law).formula} misses the best rate of the others by "
            f"{float(row['median_error']):.2f} powers of two (median, {int(row['cells'])} cells) and costs "
            f"{100 * float(row['regret']):.1f} points of accuracy on average."
            f"{_goes_as(powers, ' Measured, the best rate goes as {}.')}"
        )

    def _plain(self, error: Estimate, row: xr.Dataset, powers: xr.Dataset) -> str:
        if not error.n:
            return ""
        power, factor = _told(powers).get("(1+α)"), Estimate(*(2**x for x in error.floats), n=error.n)
        noisier = ""
        if power is not None:
            left = Estimate(*(11**x for x in power.floats), n=power.n)
            noisier = f" Ten noisy labels per clean one leave {estimate_text(left)}, of it (a power law)."
        return (
            f"The rule {get(self.law).formula} carries the best learning rate from one tuned setting to others within "
            f"a factor {estimate_text(factor)} (median).{noisier}"
        )


def _estimate(row: Mapping[str, Any] | xr.Dataset, n: int | None) -> Estimate:
    """The median error of a law over n cells."""
    value, low, high, p_value = (float(row[key]) for key in ("median_error", "low", "high", "p_value"))
    return Estimate(value, low, high, n=n, level=0.95, test=lambda threshold: p_value)  # of this one


def _limits(best: xr.Dataset) -> list[str]:
    left_out, cells = int((best["outcome"] != int(FitOutcome.INTERIOR)).sum()), best["outcome"].size
    limits = [f"{left_out} of {cells} cells have no best rate inside the grid and take no part; see the table."]
    return limits * bool(left_out) + [
        "The laws know nothing of the budget here: another number of steps gives other exponents.",
        "Regret compares with the best rate of the grid, chosen on the same seeds, so it is a little too large.",
    ]


def _exponent_numbers(powers: xr.Dataset) -> list[Number]:
    """The fitted exponents of B and 1 + α; none where the grid holds several networks or data sets."""
    if powers["exponent"].size > 2:
        return []
    numbers = []
    for term, label in (("batch_size", "B"), ("alpha", "1 + α")):
        at = powers.sel(term=term)
        found = Estimate(
            *(at[name].item() for name in ("exponent", "low", "high")), n=int(at["cells"].item()), level=0.95
        )
        numbers.append(Number(f"exponent of {label}", found, note="least squares over the cells, HC3", difference=True))
    return numbers


def _told(powers: xr.Dataset) -> dict[str, Estimate]:
    """The exponent of B and of 1 + α, where its interval excludes 0; of several networks mean and all intervals."""
    found = {}
    for term, base in (("batch_size", "B"), ("alpha", "(1+α)")):
        at = powers.sel(term=term)
        value, low, high = (
            float(x) for x in (at["exponent"].mean(), at["low"].min(skipna=False), at["high"].max(skipna=False))
        )
        if low > 0 or high < 0:
            found[base] = Estimate(value, low, high, n=int(at["cells"].sum()), level=0.95)
    return found


def _goes_as(powers: xr.Dataset, sentence: str) -> str:
    """The sentence with the power law put in, "B^0.51 [0.42, 0.60], n = 6"; empty where no exponent is told from 0."""
    told = _told(powers)
    known = " ".join(f"{base}^{estimate_text(one, n=False, difference=True)}" for base, one in told.items())
    return sentence.format(f"{known}, n = {int(powers['cells'].sum())}") if told else ""


def _laws_table(compared: xr.Dataset, theory: Mapping[str, float]) -> Table:
    laws = [compared.sel(law=name) for name in compared["law"].values[np.argsort(compared["median_error"].values)]]
    rows = [
        [LINEARISED, "", "nothing", *_law_cells(theory)],
        *(
            [
                str(law["law"].item()),
                LAWS[str(law["law"].item())].formula,
                str(law["how"].item()).split()[0],
                *_law_cells(law),
            ]
            for law in laws
            if int(law["pairs"])
        ),
    ]
    errors = [(row[3].value, row[0]) for row in rows if row[3].value is not None]
    said = "Nearest: {0[1]}, {0[0]:.2f} powers of two (median). ".format(min(errors)) if errors else ""
    return Table(
        "laws",
        f"{said}Every law tried on cells that it has not seen, of {int(compared['cells'].max())}: anchored at each "
        "cell in turn, or, where it has parameters, fitted on all cells but the one it predicts. Error of the best "
        "rate in powers of two, and accuracy lost by using the prediction, in percentage points.",
        ("law", "formula", "how", "median error [95 % interval]", "90th percentile", "regret, mean", "regret, 95th"),
        rows,
        ("", "", "", "", ".2f", ".1f", ".1f"),
    )


def _law_cells(row: Mapping[str, Any] | xr.Dataset) -> list[Any]:
    """Median error with its interval, 90th percentile and regrets of one law."""
    median, low, high, quantile90 = (float(row[key]) for key in ("median_error", "low", "high", "quantile90"))
    return [Estimate(median, low, high), quantile90, 100 * float(row["regret"]), 100 * float(row["regret95"])]
