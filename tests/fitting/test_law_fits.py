"""Law fits: known parameters come back, a cell left out is predicted as by a naive loop, too few cells tell nothing."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from scipy import optimize
from synthetic import peaked_cube

from effbatch.core.errors import InputError
from effbatch.fitting import LawOutcome, best_learning_rates, compare_all, compare_fitted, fit_law, law_fits
from effbatch.fitting.law_fits import left_out_rates
from effbatch.fitting.least_squares import least_squares
from effbatch.laws import LAWS, Setting, get
from effbatch.laws.base import with_parameters

ALPHA, BATCH_SIZE = np.array([0.0, 1.0, 3.0, 7.0, 15.0]), np.array([8, 32, 128, 512])
RATES = tuple(2.0 ** np.arange(-16, 6))
TRUTH = {
    "fitted": {"batch_exponent": 0.6, "alpha_exponent": -0.4},
    "saturating": {"clean_noise_scale": 30.0, "delta": 1.2, "gamma": 0.8},
    "noisy_quadratic": {"decay_exponent": 0.8},
    "noise_scale": {"clean_noise_scale": 4.0},
    "surge": {"clean_noise_scale": 4.0},
}
CENTRE = Setting(3.0, 64.0, steps=500)


def true_rate(name, alpha, batch_size, parameters=None):
    law = with_parameters(get(name), **(parameters or TRUTH[name]))
    return 0.1 * law.factor(Setting(alpha, batch_size, steps=500), CENTRE)


def made(name, scatter=0.0, draw=None, alpha=ALPHA, batch_size=BATCH_SIZE):
    """Best rates of a law, scattered by exp(scatter · normal), as `best_learning_rates` gives them."""
    rates = xr.DataArray(
        true_rate(name, alpha[:, None], batch_size[None, :]),
        coords={"alpha": alpha, "batch_size": batch_size},
        dims=("alpha", "batch_size"),
    )
    if scatter:
        rates = rates * np.exp(scatter * draw.standard_normal(rates.shape))
    best = xr.Dataset({"best_learning_rate": rates, "outcome": xr.ones_like(rates, dtype=np.int8)})
    return best.assign_coords(steps=500).assign_attrs(num_classes=10, optimizer="sgd", schedule="constant")


@pytest.mark.parametrize("name", TRUTH)
def test_known_parameters_and_rates_come_back(name):
    fitted = fit_law(name, made(name), resamples=20)
    assert fitted.outcome is LawOutcome.FITTED
    assert fitted.cells == 20
    for parameter, value in TRUTH[name].items():
        assert fitted.parameters[parameter].value == pytest.approx(value, rel=1e-4)
        assert getattr(fitted.law, parameter) == fitted.parameters[parameter].value
    beyond = Setting(31.0, 2048.0, steps=500)
    assert fitted.learning_rate(beyond) == pytest.approx(true_rate(name, 31.0, 2048.0), rel=1e-3)
    assert fitted.spread == pytest.approx(1, abs=1e-6)


def test_parameters_come_back_from_a_cube():
    cube = peaked_cube(
        lambda a, b: true_rate("saturating", a, b),
        alpha=ALPHA,
        batch_size=BATCH_SIZE,
        learning_rate=RATES,
        noise=0.002,
        seeds=8,
    )
    fitted = fit_law("saturating", best_learning_rates(cube, resamples=50), resamples=100)
    for parameter, value in TRUTH["saturating"].items():
        assert not fitted.parameters[parameter].excludes(value)
        assert fitted.parameters[parameter].value == pytest.approx(value, rel=0.2)


def test_the_intervals_cover():
    """Nominal 95 %; bootstrap over the cells for the saturating law, HC3 for the power law."""
    draw = np.random.default_rng(0)
    hits = {"saturating": [], "fitted": []}
    for _ in range(60):
        for name, found in hits.items():
            fitted = fit_law(name, made(name, 0.15, draw), resamples=200)
            found += [not fitted.parameters[p].excludes(v) for p, v in TRUTH[name].items() if fitted.law]
    for found in hits.values():
        assert len(found) >= 100
        assert 0.88 <= np.mean(found) <= 1.0


def test_a_saturating_fit_is_scipys():
    best = made("saturating", 0.2, np.random.default_rng(3))
    measured = np.log(best["best_learning_rate"].values)

    def residual(t):
        noise_scale = np.exp(t[1]) * (1 + ALPHA[:, None]) ** t[2]
        return (measured - t[0] + np.log1p((noise_scale / BATCH_SIZE) ** t[3])).ravel()

    theirs = min((optimize.least_squares(residual, [0, b, 1, 1]) for b in (1.0, 3.0, 6.0)), key=lambda fit: fit.cost)
    ours = fit_law("saturating", best, resamples=20)
    assert ours.spread == pytest.approx(np.exp(np.sqrt(2 * theirs.cost / 16)), rel=1e-6)
    assert ours.parameters["clean_noise_scale"].value == pytest.approx(np.exp(theirs.x[1]), rel=1e-3)
    assert ours.parameters["delta"].value == pytest.approx(theirs.x[2], rel=1e-3)


@pytest.mark.parametrize("name", ["fitted", "saturating", "noisy_quadratic"])
def test_a_cell_left_out_is_predicted_as_by_a_naive_loop(name):
    best = made(name, 0.2, np.random.default_rng(1))
    predicted = left_out_rates(name, best)
    for i, j in [(0, 0), (2, 1), (4, 3)]:
        without = best.copy(deep=True)
        without["outcome"][i, j] = 4
        without["best_learning_rate"][i, j] = np.nan
        naive = fit_law(name, without, resamples=2).learning_rate(Setting(ALPHA[i], BATCH_SIZE[j], steps=500))
        assert float(predicted[i, j]) == pytest.approx(float(naive), rel=1e-4)


@pytest.mark.parametrize("name", TRUTH)
def test_a_cell_far_off_is_predicted_by_the_others_alone(name):
    best = made(name, 0.2, np.random.default_rng(3))
    best["best_learning_rate"][2, 1] *= 1000
    without = best.copy(deep=True)
    without["outcome"][2, 1] = 4
    without["best_learning_rate"][2, 1] = np.nan
    naive = fit_law(name, without, resamples=2).learning_rate(Setting(ALPHA[2], BATCH_SIZE[1], steps=500))
    assert float(left_out_rates(name, best)[2, 1]) == pytest.approx(float(naive), rel=1e-4)


def test_leaving_cells_out_costs_no_search_from_every_start(monkeypatch):
    rows = []

    def counting(model, measured, starts, weights=None):
        rows.append(len(starts))
        return least_squares(model, measured, starts, weights)

    monkeypatch.setattr(law_fits, "least_squares", counting)
    left_out_rates("saturating", made("saturating", 0.2, np.random.default_rng(1)))
    assert rows[0] == 64
    assert rows[1] <= 8 * len(ALPHA) * len(BATCH_SIZE)


def test_what_a_cell_measured_never_enters_its_own_prediction():
    best = made("fitted", 0.2, np.random.default_rng(2))
    before = left_out_rates("fitted", best)
    best["best_learning_rate"][2, 2] *= 1000
    after = left_out_rates("fitted", best)
    assert float(after[2, 2]) == pytest.approx(float(before[2, 2]), rel=1e-6)
    assert abs(np.log(after / before)).values.max() > 0.1


def test_a_rate_that_the_other_cells_leave_open_is_not_predicted():
    best = made("fitted", batch_size=np.array([32, 128]))
    best["outcome"][1:, 1] = 4  # one cell alone has the batch size 128
    predicted = left_out_rates("fitted", best)
    assert np.isnan(predicted[0, 1])
    np.testing.assert_allclose(predicted[:, 0], true_rate("fitted", ALPHA, 32.0), rtol=1e-6)


def test_laws_are_scored_on_cells_they_have_not_seen():
    best = made("saturating", 0.1, np.random.default_rng(0))
    table = compare_fitted(best, resamples=100)
    predicted = left_out_rates("saturating", best)
    naive = np.abs(np.log2(predicted / best["best_learning_rate"])).values
    row = table.sel(law="saturating")
    assert float(row["median_error"]) == pytest.approx(np.median(naive))
    assert (int(row["cells"]), int(row["pairs"]), float(row["applies"])) == (20, 20, 1.0)
    assert float(row["low"]) < float(row["median_error"]) < float(row["high"])
    assert float(table["applies"].sel(law="surge")) == 0  # made for Adam
    assert set(table["how"].values) == {"fitted on the other cells"}


def test_every_law_stands_in_one_table_with_its_regret():
    cube = peaked_cube(
        lambda a, b: true_rate("noisy_quadratic", a, b),
        alpha=ALPHA[:3],
        batch_size=BATCH_SIZE[:3],
        learning_rate=RATES,
        noise=0.0,
    )
    table = compare_all(best_learning_rates(cube, resamples=20), cube)
    assert sorted(table["law"].values) == sorted(LAWS)
    assert float(table["median_error"].sel(law="noisy_quadratic")) < 0.01
    assert float(table["regret"].sel(law="noisy_quadratic")) < 0.01
    assert str(table["how"].sel(law="linear").values) == "anchored at one cell"


def test_too_few_cells_tell_nothing():
    best = made("saturating", alpha=ALPHA[:5], batch_size=BATCH_SIZE[:1])
    fitted = fit_law("saturating", best)
    assert fitted.outcome is LawOutcome.TOO_FEW_CELLS
    assert fitted.law is None
    assert left_out_rates("saturating", best).isnull().all()
    row = compare_fitted(best, resamples=10).sel(law="saturating")
    assert int(row["pairs"]) == 0
    assert np.isnan(row["median_error"])
    with pytest.raises(InputError, match=r"cannot tell: .* \(5 cells\)"):
        fitted.learning_rate(Setting(0.0, 8.0))


def test_one_batch_size_does_not_determine_its_exponent():
    best = made("fitted", 0.1, np.random.default_rng(0), batch_size=BATCH_SIZE[:1])
    assert fit_law("fitted", best).outcome is LawOutcome.NOT_DETERMINED
    assert left_out_rates("fitted", best).notnull().all()  # the exponent of α is enough for those


def test_a_noise_scale_beyond_all_batches_is_no_number():
    """Far below the noise scale the saturating law is a power law, whatever B_0 is."""
    fitted = fit_law("saturating", made("fitted"))
    assert fitted.outcome in (LawOutcome.NOT_DETERMINED, LawOutcome.AT_AN_END)
    assert fitted.law is None


def test_a_fit_is_of_one_network_and_of_a_law_with_parameters():
    best = made("fitted")
    two = xr.concat([best, best], "network")
    with pytest.raises(InputError, match="one network and data set; 2 came"):
        fit_law("fitted", two)
    assert left_out_rates("fitted", two).sizes == {"network": 2, "alpha": 5, "batch_size": 4}
    with pytest.raises(InputError, match="linear came, which has none"):
        fit_law("linear", best)
