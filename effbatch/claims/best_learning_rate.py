"""Claim: a law carries the best learning rate from one tuned cell to every other noise level and batch size.

Rule: the median error of `law` over cells that its anchor has not seen, |log2(predicted/measured)|, is at most
`max_median_error` powers of two. Beside it stand all other laws, and the linearised theory, which needs no anchor.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr

from effbatch.claims.base import Judgement, Setup, at_most
from effbatch.claims.shared import linearised
from effbatch.core.figures import Axis, Figure, Number, Panel, Series, Table
from effbatch.fitting import FitOutcome, best_learning_rates, compare_all, exponents
from effbatch.fitting.compare import prediction_row
from effbatch.fitting.figures import closed_limits
from effbatch.laws import LAWS, get

RULE: Mapping[str, Any] = {"law": "square_root_clean_count", "max_median_error": 0.5}
LINEARISED = "linearised (no anchor, no training)"


def predict(setup: Setup) -> dict[str, Any]:
    """The exponents of the rule are in its formula; the linearised theory's best rates are computed here."""
    law = get(setup.rule["law"])
    return {"law": law.name, "formula": law.formula, "linearised": linearised.to_json(linearised.surface(setup))}


def headline(rule: Mapping[str, Any]) -> str:
    return f"{get(rule['law']).formula} within {rule['max_median_error']:g} powers of two (median)"


def describe(prediction: Mapping[str, Any], rule: Mapping[str, Any]) -> str:
    best = linearised.from_json(prediction["linearised"])["best_learning_rate"]
    theory = (
        "Without an anchor and without training, the linearised theory says best rates from "
        f"{float(best.min()):.2g} to {float(best.max()):.2g}."
        if bool(best.notnull().any())
        else "The linearised theory says nothing about training like this."
    )
    return (
        f"The law {prediction['law']}, {prediction['formula']}, anchored at any one tuned cell, gives the best rate "
        f"of the others; the claim holds if its median error is at most {rule['max_median_error']:g} powers of two. "
        f"{theory}"
    )


def judge(cube: xr.Dataset, prediction: Mapping[str, Any], rule: Mapping[str, Any]) -> Judgement:
    best = best_learning_rates(cube)
    compared = compare_all(best, cube, threshold=rule["max_median_error"])
    row = compared.sel(law=rule["law"])
    error, low, high, cells = float(row["median_error"]), float(row["low"]), float(row["high"]), int(row["cells"])
    predicted = linearised.from_json(prediction["linearised"])["best_learning_rate"]
    theory = prediction_row(best, predicted, cube)
    powers = exponents(best)
    finding = (
        f"Anchored at one tuned cell, {get(rule['law']).formula} misses the best rate of the others by "
        f"{error:.2f} powers of two (median, {cells} cells) and costs {100 * float(row['regret']):.1f} points of "
        f"accuracy on average. Measured, the best rate goes as {_powers(powers)}."
    )
    if not cells:
        finding = "Fewer than two settings have a best rate inside the grid: there is nothing to judge a law by."
    numbers = [
        Number(f"median error of {rule['law']}", error, low, high, cells, "powers of two"),
        Number("threshold of the rule", rule["max_median_error"], unit="powers of two", exact=True),
        Number(
            f"median error, {LINEARISED}", theory["median_error"], theory["low"], theory["high"], cells, "powers of two"
        ),
        *_exponent_numbers(powers, cells),
    ]
    left_out = int((best["outcome"] != int(FitOutcome.INTERIOR)).sum())
    limits = [
        f"{left_out} of {best['outcome'].size} cells have no best rate inside the grid and take no part; see the table."
    ] * bool(left_out) + [
        "The laws know nothing of the budget here: another number of steps gives other exponents.",
        "Regret compares with the best rate of the grid, chosen on the same seeds, so it is a little too large.",
    ]
    references = [get(rule["law"]).bibtex, *(LAWS[n].bibtex for n in ("signal_to_noise", "linear"))]
    return Judgement(
        at_most(low, high, rule["max_median_error"]),
        finding,
        numbers,
        (_figure(best, predicted, rule["law"], powers),),
        (_laws_table(compared, theory), _rates_table(best, predicted)),
        limits,
        tuple(dict.fromkeys(references)),
        p_value=float(row["p_value"]) if np.isfinite(row["p_value"]) else None,
    )


def _exponent_numbers(powers: xr.Dataset, cells: int) -> list[Number]:
    """The fitted exponents of B and 1 + α; none where the grid holds several networks or data sets."""
    if powers["exponent"].size > 2:
        return []
    numbers = []
    for term, label in (("batch_size", "B"), ("alpha", "1 + α")):
        value, low, high = (powers[name].sel(term=term).item() for name in ("exponent", "low", "high"))
        note = "least squares over the cells, HC3"
        numbers.append(Number(f"exponent of {label}", value, low, high, cells, note=note))
    return numbers


def _powers(powers: xr.Dataset) -> str:
    b, a = (float(powers["exponent"].sel(term=term).mean()) for term in ("batch_size", "alpha"))
    return f"B^{b:.2f} (1+α)^{a:.2f}"


def _laws_table(compared: xr.Dataset, theory: Mapping[str, float]) -> Table:
    rows: list[list[str | float | int | None]] = [
        [
            LINEARISED,
            "",
            "nothing",
            theory["median_error"],
            _range(theory),
            theory["quantile90"],
            100 * theory["regret"],
            100 * theory["regret95"],
        ]
    ]
    for name in compared["law"].values[np.argsort(compared["median_error"].values)]:
        law = compared.sel(law=name)
        if not int(law["pairs"]):
            continue
        values = {key: float(law[key]) for key in ("low", "high")}
        rows.append(
            [
                str(name),
                LAWS[str(name)].formula,
                str(law["how"].values),
                float(law["median_error"]),
                _range(values),
                float(law["quantile90"]),
                100 * float(law["regret"]),
                100 * float(law["regret95"]),
            ]
        )
    errors = [(row[3], row[0]) for row in rows if isinstance(row[3], float) and np.isfinite(row[3])]
    said = "Nearest: {0[1]}, {0[0]:.2f} powers of two (median). ".format(min(errors)) if errors else ""
    return Table(
        "laws",
        f"{said}Every law tried on cells that it has not seen, of {int(compared['cells'].max())}: anchored at each "
        "cell in turn, or, where it has parameters, fitted on all cells but the one it predicts. Error of the best "
        "rate in powers of two, and accuracy lost by using the prediction, in percentage points.",
        ("law", "formula", "knows", "median error", "95 % interval", "90th percentile", "regret, mean", "regret, 95th"),
        rows,
        ("", "", "", ".2f", "", ".2f", ".1f", ".1f"),
    )


def _range(values: Mapping[str, float]) -> str:
    return f"{values['low']:.2f} to {values['high']:.2f}" if np.isfinite(values["low"]) else "cannot tell"


def _limits(low: float, high: float) -> str:
    return f"{f'{low:.3g}' if low > 0 else 'no lower limit'} to {f'{high:.3g}' if high < np.inf else 'no upper limit'}"


def _rates_table(best: xr.Dataset, predicted: xr.DataArray) -> Table:
    rows: list[list[str | float | int | None]] = []
    extra = [dim for dim in best["outcome"].dims if dim not in ("alpha", "batch_size")]
    stacked = best.assign(predicted=predicted).stack(cell=[*extra, "batch_size", "alpha"])
    for i in range(stacked.sizes["cell"]):
        cell = stacked.isel(cell=i)
        outcome = FitOutcome(int(cell["outcome"]))  # type: ignore[call-arg]
        inside = outcome is FitOutcome.INTERIOR
        rows.append(
            [
                " ".join([*(str(cell[dim].item()) for dim in extra), f"B = {int(cell['batch_size'])}"]),
                float(cell["alpha"]),
                float(cell["predicted"]),
                float(cell["best_learning_rate"]) if inside else None,
                _limits(float(cell["low"]), float(cell["high"])) if inside else outcome.sentence,
                100 * float(cell["best_accuracy"]),
                int(cell["seeds"]),
            ]
        )
    ratio = np.abs(np.log2((predicted / best["best_learning_rate"]).values))
    ratio = ratio[np.isfinite(ratio)]
    off = f" {np.median(ratio):.2f} powers of two apart at the median of {ratio.size} cells" if ratio.size else ""
    return Table(
        "rates",
        f"Best learning rate of every cell, predicted without training by the linearised theory, and measured:"
        f"{off or ' nothing to compare'}.",
        ("cell", "α", "predicted", "measured", "95 % interval", "accuracy, %", "n"),
        rows,
        ("", "g", ".3g", ".3g", "", ".1f", "d"),
    )


def _figure(best: xr.Dataset, predicted: xr.DataArray, law: str, powers: xr.Dataset) -> Figure:
    extra = [dim for dim in best["outcome"].dims if dim not in ("alpha", "batch_size")]
    panels = []
    for place in best.stack(panel=extra)["panel"].values if extra else [()]:
        here = dict(zip(extra, place, strict=True))
        panels.append(_panel(best.sel(here), predicted.sel(here), law, ", ".join(str(v) for v in here.values())))
    seeds = int(best["seeds"].max())
    caption = (
        f"The best learning rate goes as {_powers(powers)}. Points: best rate and its 95 % interval over {seeds} "
        f"seeds. Solid: linearised theory, before "
        f"training. Dashed: {law}, drawn through the middle cell."
    )
    return Figure("best_rate", caption, tuple(panels))


def _panel(best: xr.Dataset, predicted: xr.DataArray, law: str, title: str) -> Panel:
    x = 1 + best["alpha"].values
    middle = best["best_learning_rate"].isel(alpha=len(x) // 2, batch_size=best.sizes["batch_size"] // 2)
    series = []
    for batch in best["batch_size"].values:
        at = best.sel(batch_size=batch)
        group = f"B = {batch}"
        rates = at["best_learning_rate"].values
        series.append(Series(f"{group}, measured", "measured", x, rates, **closed_limits(at), group=group))
        series.append(
            Series(f"{group}, linearised", "predicted", x, predicted.sel(batch_size=batch).values, group=group)
        )
        setting, anchor = _settings(best, batch)
        factor = get(law).factor(setting, anchor)
        series.append(Series(f"{group}, {law}", "rival", x, float(middle) * np.asarray(factor), group=group))
    return Panel(Axis("1 + α", "log", ticks=tuple(x)), Axis("best learning rate", "log"), tuple(series), title)


def _settings(best: xr.Dataset, batch: int):
    from effbatch.laws import Setting

    alphas, batches = best["alpha"].values, best["batch_size"].values
    return Setting(alphas, float(batch)), Setting(float(alphas[len(alphas) // 2]), float(batches[len(batches) // 2]))
