"""Some cells of a sweep run again alone: the ones that were named, with the numbers that they had."""

from __future__ import annotations

import json
import shlex
from dataclasses import replace

import numpy as np
import pytest
import xarray as xr
from click.testing import CliRunner

from effbatch.cli import main
from effbatch.core.errors import SpecError
from effbatch.data import datasets
from effbatch.plan import cube as cubes
from effbatch.plan import spec
from effbatch.plan.only import only, options
from effbatch.sweep import runner
from effbatch.validation import document
from effbatch.validation.judged import judge_all
from effbatch.validation.one_cell import one_cell
from effbatch.validation.validate import validate

LADDER = "learning_rate = { start = 0.05, stop = 0.4, factor = 2, refine = 1 }"


def adaptive(text: str) -> spec.Spec:
    return spec.parse(text.replace("learning_rate = [0.1, 0.4]", LADDER))


def test_a_grid_is_cut_down_to_the_values_named(spec_text):
    whole = spec.parse(spec_text.replace("seed = 2", 'seed = 2\nnetwork = ["mlp1", "perceptron"]'))
    cut = only(whole, ["alpha=2.5", "network=perceptron", "seed=1", "seed=0"])
    assert cut.grid == {**whole.grid, "alpha": (2.5,), "network": ("perceptron",), "seed": (0, 1)}
    assert only(whole, []) == whole


def test_a_rounded_number_is_the_value_that_it_was_printed_from(spec_text):
    whole = spec.parse(spec_text.replace("[0.1, 0.4]", "[0.022097086912079622, 0.4]"))
    assert only(whole, ["learning_rate=0.0220971"]).grid["learning_rate"] == (0.022097086912079622,)


def test_of_two_values_that_a_rounded_number_may_mean_the_nearer_is_taken(spec_text):
    whole = spec.parse(spec_text.replace("[0.1, 0.4]", "[0.1, 0.100005]"))
    assert only(whole, ["learning_rate=0.100004"]).grid["learning_rate"] == (0.100005,)


def test_a_budget_of_the_grid_is_named_by_its_label(spec_text):
    whole = spec.parse(spec_text.replace("seed = 2", "seed = 2\nbudget = [{ steps = 20 }, { epochs = 1 }]"))
    assert shlex.split(options({"budget": "20 steps"})) == ["--only", "budget=20 steps"]
    assert only(whole, ["budget=20 steps"]).grid["budget"] == ("20 steps",)


@pytest.mark.parametrize("rate", ["0.1", "0.0707107", "3.2"], ids=["start", "refined", "past the end"])
def test_any_rate_of_an_adaptive_grid_can_be_named(spec_text, rate):
    cut = only(adaptive(spec_text), [f"learning_rate={rate}", "seed=0"])
    assert cut.ladder is None
    assert cut.grid["learning_rate"] == (pytest.approx(float(rate)),)


@pytest.mark.parametrize(
    ("chosen", "sentence"),
    [
        ("alpha", "needs KEY=VALUE, such as alpha=3, got 'alpha'"),
        ("alhpa=0", r"no list of 'alhpa' in \[grid\]; did you mean 'alpha'"),
        ("alpha=3", "no such value: take one of 0, 2.5"),
        ("alpha=much", "no such value: take one of 0, 2.5"),
    ],
)
def test_what_the_grid_does_not_have_is_refused(spec_text, chosen, sentence):
    with pytest.raises(SpecError, match=sentence):
        only(spec.parse(spec_text), [chosen])


def test_seeds_of_an_adaptive_grid_need_their_rates(spec_text):
    with pytest.raises(SpecError, match="follow from all its seeds; give --only learning_rate"):
        only(adaptive(spec_text), ["seed=0"])
    assert only(adaptive(spec_text), ["alpha=0"]).ladder is not None


def test_whole_units_repeat_bit_for_bit(tmp_path, spec_text):
    text = spec_text.replace("batch_size = [8]", "batch_size = [8, 16]")
    whole = runner.simulate(spec.parse(text), tmp_path / "whole", device="cpu")
    part = runner.simulate(only(spec.parse(text), ["batch_size=16"]), tmp_path / "part", device="cpu")
    xr.testing.assert_equal(part.drop_vars("examples"), whole.sel(batch_size=[16]).drop_vars("examples"))


@pytest.mark.parametrize("network", ["mlp1", "conv2"])
def test_any_cells_repeat_bit_for_bit(tmp_path, spec_text, network, monkeypatch):
    """Also where a unit is cut into parts, and where cells left out have fewer steps."""
    monkeypatch.setattr("effbatch.engine.train.members_that_fit", lambda *_, **__: 3)
    text = spec_text.replace(
        "seed = 2", f'seed = 3\nnetwork = ["{network}"]\nbudget = [{{ examples = 16 }}, {{ steps = 30 }}]'
    )
    text = text.replace("[0.1, 0.4]", "[0.1, 0.4, 3.0]")
    whole = runner.simulate(spec.parse(text), tmp_path / "whole", device="cpu")
    chosen = ["budget=30 steps", "alpha=2.5", "learning_rate=3", "seed=1", "seed=2"]
    cut = only(spec.parse(text), chosen)
    part = runner.simulate(cut, tmp_path / "part", device="cpu")
    assert dict(part["test_loss"].sizes) == {key: len(values) for key, values in cut.grid.items()}
    xr.testing.assert_equal(
        part.drop_vars(["examples", "step"]),
        whole.sel({k: list(v) for k, v in cut.grid.items()}).drop_vars(["examples", "step"]),
    )


def test_values_that_name_all_of_a_grid_cut_nothing(spec_text):
    whole = spec.parse(spec_text)
    named = only(whole, ["alpha=0", "alpha=2.5"])
    assert named.resolved() == whole.resolved()
    twice = only(only(whole, ["alpha=0"]), ["seed=1"])
    assert twice.whole_grid == whole.grid


def test_a_folder_tells_cells_trained_alone_from_cells_trained_beside_others(spec_text):
    cut = only(spec.parse(spec_text), ["alpha=0"])
    assert cut.resolved() != replace(cut, whole_grid=None).resolved()


@pytest.mark.parametrize("budget", ["steps = 20", "epochs = 1"])
def test_other_data_sets_of_a_grid_are_neither_trained_nor_loaded(tmp_path, spec_text, budget, monkeypatch):
    """A cell is evaluated by its own steps, whatever others of the grid take."""
    loaded = []
    load = datasets.load
    monkeypatch.setattr(datasets, "load", lambda name: loaded.append(name) or load(name))
    rng = np.random.default_rng(0)
    for name, n in (("a", 40), ("b", 24)):
        x, y = rng.normal(size=(n, 1, 4, 4)).astype("f4"), np.arange(n) % 3
        np.savez(tmp_path / f"{name}.npz", x_train=x, y_train=y, x_test=x, y_test=y)
    names = [str(tmp_path / f"{name}.npz") for name in "ab"]
    text = (
        spec_text.replace("seed = 2", f"seed = 2\ndataset = {json.dumps(names)}")
        .replace("steps = 20", budget)
        .replace("clean_examples = 100\n", "")
    )
    assert budget in text
    part = runner.simulate(only(spec.parse(text), [f"dataset={names[0]}"]), tmp_path / "part", device="cpu")
    assert names[1] not in loaded
    whole = runner.simulate(spec.parse(text), tmp_path / "whole", device="cpu")
    np.testing.assert_array_equal(part["test_loss_history"], whole["test_loss_history"].sel(dataset=names[:1]))


def test_the_command_of_the_report_trains_the_cell_that_it_names(tmp_path, spec_text, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my sweep.toml").write_text(spec_text)
    loaded = spec.load("my sweep.toml")
    judged = validate([loaded], tmp_path / "out", device="cpu")["tiny"]
    told, gives = one_cell(judge_all({"tiny": judged})["tiny"])
    command = shlex.split(told)
    assert command[:2] == ["effbatch", "simulate"]
    done = CliRunner().invoke(main, [*command[1:], "--device", "cpu"])
    assert done.exit_code == 0, done.output
    alone = cubes.open_cube(tmp_path / "cell")
    assert alone["outcome"].size == 1
    beside = judged.sel({dim: alone[dim].values for dim in alone["outcome"].dims})
    for name in ("test_loss", "train_loss", "test_accuracy"):
        np.testing.assert_array_equal(alone[name], beside[name])
    assert f"test accuracy {alone['test_accuracy'].item():.4f}" in done.output
    assert f"test accuracy of {100 * alone['test_accuracy'].item():.1f} %" in gives


def test_validating_twice_gives_the_same_cubes_and_verdicts(tmp_path, spec_text):
    text = spec_text.replace('kind = "collapse"', 'kind = "accuracy_curve"').replace("seed = 2", "seed = 4")
    cubes_of, verdicts = [], []
    for folder in ("first", "second"):
        made = validate([spec.parse(text)], tmp_path / folder, device="cpu")
        cubes_of.append(made["tiny"])
        (verdict,) = document.verdicts(judge_all(made), [])["verdicts"]
        verdicts.append({key: value for key, value in verdict.items() if key != "prediction_stored"})
    xr.testing.assert_equal(*cubes_of)
    assert verdicts[0] == verdicts[1]
