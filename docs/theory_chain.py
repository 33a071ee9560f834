"""The recorded digits -> docs/figures/theory_chain.svg: every link of the theory against α; simulations/rejudge.py."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from effbatch.core.figures import Axis, Figure, Panel, Series, noise_axis
from effbatch.noise import UniformNoise
from effbatch.show import charts
from effbatch.validation.judged import JudgedCube

FILE = Path(__file__).parent / "figures" / "theory_chain.svg"
ALPHAS = np.array([0.0, 1, 3, 7, 15])
CAPTION = "Labels, gradients, effective batch, learning rate and accuracy against noisy labels per clean one."
NAMES = {"measured": "measured on digits", "predicted": "computed without training", "rival": "law"}  # by role

Judged = Mapping[str, JudgedCube]  # by simulation


def svg(judged: Judged) -> str:
    """Five panels in the order of the theory, each link with what was measured of it."""
    panels = [_labels(), _gradients(judged), _batch(judged), _rate(judged), _accuracy(judged)]
    return charts.draw(Figure("theory_chain", CAPTION, panels)).svg


def _labels() -> Panel:
    correct = 100 * (1 - UniformNoise(ALPHAS, 10).noise_rate)
    axis = Axis("correct labels, %", domain=(0, 100))
    return _panel("1 Labels", axis, [Series("", "predicted", ALPHAS, correct)])


def _gradients(judged: Judged) -> Panel:
    """B_noise at the first checkpoint; the law (1+α)² near initialisation starts from the measured one at α = 1."""
    named = {series.name: series for series in _series(judged, "moments", 0)}
    first = [[s.y[0], s.low[0], s.high[0]] for s in (named[f"α = {alpha:g}"] for alpha in ALPHAS)]
    y, low, high = np.array(first, float).T
    law = Series("", "rival", ALPHAS, y[1] * ((1 + ALPHAS) / 2) ** 2)
    return _panel(
        "2 Gradients", Axis("noise scale, labels", "log"), [Series("", "measured", ALPHAS, y, low=low, high=high), law]
    )


def _batch(judged: Judged) -> Panel:
    """B_eff/B = (1+α)^−δ with the δ of the collapse at the α that it is fitted to, and with 2."""
    found = judged["effective_batch"].judgement
    assert found is not None
    tried = judged["effective_batch"].cube["alpha"].values
    y, high, low = (100 * (1 + tried) ** -delta for delta in found.numbers[0].estimate.floats)
    law = Series("", "rival", ALPHAS, 100 * (1 + ALPHAS) ** -2)
    axis = Axis("effective batch, % of B", "log")
    return _panel("3 Effective batch", axis, [Series("", "measured", tried, y, low=low, high=high), law])


def _rate(judged: Judged) -> Panel:
    mine = [series for series in _series(judged, "learning_rate", 1) if series.name.startswith("B = 32, ")]
    return _panel("4 Learning rate", Axis("best learning rate", "log"), mine, (0, 1, 3, 7, 15, 31))


def _accuracy(judged: Judged) -> Panel:
    mine = [series for series in _series(judged, "uniform_noise", 0) if series.name.startswith("mlp1, ")]
    return _panel("5 Accuracy", Axis("test accuracy, %", domain=(0, 100)), mine, (0, 1, 5, 20, 100))


def _series(judged: Judged, name: str, panel: int) -> list[Series]:
    found = judged[name].judgement
    assert found is not None
    return list(found.figures[0].panels[panel].series)


def _panel(title: str, y: Axis, series: list[Series], ticks: tuple[float, ...] = tuple(ALPHAS)) -> Panel:
    """Every series named and coloured by its role."""
    return Panel(
        noise_axis(ticks), y, [replace(one, name=NAMES[one.role], group=NAMES[one.role]) for one in series], title
    )
