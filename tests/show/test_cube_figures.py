"""Figures made from a cube with a known truth: what the map shows, where the law runs, what the captions say."""

import json

import numpy as np
import pytest
import synthetic
import xarray as xr

from effbatch.claims import Case
from effbatch.claims.shared import stored
from effbatch.fitting.figures import best_rates
from effbatch.show import cube_figures as views

ALPHA, BATCH = (0.0, 1.0, 3.0, 7.0, 15.0), (8, 32, 128)
OFF = 0.5  # powers of two by which the prediction misses


def best_rate(alpha, batch):
    return 0.02 * np.sqrt(batch / 32) / (1 + alpha) ** 0.5


def case_with(predicted) -> Case:
    cube = synthetic.peaked_cube(best_rate, alpha=ALPHA, batch_size=BATCH, noise=0.001)
    resolved = {"simulation": {"name": "made"}, "claim": {"kind": "best_learning_rate"}}
    cube = cube.assign_attrs(spec_resolved=json.dumps(resolved), num_classes=10, simulation="made")
    return Case(cube, {"linearised": stored.to_json(predicted)})


def prediction(factor: float) -> xr.Dataset:
    coords = {"alpha": list(ALPHA), "batch_size": list(BATCH)}
    alpha, batch = (xr.DataArray(values, dims=dim) for dim, values in coords.items())
    return xr.Dataset({"best_learning_rate": factor * best_rate(alpha, batch)}, coords=coords)


@pytest.fixture(scope="module")
def figures() -> dict:
    return {figure.name: figure for figure in views.figures(case_with(prediction(2.0**OFF)))}


def test_the_map_holds_the_mean_accuracy_and_both_ridges(figures):
    (panel,) = figures["accuracy_map_made"].panels
    cube = case_with(prediction(1.0)).cube
    mean = 100 * cube["test_accuracy"].sel(batch_size=32).mean("seed").transpose("learning_rate", "alpha")
    assert panel.heat is not None
    np.testing.assert_allclose(panel.heat.values, mean.values)
    predicted, measured = panel.series
    np.testing.assert_allclose(predicted.y, 2.0**OFF * best_rate(np.array(ALPHA), 32))
    known = np.isfinite(measured.y)
    assert known.sum() >= 4
    np.testing.assert_allclose(np.log2(measured.y[known]), np.log2(best_rate(np.array(ALPHA), 32)[known]), atol=0.2)


def test_captions_state_what_was_found(figures):
    assert f"off by {OFF:.2f} powers of two" in figures["accuracy_map_made"].caption.replace("0.49", "0.50").replace(
        "0.51", "0.50"
    )


def test_the_law_runs_through_the_middle_rate_with_its_own_slope():
    case = case_with(prediction(1.0))
    several = best_rates("made", case.best)
    one = best_rates("made", case.best.isel(alpha=[2]))
    for figure, slope, log in ((several, -0.5, np.log1p), (one, 0.5, np.log)):
        (panel,) = figure.panels
        laws = [series for series in panel.series if series.role == "rival"]
        assert [np.polyfit(log(law.x), np.log(law.y), 1)[0] for law in laws] == pytest.approx([slope] * len(laws))
        measured = [series for series in panel.series if series.role == "measured"]
        assert any(np.isclose(law.y, at.y).any() for law, at in zip(laws, measured, strict=True))


def test_without_a_best_rate_there_is_no_panel():
    best = case_with(prediction(1.0)).best
    assert best_rates("made", best.assign(best_learning_rate=best["best_learning_rate"] * np.nan)).panels == ()


def test_no_map_where_the_theory_said_nothing_or_the_grid_is_small():
    assert views.figures(case_with(prediction(np.nan))) == []
    case = case_with(prediction(1.0))
    assert views.figures(Case(case.cube.isel(alpha=slice(0, 3)), case.prediction)) == []
    assert views.figures(Case(case.cube, {})) == []
