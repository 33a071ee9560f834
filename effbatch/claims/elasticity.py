"""Claim: losing clean labels hurts more than gaining noisy ones, by the ratio that signal detection predicts.

How far the true class stands out, d, follows from the accuracy among K classes (`detection.d_prime`); a log-linear
fit over the grid of clean_examples and α,

    ln d = b_clean ln n_clean + b_noisy ln n_noisy + constant,      n_noisy = α n_clean,

gives both elasticities at once. The prediction is the same fit to d = κ √(n_clean/(1 + α)): at each point its slopes
are 1 − 1/(2(1+α)) and −α/(2(1+α)), so that −b_clean/b_noisy is (2α+1)/α, 2 for heavy noise.
Rule: supported if the 95 % interval of the ratio −b_clean/b_noisy lies within a factor `max_factor` of the predicted
one, refuted if it lies wholly outside, undecided else. Its interval comes from resampling the seeds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from effbatch.claims.base import Claim, Setup
from effbatch.claims.shared.case import Case
from effbatch.claims.shared.grid import only
from effbatch.claims.shared.judgement import Judgement, within
from effbatch.claims.shared.seed_mean import seed_mean
from effbatch.core.errors import SpecError
from effbatch.core.estimate import Estimate, exact
from effbatch.core.figures import Axis, Figure, Number, Panel, Series, Table
from effbatch.fitting.resampling import over_seeds
from effbatch.laws.bibliography import GREEN_1966, ROLNICK_2017
from effbatch.plan.cube import num_classes
from effbatch.plan.keys import key
from effbatch.theory.detection import accuracy as detected

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class ElasticityClaim(Claim):
    """The ratio of the elasticities of d in clean and in noisy labels is (2α+1)/α."""

    asks = "losing clean labels hurts (2α+1)/α times as much as gaining noisy ones"
    references = (GREEN_1966.bibtex, ROLNICK_2017.bibtex)

    max_factor: float = key(1.5, "largest factor between the measured and the predicted ratio", low=1)

    @property
    def headline(self) -> str:
        return f"ratio of the elasticities within a factor {self.max_factor:g} of (2α+1)/α"

    def predict(self, setup: Setup) -> dict[str, Any]:
        """The slopes of ln d = ln √(n_clean/(1 + α)) over the same settings, and their ratio."""
        _check_grid(setup)
        clean, alpha = (np.array(values, float) for values in (setup.grid["clean_examples"], setup.noisy))
        clean, alpha = (grid.ravel() for grid in np.meshgrid(clean, alpha, indexing="ij"))
        b_clean, b_noisy = slopes(0.5 * np.log(clean / (1 + alpha)), clean, alpha * clean)
        return {"clean": float(b_clean), "noisy": float(b_noisy), "ratio": float(-b_clean / b_noisy)}

    def describe(self, prediction: Mapping[str, Any]) -> str:
        return (
            "The true class stands out by d ∝ n_clean/√(n_clean + n_noisy): over this grid d goes as n_clean to the "
            f"{prediction['clean']:.2f} and n_noisy to the {prediction['noisy']:.2f}, so losing clean labels hurts "
            f"{prediction['ratio']:.2f} times as much as gaining noisy ones. The claim holds if the interval of the "
            f"measured ratio lies within a factor {self.max_factor:g} of that, and is refuted if it lies outside."
        )

    def judge(self, case: Case) -> Judgement:
        K, accuracy = num_classes(case.cube), _settings(case.accuracy)
        predicted = case.prediction["ratio"]
        clean, noisy, ratio, left_out = _elasticities(accuracy, K)
        verdict, p_value = within(ratio, predicted / self.max_factor, predicted * self.max_factor)
        lost, gained, measured = (one.floats.value for one in (clean, noisy, ratio))
        said = {name: f"predicted: {value:.2f}" for name, value in case.prediction.items()}
        finding = (
            f"The true class stands out {_lost(lost)} less with half the clean labels, {_lost(-gained)} less with "
            f"twice the noisy ones. Losing clean labels hurts {measured:.2f} times as much as gaining noisy ones; "
            f"{predicted:.2f} times was predicted."
        )
        return Judgement(
            verdict=verdict,
            finding=finding,
            numbers=[
                Number("ratio of the elasticities, −clean/noisy", ratio, note=said["ratio"]),
                Number("threshold of the rule", exact(self.max_factor), "factor"),
                Number("elasticity of d in clean labels", clean, note=said["clean"]),
                Number("elasticity of d in noisy labels", noisy, note=said["noisy"]),
            ],
            figures=(_figure(accuracy, K, finding),),
            tables=(_table(accuracy, K),),
            limits=[
                "The rule looks at the ratio alone: d may grow more slowly with labels of both kinds than predicted.",
                "d stands for label noise alone; with few clean images what the network has not seen limits the "
                "accuracy too, and near the ceiling of the network more labels of any kind change little.",
                "One power law over the whole grid: the elasticities themselves change with α, in the prediction as "
                "well.",
                "Copies that are visited many times are memorised; the prediction sees each label once.",
                *[f"{left_out} settings at chance, or without an error, have no ln d and are left out."]
                * bool(left_out),
            ],
            p_value=p_value,
        )


def slopes(log_d: Floats, clean: Floats, noisy: Floats) -> tuple[Floats, Floats]:
    """Least-squares slopes of ln d (..., settings) in ln n_clean and ln n_noisy (settings,)."""
    design = np.stack([np.log(clean), np.log(noisy), np.ones(len(clean))], axis=1)
    b = log_d @ np.linalg.pinv(design).T
    return b[..., 0], b[..., 1]


def _check_grid(setup: Setup) -> None:
    """SpecError unless clean_examples and α vary, and nothing else but the learning rate and the seed does."""
    varied = {key for key, values in setup.grid.items() if len(values) > 1} - {"learning_rate", "seed"}
    if varied != {"clean_examples", "alpha"} or len(setup.noisy) < 2 or min(setup.grid["clean_examples"]) == 0:
        raise SpecError(
            "[claim] kind = 'elasticity' needs lists of clean_examples and of alpha above 0 in [grid], two values each "
            f"at least, and one value of all else but learning_rate and seed, got lists of "
            f"{', '.join(sorted(varied)) or 'neither'}: change the grid"
        )


def _settings(accuracy: xr.DataArray) -> xr.DataArray:
    """Dims (seed, setting): every clean_examples with every α above 0."""
    noisy = accuracy.sel(alpha=accuracy["alpha"] > 0)
    kept = only(noisy, ("clean_examples", "alpha", "seed"), what="the claim elasticity")
    return kept.stack(setting=("clean_examples", "alpha")).transpose("seed", "setting")


def _labels(accuracy: xr.DataArray) -> tuple[Floats, Floats]:
    """n_clean and n_noisy of every setting."""
    clean, alpha = (accuracy[key].values.astype(float) for key in ("clean_examples", "alpha"))
    return clean, alpha * clean


def log_d(accuracy: Floats, K: int) -> Floats:
    """ln d of accuracies, NaN at chance and below, and where d would be above 6.

    Read off a table: thousands of resampled accuracies are no task for the bisection of `detection.d_prime`.
    """
    found = np.interp(accuracy, *_table_of_d(K), left=np.nan, right=np.nan)
    return np.log(np.where(found > 0, found, np.nan))


@cache
def _table_of_d(K: int) -> tuple[Floats, Floats]:
    """Accuracies and the d that they belong to."""
    d = np.linspace(0, 6, 3001)
    return detected(d, K), d


def _elasticities(accuracy: xr.DataArray, K: int) -> tuple[Estimate, Estimate, Estimate, int]:
    """Elasticities of d in clean and noisy labels and −clean/noisy, resampling seeds; settings without ln d."""
    known = np.isfinite(log_d(accuracy.values.mean(0), K))
    clean, noisy = (labels[known] for labels in _labels(accuracy))

    def fitted(means: Floats) -> tuple[Floats, Floats]:
        return slopes(log_d(means, K), clean, noisy)

    def ratio(means: Floats) -> Floats:
        b_clean, b_noisy = fitted(means)
        return -b_clean / b_noisy

    statistics = (lambda means: fitted(means)[0], lambda means: fitted(means)[1], ratio)
    b_clean, b_noisy, b_ratio = (over_seeds(accuracy.values[:, known], statistic) for statistic in statistics)
    return b_clean, b_noisy, b_ratio, int((~known).sum())


def _lost(elasticity: float) -> str:
    """What half as much of something with this elasticity takes off."""
    return f"{100 * (1 - 0.5**elasticity):.0f} %"


def _figure(accuracy: xr.DataArray, K: int, finding: str) -> Figure:
    """d against the number of noisy labels, one curve per number of clean ones; κ of the prediction is fitted."""
    mean, low, high = (np.exp(log_d(v.values, K)) for v in seed_mean(accuracy))
    clean, noisy = _labels(accuracy)
    predicted = clean / np.sqrt(clean + noisy)
    kappa = np.exp(np.nanmean(np.log(mean / predicted)))
    series = []
    for count in np.unique(clean):
        at, group = clean == count, f"{count:g} clean labels"
        series.append(
            Series(f"{group}, measured", "measured", noisy[at], mean[at], low=low[at], high=high[at], group=group)
        )
        series.append(Series(f"{group}, predicted", "predicted", noisy[at], kappa * predicted[at], group=group))
    panel = Panel(Axis("noisy labels", "log"), Axis("d", "log"), tuple(series))
    caption = (
        f"{finding} Points: d of the mean accuracy and its 95 % interval over {accuracy.sizes['seed']} seeds. Lines: "
        "d = κ n_clean/√(n_clean + n_noisy), one κ fitted to all points."
    )
    return Figure("clean_against_noisy", caption, (panel,))


def _table(accuracy: xr.DataArray, K: int) -> Table:
    mean, low, high = (100 * values.values for values in seed_mean(accuracy))
    rows = [
        [int(c), int(m), m / c, Estimate(a, lo, hi), d if np.isfinite(d) else None, accuracy.sizes["seed"]]
        for c, m, a, lo, hi, d in zip(*_labels(accuracy), mean, low, high, np.exp(log_d(mean / 100, K)), strict=True)
    ]
    least, most = (pick(rows, key=lambda row: row[3].value) for pick in (min, max))
    return Table(
        "labels",
        f"Accuracy at the best learning rate, and d: from {least[3].value:.1f} % ({least[0]} clean, {least[1]} noisy "
        f"labels) to {most[3].value:.1f} % ({most[0]} clean, {most[1]} noisy).",
        ("clean labels", "noisy labels", "α", "accuracy, % [95 % interval]", "d", "n"),
        rows,
        ("d", "d", "g", "", ".2f", "d"),
    )
