"""A wider grid in the same folder trains what is missing, keeps the rest, and says that it was extended."""

from __future__ import annotations

import json
from collections import Counter
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from spec_lines import with_key

from effbatch.core.errors import SweepError
from effbatch.plan import spec
from effbatch.plan.adaptive import Ladder, next_rates
from effbatch.plan.cube import METRICS, Outcome, extension_in_words, open_cube, stored_prediction
from effbatch.plan.only import only
from effbatch.plan.rounds import boxes
from effbatch.plan.units import Unit, fewest_steps, units
from effbatch.sweep import runner, workers
from effbatch.sweep.store import Store
from effbatch.validation import document
from effbatch.validation.judged import judge_all
from effbatch.validation.scorecard import measure
from effbatch.validation.validate import validate

WIDER = {"alpha": "[0, 1, 2.5]", "batch_size": "[8, 16]", "learning_rate": "[0.1, 0.2, 0.4]", "seed": "4"}


def wider(text: str, *dims: str) -> str:
    return with_key(text, "grid", "\n".join(f"{dim} = {WIDER[dim]}" for dim in dims or WIDER))


@pytest.fixture
def trained(monkeypatch) -> list[Unit]:
    """The units trained in this process."""
    made = []
    train = workers.train_unit

    def counting(unit, *args, **kwargs):
        made.append(unit)
        return train(unit, *args, **kwargs)

    monkeypatch.setattr(workers, "train_unit", counting)
    return made


def cells(work: list[Unit]) -> Counter:
    return Counter((*unit.point.values(), *cell) for unit in work for cell in product(*unit.axes))


def unit_files(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in (folder / "units").iterdir()}


lengths = st.fixed_dictionaries({dim: st.integers(1, 3) for dim in "abc"})


@given(lengths, lengths)
def test_boxes_hold_every_added_cell_once(first, more):
    before = {dim: tuple(range(count)) for dim, count in first.items()}
    after = {dim: tuple(range(count + more[dim] - 1))[::-1] for dim, count in first.items()}
    found = Counter(cell for box in [before, *boxes(before, after)] for cell in product(*box.values()))
    assert found == Counter(product(*after.values()))


@pytest.mark.parametrize("dims", [("seed",), ("batch_size",), ()], ids=lambda dims: "-".join(dims) or "all")
def test_a_wider_grid_trains_what_is_missing_and_keeps_the_rest(tmp_path, spec_text, trained, dims):
    before = runner.simulate(spec.parse(spec_text), tmp_path / "sweep")
    files, had = unit_files(tmp_path / "sweep"), cells(trained)
    trained.clear()
    extended = runner.simulate(spec.parse(wider(spec_text, *dims)), tmp_path / "sweep")
    assert unit_files(tmp_path / "sweep").items() > files.items()
    new = cells(trained)
    trained.clear()
    whole = runner.simulate(spec.parse(wider(spec_text, *dims)), tmp_path / "whole")
    assert had + new == cells(trained)
    assert (extended["outcome"] == int(Outcome.FINISHED)).all()
    for name in METRICS:
        kept = extended[name].sel({dim: before[dim] for dim in before[name].dims})
        np.testing.assert_array_equal(kept, before[name])
        np.testing.assert_allclose(extended[name], whole[name], rtol=1e-4, atol=2 / 500)
    trained.clear()
    xr.testing.assert_identical(runner.simulate(spec.parse(wider(spec_text, *dims)), tmp_path / "sweep"), extended)
    assert not trained


def test_an_unfinished_sweep_can_be_extended_and_again(tmp_path, spec_text, trained, monkeypatch):
    text = with_key(spec_text, "grid", "batch_size = [4, 8]")
    commit = Store.commit

    def interrupted(*given):
        commit(*given)
        raise KeyboardInterrupt

    last = "seed = 3\nalpha = [0, 1, 2.5]"
    monkeypatch.setattr(Store, "commit", interrupted)
    for grid in ("seed = 2", "seed = 3", last, last):
        with pytest.raises(KeyboardInterrupt):
            runner.simulate(spec.parse(with_key(text, "grid", grid)), tmp_path)
    monkeypatch.setattr(Store, "commit", commit)
    cube = runner.simulate(spec.parse(with_key(text, "grid", last)), tmp_path)
    assert (cube["outcome"] == int(Outcome.FINISHED)).all()
    assert set(cells(trained).values()) == {1}
    assert [list(one["added"]) for one in json.loads(cube.attrs["extended"])] == [["seed"], ["alpha"]]


def test_a_lost_manifest_is_made_again_by_the_grids_in_their_order(tmp_path, spec_text, trained):
    for grid in (spec_text, wider(spec_text, "seed")):
        cube = runner.simulate(spec.parse(grid), tmp_path)
    (tmp_path / "sweep.json").unlink()
    trained.clear()
    for grid in (spec_text, wider(spec_text, "seed")):
        again = runner.simulate(spec.parse(grid), tmp_path)
    assert not trained
    xr.testing.assert_equal(again, cube)


def test_a_folder_of_some_cells_takes_more_of_the_same_grid(tmp_path, spec_text, trained):
    whole = spec.parse(wider(spec_text))
    runner.simulate(only(whole, ["alpha=1", "seed=3"]), tmp_path / "some")
    some = runner.simulate(only(whole, ["alpha=1", "seed=3", "seed=0"]), tmp_path / "some")
    assert set(cells(trained).values()) == {1}
    cube = runner.simulate(whole, tmp_path / "whole")
    np.testing.assert_array_equal(some["test_loss"], cube["test_loss"].sel(alpha=[1], seed=[0, 3]))


def test_the_cube_says_when_and_by_what_it_was_extended(tmp_path, spec_text):
    cube = runner.simulate(spec.parse(spec_text), tmp_path)
    assert "extended" not in cube.attrs
    assert extension_in_words(cube) == []
    runner.simulate(spec.parse(wider(spec_text, "seed", "alpha")), tmp_path)
    (said,) = extension_in_words(open_cube(tmp_path))
    assert said.endswith(" by α 1 and seed 2, 3, when its other cells were known.")


@pytest.mark.parametrize(
    ("table", "lines", "said"),
    [
        (
            "grid",
            "alpha = [0]\nseed = 9",
            r"\(grid.alpha: \[2.5\] not asked for\); only more values in the lists",
        ),
        ("train", "momentum = 0.5", r"\(train.momentum: 0.0 there, 0.5 asked for\)"),
        (
            "grid",
            'network = ["mlp1", "mlp2"]',
            r"\(lists in \[grid\]: alpha, .*, seed there, alpha, .*, network asked for\)",
        ),
    ],
    ids=["narrower", "another option", "another dimension"],
)
def test_anything_else_that_differs_is_refused(tmp_path, spec_text, table, lines, said):
    runner.simulate(spec.parse(spec_text), tmp_path)
    manifest = (tmp_path / "sweep.json").read_bytes()
    with pytest.raises(SweepError, match=said):
        runner.simulate(spec.parse(with_key(spec_text, table, lines)), tmp_path)
    assert (tmp_path / "sweep.json").read_bytes() == manifest


def test_the_grid_before_the_extension_is_refused_then(tmp_path, spec_text):
    runner.simulate(spec.parse(wider(spec_text, "seed")), tmp_path)
    with pytest.raises(SweepError, match=r"grid\.seed: \[2, 3\] not asked for"):
        runner.simulate(spec.parse(spec_text), tmp_path)


def test_added_cells_are_predicted_at_the_extension_and_the_first_prediction_stays(tmp_path, spec_text):
    first = runner.predict_first(spec.parse(spec_text), tmp_path, lambda: {"x": 1})
    runner.simulate(spec.parse(spec_text), tmp_path)
    wide = spec.parse(wider(spec_text, "seed"))
    stored = runner.predict_first(wide, tmp_path, lambda: {"x": 2})
    assert {name: stored[name] for name in first} == first
    assert [(one["prediction"], one["before_training"]) for one in stored["extended"]] == [({"x": 2}, True)]
    assert runner.predict_first(wide, tmp_path, lambda: {"x": 3}) == stored
    found = stored_prediction(runner.simulate(wide, tmp_path))
    assert (found["prediction"], found["before_training"]) == ({"x": 2}, True)


def test_a_prediction_after_added_cells_were_trained_does_not_claim_to_come_before(tmp_path, spec_text):
    runner.predict_first(spec.parse(spec_text), tmp_path, lambda: {"x": 1})
    wide = spec.parse(wider(spec_text, "batch_size"))
    runner.simulate(wide, tmp_path)
    (later,) = runner.predict_first(wide, tmp_path, lambda: {"x": 2})["extended"]
    assert not later["before_training"]
    found = stored_prediction(runner.simulate(wide, tmp_path))
    assert not found["before_training"]


def test_an_extended_sweep_is_judged_by_the_prediction_of_all_its_cells_and_says_so(tmp_path, spec_text):
    text = with_key(spec_text, "claim", 'kind = "accuracy_curve"')
    for lines in ("alpha = [0, 2.5]\nseed = 3", "alpha = [0, 1, 2.5]\nseed = 4"):
        cubes = validate([spec.parse(with_key(text, "grid", lines))], tmp_path, device="cpu")
    judged = judge_all(cubes)
    card = measure(judged)
    (verdict,) = document.verdicts(judged, card)["verdicts"]
    assert verdict["prediction_before_training"]
    chapter = next(one for one in document.report(judged, card).chapters if one.name == "tiny")
    for limits in (verdict["limits"], [part for part in chapter.parts if isinstance(part, str)]):
        assert any("extended" in limit and "by α 1 and seed 3" in limit for limit in limits)
    assert any("up to rounding" in part for part in chapter.further if isinstance(part, str))


def test_runs_of_few_steps_repeat_their_last_evaluation(tmp_path, spec_text):
    text = with_key(spec_text, "train", "budget = { examples = 64 }\nevaluations = 6")
    cube = runner.simulate(spec.parse(with_key(text, "grid", "batch_size = [8, 32]")), tmp_path)
    assert cube["step"].sel(batch_size=32).values.tolist() == [1, 2, 2, 2, 2, 2]
    assert cube["step"].sel(batch_size=8).values.tolist()[-1] == 8
    history = cube["test_loss_history"].sel(batch_size=32)
    assert (history.isel(checkpoint=slice(1, None)) == history.isel(checkpoint=1)).all()
    assert cube["test_loss_history"].notnull().all()


FEW_STEPS = ("372b1379d37f02cd", "ddda69af5369152f")  # keys of units that effbatch 0.1 trained, two evaluations each


def test_a_folder_of_0_1_keeps_its_evaluations_also_where_it_is_extended(tmp_path, spec_text, trained):
    text = with_key(spec_text, "train", "budget = { examples = 100 }\nevaluations = 6")
    old = spec.parse(with_key(text, "grid", "batch_size = [8, 64]"))
    assert fewest_steps(old, {"digits": 1297}) == 2
    assert tuple(unit.key for unit in units(old, {"digits": 1297}, most_checkpoints=2)) == FEW_STEPS
    (tmp_path / "sweep.json").write_text(json.dumps({"spec": old.resolved(), "device": "", "made": "", "versions": {}}))
    cube = runner.simulate(old, tmp_path)
    assert sorted(name.partition("-")[0] for name in unit_files(tmp_path)) == sorted(FEW_STEPS)
    assert cube.sizes["checkpoint"] == 2
    extended = runner.simulate(spec.parse(with_key(text, "grid", "batch_size = [8, 16, 64]\nseed = 3")), tmp_path)
    assert extended.sizes["checkpoint"] == 2
    assert (extended["outcome"] == int(Outcome.FINISHED)).all()
    assert set(cells(trained).values()) == {1}


def test_a_folder_of_a_later_version_is_refused(tmp_path, spec_text):
    (tmp_path / "sweep.json").write_text(json.dumps({"layout": 3, "spec": spec.parse(spec_text).resolved()}))
    with pytest.raises(SweepError, match=r"begun by a later effbatch.*up to layout 2, got 3"):
        runner.simulate(spec.parse(spec_text), tmp_path)


def test_an_adaptive_grid_goes_on_with_the_rates_that_its_settings_ran(tmp_path, spec_text, trained):
    text = with_key(spec_text, "grid", "learning_rate = { start = 0.1, stop = 0.4, factor = 2, refine = 1 }")
    before = runner.simulate(spec.parse(text), tmp_path)
    had = cells(trained)
    wide = with_key(text, "grid", "alpha = [0, 1, 2.5]\nseed = 4")
    cube = runner.simulate(spec.parse(wide), tmp_path)
    assert set(cells(trained).values()) == {1}
    assert set(had) < set(cells(trained))
    ran = (cube["outcome"] != int(Outcome.NOT_RUN)).transpose("seed", ...)
    assert (ran == ran.isel(seed=0)).all(), "every seed of a setting runs its rates"
    kept = cube["test_accuracy"].sel({dim: before[dim] for dim in before["test_accuracy"].dims})
    np.testing.assert_array_equal(kept.where(before["outcome"] > 0), before["test_accuracy"])
    assert cube.attrs["trained_runs"] == sum(cells(trained).values())
    ladder = spec.parse(wide).ladder
    assert ladder is not None
    for alpha in cube["alpha"].values:
        assert next_rates(ladder, cube)({"batch_size": 8}, alpha) == ()
    trained.clear()
    xr.testing.assert_identical(runner.simulate(spec.parse(wide), tmp_path), cube)
    assert not trained


@pytest.mark.parametrize(
    ("scores", "following"),
    [
        ({0: 1, 2: 3, 3: 2, 4: 2, 8: 1}, [1]),  # the best one is where only one side was halved
        ({0: 1, 2: 1, 3: 2, 4: 3, 8: 1}, [6]),
        ({0: 1, 3: 1, 4: 3, 5: 2, 8: 1}, []),
    ],
)
def test_more_seeds_may_move_the_best_rate_to_a_place_halved_on_one_side(scores, following):
    assert Ladder(start=0.1, factor=2.0, refine=2, last=8).next_rungs(scores) == following
