"""Law fits: known parameters come back, a cell left out is predicted as by a naive loop, too few cells tell nothing."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from scipy import optimize
from synthetic import peaked_cube

from effbatch.fitting import best_learning_rates, compare_all, compare_fitted, law_fits
from effbatch.fitting.law_fits import left_out_rates
from effbatch.fitting.least_squares import least_squares
from effbatch.laws import LAWS, Setting, get
from effbatch.laws.base import open_parameters, with_parameters

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
def test_cells_on_a_law_are_predicted_as_they_are(name):
    np.testing.assert_allclose(left_out_rates(name, made(name)), true_rate(name, ALPHA[:, None], BATCH_SIZE), rtol=1e-3)


LOGARITHMIC = ("clean_noise_scale", "decay_exponent")


def by_scipy(name, best, i, j):
    """The rate of one cell by the law that scipy fits to all others, from a few starts."""
    names = open_parameters(get(name))
    others = np.ones(best["outcome"].shape, bool)
    others[i, j] = False
    log_rates = np.log(best["best_learning_rate"].values[others])

    def log_law(theta):
        parameters = {n: np.exp(v) if n in LOGARITHMIC else v for n, v in zip(names, theta[1:], strict=True)}
        return theta[0] + np.log(true_rate(name, ALPHA[:, None], BATCH_SIZE[None, :], parameters))

    starts = [[0.0, *(start if n in LOGARITHMIC else 0.9 for n in names)] for start in (0.0, 1.0, 3.0, 5.0)]
    bounds = np.array(
        [(-50, 50), *((-4.5, 10) if n in LOGARITHMIC else (-4 * n.endswith("exponent"), 3) for n in names)]
    )
    fits = [
        optimize.least_squares(lambda t: log_law(t)[others] - log_rates, s, bounds=bounds.T, xtol=1e-12) for s in starts
    ]
    return np.exp(log_law(min(fits, key=lambda fit: fit.cost).x)[i, j])


@pytest.mark.parametrize("name", ["fitted", "saturating", "noisy_quadratic"])
def test_a_cell_left_out_is_predicted_as_by_a_naive_loop_of_scipys_fits(name):
    best = made(name, 0.2, np.random.default_rng(1))
    predicted = left_out_rates(name, best)
    for i, j in [(0, 0), (2, 1), (4, 3)]:
        assert float(predicted[i, j]) == pytest.approx(by_scipy(name, best, i, j), rel=1e-4)


@pytest.mark.parametrize("name", TRUTH)
def test_a_cell_far_off_is_predicted_by_the_others_alone(name):
    best = made(name, 0.2, np.random.default_rng(3))
    best["best_learning_rate"][2, 1] *= 1000
    assert float(left_out_rates(name, best)[2, 1]) == pytest.approx(by_scipy(name, best, 2, 1), rel=1e-4)


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
    assert left_out_rates("saturating", best).isnull().all()
    row = compare_fitted(best, resamples=10).sel(law="saturating")
    assert int(row["pairs"]) == 0
    assert np.isnan(row["median_error"])


def test_one_batch_size_does_for_the_exponent_of_noise():
    best = made("fitted", 0.1, np.random.default_rng(0), batch_size=BATCH_SIZE[:1])
    assert left_out_rates("fitted", best).notnull().all()


def test_every_network_is_fitted_by_itself():
    best = made("fitted")
    doubled = best.assign(best_learning_rate=2 * best["best_learning_rate"])
    two = left_out_rates("fitted", xr.concat([best, doubled], "network"))
    assert two.sizes == {"network": 2, "alpha": 5, "batch_size": 4}
    np.testing.assert_allclose(two.isel(network=1), 2 * two.isel(network=0), rtol=1e-4)
