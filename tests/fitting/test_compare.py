"""Law comparison, regret and exponents on cubes whose best rates follow a known law."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import pytest
import xarray as xr
from synthetic import peaked_cube

from effbatch.core.errors import InputError
from effbatch.fitting import best_learning_rates, compare, compare_laws, exponents, fit, regret
from effbatch.laws import LAWS

ALPHA, BATCH_SIZE = (0.0, 1.0, 3.0, 7.0), (8, 32, 128)


@dataclass(frozen=True)
class Power:
    """η ∝ B^b (1+α)^a: a law that is easy to check by hand."""

    b: float
    a: float
    ok: bool = True

    def factor(self, setting, anchor):
        return (setting.batch_size / anchor.batch_size) ** self.b * ((1 + setting.alpha) / (1 + anchor.alpha)) ** self.a

    def applies(self, setting, anchor):
        return SimpleNamespace(ok=self.ok, reason="made up")


class Open:
    """A law that lacks its parameter."""

    def factor(self, setting, anchor):
        raise InputError("a parameter is needed")

    def applies(self, setting, anchor):
        return SimpleNamespace(ok=False, reason="needs a parameter")


def truth(alpha, batch_size):
    return 0.05 * (batch_size / 32) ** 0.5 * (1 + alpha) ** -0.7


@pytest.fixture(scope="module")
def cube():
    rates = 2.0 ** np.arange(-11, 3)
    return peaked_cube(truth, alpha=ALPHA, batch_size=BATCH_SIZE, learning_rate=rates, noise=0.0)


@pytest.fixture(scope="module")
def best(cube):
    return best_learning_rates(cube, resamples=50)


def test_errors_are_those_of_a_loop_over_anchors(cube, best):
    laws = {"true": Power(0.5, -0.7), "none": Power(0, 0), "steep": Power(1, -2, ok=False), "open": Open()}
    table = compare_laws(best, laws, cube=cube, resamples=100)
    rate = {(a, b): truth(a, b) for a in ALPHA for b in BATCH_SIZE}
    naive = [abs(np.log2(rate[i] / rate[j])) for i in rate for j in rate if i != j]
    row = table.sel(law="none")
    assert float(row["median_error"]) == pytest.approx(np.median(naive), abs=1e-4)
    assert float(row["quantile90"]) == pytest.approx(np.quantile(naive, 0.9), abs=1e-4)
    assert (int(row["cells"]), int(row["pairs"])) == (12, 132)
    assert float(row["low"]) < float(row["median_error"]) < float(row["high"])
    assert float(table["median_error"].sel(law="true")) < 1e-4
    assert float(table["regret"].sel(law="true")) < float(table["regret"].sel(law="none"))
    assert table["applies"].values[:3].tolist() == [1, 1, 0]
    assert int(table["pairs"].sel(law="open")) == 0
    assert np.isnan(table["median_error"].sel(law="open"))
    assert str(table["reason"].sel(law="open").values) == "needs a parameter"


def test_pairs_stay_within_the_remaining_dims(cube):
    shifted = xr.concat([cube, cube.assign_coords(learning_rate=cube["learning_rate"] * 1.0)], "network")
    shifted = shifted.assign_coords(network=["one", "two"])
    shifted["test_accuracy"][1] = shifted["test_accuracy"][1].shift(learning_rate=2, fill_value=0.1).values
    table = compare_laws(best_learning_rates(shifted, resamples=50), {"true": Power(0.5, -0.7)}, resamples=50)
    assert int(table["pairs"].squeeze()) == 2 * 132
    assert float(table["median_error"].squeeze()) < 1e-4  # a factor of 4 between networks is no error of the law


def test_the_interval_of_the_median_covers_what_the_law_misses_on_average():
    """Best rates scatter by 2^normal about the law; |difference of two| has the median 0.6745 √2 = 0.954."""
    draw = np.random.default_rng(0)
    cells = {"alpha": np.arange(5.0), "batch_size": 2 ** np.arange(5)}
    hits = []
    for _ in range(120):
        rates = xr.DataArray(2 ** draw.standard_normal((5, 5)), coords=cells)
        made = xr.Dataset({"best_learning_rate": rates, "outcome": xr.ones_like(rates, dtype=np.int8)})
        table = compare_laws(made.assign_attrs(num_classes=10), {"none": Power(0, 0)}, resamples=200)
        hits.append(float(table["low"][0]) <= 0.954 <= float(table["high"][0]))
    assert 0.88 <= np.mean(hits) <= 1.0


def test_regret_is_the_height_lost_on_the_parabola(cube, best):
    grid = best["grid_best"]
    known = regret(cube, best, 4 * grid)["regret"]
    drop = cube["test_accuracy"].mean("seed").astype(float)
    expected = drop.max("learning_rate") - drop.sel(learning_rate=4 * grid)
    np.testing.assert_allclose(known, expected, atol=1e-12)
    assert float(regret(cube, best, grid)["mean"]) == 0.0


def test_regret_interpolates_in_octaves_and_counts_what_is_off_the_grid(cube, best):
    halfway = best["grid_best"] * 2**0.5
    ends = regret(cube, best, best["grid_best"] * 2)["regret"]
    np.testing.assert_allclose(regret(cube, best, halfway)["regret"], ends / 2, atol=1e-12)
    off = regret(cube, best, best["grid_best"].where(best["alpha"] > 0) * 1e6)
    assert (int(off["n"]), int(off["clamped"])) == (9, 9)
    edge = cube["test_accuracy"].astype(float).mean("seed")
    np.testing.assert_allclose(
        off["regret"].sel(alpha=3), (edge.max("learning_rate") - edge.isel(learning_rate=-1)).sel(alpha=3), atol=1e-12
    )


def test_exponents_are_recovered(best):
    np.testing.assert_allclose(exponents(best)["exponent"], [0.5, -0.7], atol=1e-4)


def test_an_exponent_of_what_did_not_vary_is_nan(best):
    table = exponents(best.sel(batch_size=[32]))
    assert np.isnan(table["exponent"].sel(term="batch_size"))
    assert float(table["exponent"].sel(term="alpha")) == pytest.approx(-0.7, abs=1e-4)


def test_no_limits_where_one_cell_decides_a_term(best):
    one = best.where((best["alpha"] == 0) | (best["batch_size"] == 8), drop=False)
    one["outcome"] = best["outcome"].where((best["alpha"] == 0) | ((best["batch_size"] == 8) & (best["alpha"] == 7)), 4)
    table = exponents(one)
    assert int(table["cells"]) == 4
    assert table["exponent"].notnull().all()
    assert table["low"].isnull().all()


def test_fit_bundles_the_three_and_ranks_the_law_that_made_the_cube_first():
    made = peaked_cube(
        lambda alpha, batch_size: 0.05 * (batch_size / 32 / (1 + alpha)) ** 0.5,
        alpha=ALPHA,
        batch_size=BATCH_SIZE,
        learning_rate=2.0 ** np.arange(-11, 3),
    )
    found = fit(made)
    anchored = found.laws.isel(law=found.laws["how"].values == "anchored at one cell")
    assert str(anchored["law"][anchored["median_error"].argmin("law")].values) == "square_root_clean_count"
    assert set(found.laws["law"].values) == set(LAWS)
    assert (np.abs(found.exponents["exponent"] - [0.5, -0.5]) < 0.05).all()
    assert float(found.laws["applies"].sel(law="clean_count")) == 0  # the budget, 500 steps, reached the law
    assert found.best.sizes == {"alpha": 4, "batch_size": 3}


def test_fit_of_a_cube_without_any_peak_cannot_tell():
    nothing = fit(peaked_cube(lambda alpha, batch_size: 1e-9 + 0 * alpha * batch_size, alpha=(0, 1)))
    assert nothing.exponents["exponent"].isnull().all()
    assert nothing.laws["median_error"].isnull().all()
    assert (nothing.laws["pairs"] == 0).all()


def medians_by_a_loop(error, pairs, draws):
    """The slow twin: every pair as often as it was drawn, and the middle of all, the lower of two."""
    anchor, target = np.concatenate(pairs, axis=1)
    found = []
    for drawn in draws.astype(int):
        drawn_errors = np.sort(np.repeat(error, drawn[anchor] * drawn[target]))
        if len(drawn_errors):
            found.append(drawn_errors[(len(drawn_errors) - 1) // 2])
    return found


def made_up_pairs(sizes, rng):
    """All ordered pairs within groups of cells, with errors of which some are equal."""
    starts = np.cumsum([0, *sizes[:-1]])
    pairs = [start + np.stack(np.nonzero(~np.eye(size, dtype=bool))) for start, size in zip(starts, sizes, strict=True)]
    return rng.exponential(size=sum(p.shape[1] for p in pairs)).round(3), pairs


@pytest.mark.parametrize("sizes", [(2,), (3, 2), (12, 2, 7)], ids=str)
def test_resampled_medians_equal_those_of_all_pairs_written_out(sizes):
    rng, cells = np.random.default_rng(sum(sizes)), sum(sizes)
    error, pairs = made_up_pairs(sizes, rng)
    draws = rng.multinomial(cells, np.full(cells, 1 / cells), size=80).astype(float)
    np.testing.assert_array_equal(
        compare.resampled_medians(error, pairs, draws), medians_by_a_loop(error, pairs, draws)
    )
