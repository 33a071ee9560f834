"""Adaptive grids of learning rates: few runs find a known best rate, resume alike, say what they saved."""

from __future__ import annotations

import json

import numpy as np
import pytest
import xarray as xr
from synthetic import peaked_cube

from effbatch.core.errors import SpecError
from effbatch.fitting import FitOutcome, best_learning_rates
from effbatch.plan import adaptive, spec
from effbatch.plan.adaptive import Ladder, best_rung
from effbatch.plan.cube import METRICS, Outcome
from effbatch.sweep import runner
from effbatch.sweep.store import Store
from effbatch.validation.document import report
from effbatch.validation.judged import judge_all
from effbatch.validation.validate import validate


def adapted(text: str, refine: int = 2, start: float = 0.125, stop: float = 1.0) -> str:
    rates = f"{{ start = {start}, stop = {stop}, factor = 2, refine = {refine} }}"
    return text.replace("learning_rate = [0.1, 0.4]", f"learning_rate = {rates}")


def best_rate(alpha: float) -> float:
    return 0.3 / (1 + alpha) ** 0.5


@pytest.fixture
def trained_units(monkeypatch):
    """Instead of training: accuracy 0.8 - 0.03 (log2 η/η*)² + noise, η* = 0.3/√(1+α); diverged above 16."""
    made = []

    def train(unit, dataset, *, device, on_progress):
        made.append(unit)
        shape = (len(unit.alphas), len(unit.learning_rates), len(unit.seeds))
        accuracy = np.empty((*shape, len(unit.checkpoints)))
        for (a, r, s), _ in np.ndenumerate(accuracy[..., 0]):
            alpha, rate, seed = unit.alphas[a], unit.learning_rates[r], unit.seeds[s]
            own = np.random.default_rng([round(1000 * alpha), seed])
            scatter = np.random.default_rng([round(1000 * alpha), seed, round(1e6 * rate)]).normal(0, 0.008)
            accuracy[a, r, s] = 0.8 + own.normal(0, 0.006) + scatter - 0.03 * np.log2(rate / best_rate(alpha)) ** 2
        diverged = np.broadcast_to(np.array(unit.learning_rates)[:, None] > 16, shape)
        outcome = np.where(diverged, int(Outcome.DIVERGED), int(Outcome.FINISHED)).astype(np.int8)
        accuracy[diverged] = np.nan
        on_progress(1.0)
        histories = {f"{name}_history": accuracy for name in METRICS}
        return {"outcome": outcome, **dict.fromkeys(METRICS, accuracy[..., -1]), **histories}

    monkeypatch.setattr("effbatch.sweep.workers.train_unit", train)
    return made


@pytest.mark.parametrize(
    ("scores", "following"),
    [
        ({0: 1, 4: 2, 8: 1}, [2, 6]),  # inside: both gaps halved
        ({0: 1, 2: 1, 4: 2, 6: 3, 8: 1}, [5, 7]),
        ({0: 1, 4: 1, 5: 2, 6: 3, 7: 2, 8: 1}, []),  # inside, as fine as asked
        ({0: 3, 4: 2, 8: 1}, [-8, -4]),  # at the lower edge
        ({0: 1, 4: 2, 8: 3}, [12, 16]),
        ({0: 1, 4: 1, 8: 1}, [-8, -4]),  # all diverged: lower
        ({0: 1}, [-8, -4, 4, 8]),  # one rate is both edges
        ({-40: 3, -36: 2, 8: 1}, []),  # as far as ten octaves
        ({-36: 3, -32: 2, 8: 1}, [-40]),
    ],
)
def test_what_runs_next(scores, following):
    assert Ladder(start=0.1, factor=2.0, refine=2, last=8).next_rungs(scores) == following


@pytest.mark.parametrize("rung", [-40, -1, 0, 3, 8, 57])
def test_rung_and_rate_are_each_others_inverse(rung):
    ladder = Ladder(start=0.013, factor=1.7, refine=3, last=80)
    assert ladder.rung(ladder.rate(rung)) == rung


@pytest.mark.parametrize("peak", np.linspace(-21.3, 33.3, 23))
@pytest.mark.parametrize("refine", [0, 1, 3])
def test_a_noiseless_peak_ends_between_neighbours_as_near_as_asked(peak, refine):
    ladder = Ladder(start=1.0, factor=2.0, refine=refine, last=5 * 2**refine)
    peak = peak / 8 * 2**refine
    scores = dict.fromkeys(range(0, ladder.last + 1, ladder.spacing), 0.0)
    runs = []
    while scores.keys() - set(runs):
        runs += list(scores.keys() - set(runs))
        scores = {
            rung: -((rung - peak) ** 2) for rung in [*runs, *ladder.next_rungs({r: -((r - peak) ** 2) for r in runs})]
        }
    assert len(set(runs)) == len(runs)
    assert abs(best_rung(scores) - peak) <= 1 or refine == 0
    assert {best_rung(scores) - 1, best_rung(scores) + 1} <= set(runs) or refine == 0
    assert min(runs) < best_rung(scores) < max(runs)


def test_the_cube_holds_the_union_of_rates_and_not_run_elsewhere(tmp_path, spec_text, trained_units):
    cube = runner.simulate(spec.parse(adapted(spec_text)), tmp_path)
    trained = {(a, r, s) for u in trained_units for a in u.alphas for r in u.learning_rates for s in u.seeds}
    ran = cube["outcome"].squeeze("batch_size").stack(cell=("alpha", "learning_rate", "seed"))
    assert {tuple(cell) for cell in ran["cell"].values[ran.values != int(Outcome.NOT_RUN)]} == trained
    assert (ran == int(Outcome.NOT_RUN)).any()
    assert sum(unit.cells for unit in trained_units) == len(trained) == cube.attrs["trained_runs"]
    assert (cube["test_accuracy"].isnull() == (cube["outcome"] == int(Outcome.NOT_RUN))).all()
    assert "seed-mean test score" in cube.attrs["selection"]


@pytest.mark.parametrize("seeds", [5, 10])
def test_intervals_of_the_best_rate_cover_the_truth_on_the_ragged_grid(seeds):
    """The rates of every setting were chosen by its own noisy scores, so this is not the coverage of a fixed grid."""
    ladder = Ladder(start=2.0**-8, factor=2.0, refine=2, last=4 * 4)
    rungs = range(-8, 40)
    whole = peaked_cube(
        lambda alpha, batch_size: 2.0 ** (-4.5 + (alpha % 100) / 100 + 0 * batch_size),
        alpha=np.arange(250),
        learning_rate=[ladder.rate(rung) for rung in rungs],
        seeds=seeds,
        noise=0.01,
        seed_shift=0.3,
        rng=seeds,
    )
    cube = whole.copy(deep=True)
    wanted = {alpha: [ladder.rate(rung) for rung in range(0, ladder.last + 1, ladder.spacing)] for alpha in range(250)}
    cube["outcome"][:] = int(Outcome.NOT_RUN)
    while any(wanted.values()):
        for alpha, rates in wanted.items():
            cube["outcome"].loc[{"alpha": alpha, "learning_rate": list(rates)}] = int(Outcome.FINISHED)
        following = adaptive.next_rates(ladder, cube)
        wanted = {alpha: following({"batch_size": 32}, alpha) for alpha in range(250)}
    ran = (cube["outcome"] == int(Outcome.FINISHED)).isel(seed=0).sum("learning_rate")
    assert float(ran.mean()) < 13  # of 48
    best = best_learning_rates(cube, resamples=400).squeeze()
    true = 2.0 ** (-4.5 + (cube["alpha"] % 100) / 100)
    assert float((best["outcome"] == int(FitOutcome.INTERIOR)).mean()) > 0.98
    assert 0.91 < float(((best["low"] <= true) & (true <= best["high"])).mean()) < 0.99
    full = best_learning_rates(whole, resamples=50).squeeze()
    error, full_error = (float(np.abs(np.log2(b["best_learning_rate"] / true)).mean()) for b in (best, full))
    assert error < 1.3 * full_error


def test_a_rate_that_ran_without_a_score_is_not_asked_for_again():
    ladder = Ladder(start=0.25, factor=2.0, refine=1, last=4)
    cube = peaked_cube(lambda a, b: 0.5 + 0 * a * b, learning_rate=[ladder.rate(rung) for rung in range(5)], noise=0.0)
    cube["outcome"].loc[{"learning_rate": [ladder.rate(1), ladder.rate(3)]}] = int(Outcome.FAILED)
    assert adaptive.next_rates(ladder, cube)({"batch_size": 32}, 0.0) == ()
    cube["outcome"][:] = int(Outcome.FAILED)
    assert adaptive.next_rates(ladder, cube)({"batch_size": 32}, 0.0) == (ladder.rate(-4), ladder.rate(-2))


def test_savings_are_counted_against_the_full_grid_of_the_same_resolution_and_range(tmp_path, spec_text, trained_units):
    cube = runner.simulate(spec.parse(adapted(spec_text)), tmp_path)
    octaves = np.log2(float(cube["learning_rate"].max() / cube["learning_rate"].min()))
    assert cube.attrs["full_grid_runs"] == round(4 * octaves + 1) * 2 * 2  # 4 rates per octave, alphas, seeds
    assert cube.attrs["trained_runs"] == int((cube["outcome"] != 0).sum()) < cube.attrs["full_grid_runs"]
    (said,) = adaptive.account_in_words(cube)
    assert f"{cube.attrs['trained_runs']:,} runs in {cube.attrs['rounds']} rounds" in said
    assert adaptive.account_in_words(cube.drop_attrs()) == []


def test_a_best_rate_beyond_ten_octaves_is_said_to_be_at_an_edge(tmp_path, spec_text, trained_units):
    text = adapted(spec_text, refine=0).replace("alpha = [0, 2.5]", "alpha = [0, 1e12]")
    cube = runner.simulate(spec.parse(text), tmp_path)
    assert cube.attrs["settings_at_bound"] == 1
    assert float(cube["learning_rate"].min()) == 0.125 / 2**10
    assert "In 1 setting the best learning rate is at an edge all the same" in adaptive.account_in_words(cube)[1]
    assert int(best_learning_rates(cube).squeeze()["seeds"].min()) == 2


@pytest.mark.parametrize("stop_after", [0, 4])
def test_a_stopped_sweep_goes_on_with_the_same_runs_and_repeats_none(
    tmp_path, spec_text, trained_units, stop_after, monkeypatch
):
    parsed = spec.parse(adapted(spec_text))
    whole = runner.simulate(parsed, tmp_path / "whole")
    expected = [unit.key for unit in trained_units]
    trained_units.clear()
    commit = Store.commit

    def stopping(store, key, block):
        if len(trained_units) > stop_after:
            raise KeyboardInterrupt
        return commit(store, key, block)

    monkeypatch.setattr(Store, "commit", stopping)
    with pytest.raises(KeyboardInterrupt):
        runner.simulate(parsed, tmp_path / "stopped")
    monkeypatch.setattr(Store, "commit", commit)
    resumed = runner.simulate(parsed, tmp_path / "stopped")
    keys = [unit.key for unit in trained_units]
    lost = keys.pop(stop_after)  # trained, but not acknowledged
    assert sorted(keys) == sorted(expected)
    assert lost in keys
    xr.testing.assert_equal(resumed, whole)


def test_a_unit_damaged_in_the_first_round_is_trained_again_and_the_later_ones_are_kept(
    tmp_path, spec_text, trained_units
):
    parsed = spec.parse(adapted(spec_text))
    whole = runner.simulate(parsed, tmp_path)
    first = trained_units[0].key
    trained_units.clear()
    (path,) = (tmp_path / "units").glob(f"{first}-*.nc")
    path.write_bytes(b"hello")
    xr.testing.assert_equal(runner.simulate(parsed, tmp_path), whole)
    assert [unit.key for unit in trained_units] == [first]


def test_a_fixed_grid_resolves_as_before_and_an_adaptive_one_adds_its_ladder(spec_text):
    assert "ladder" not in spec.parse(spec_text).resolved()
    parsed = spec.parse(adapted(spec_text))
    assert json.loads(json.dumps(parsed.resolved()))["ladder"] == {
        "start": 0.125,
        "factor": 2.0,
        "refine": 2,
        "last": 12,
    }
    assert parsed.grid["learning_rate"] == (0.125, 0.25, 0.5, 1.0)
    assert parsed.grid["learning_rate"] == tuple(parsed.ladder.rate(rung) for rung in (0, 4, 8, 12))


@pytest.mark.parametrize("refine", ["-1", "1.5", "true", "9", '"2"'])
def test_a_wrong_refine_is_named(spec_text, refine):
    came = {"true": "True", '"2"': "'2'"}.get(refine, refine)
    with pytest.raises(SpecError, match=f"refine must be a whole number from 0 to 8, got {came}"):
        spec.parse(adapted(spec_text, refine=refine))


def test_an_adaptive_sweep_is_judged_and_reported(tmp_path, spec_text, trained_units):
    text = adapted(spec_text, refine=1, start=0.25).replace('kind = "collapse"', 'kind = "best_learning_rate"')
    parsed = spec.parse(text.replace("seed = 2", "seed = 3").replace("alpha = [0, 2.5]", "alpha = [0, 1, 3]"))
    cubes = validate([parsed], tmp_path)
    predicted = json.loads(cubes["tiny"].attrs["predictions"])["prediction"]["linearised"]["coords"]["learning_rate"]
    assert np.log2(predicted) == pytest.approx([-2, -1.5, -1, -0.5, 0])
    made = report(judge_all(cubes), [])
    assert any("The grid of learning rates was adaptive" in str(limit) for limit in made.claims[0].parts)
