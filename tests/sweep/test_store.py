"""The sweep folder: a rename commits, a resumed run trains nothing twice, a damaged file is never used."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from effbatch.core.errors import InputError, SweepError
from effbatch.data import datasets
from effbatch.engine.ensembles import TOGETHER
from effbatch.engine.train import train_unit
from effbatch.plan import spec
from effbatch.plan.cube import Outcome, open_cube
from effbatch.sweep import runner
from effbatch.sweep.store import Store


@pytest.fixture
def counted(monkeypatch):
    """Counts the units trained in this process."""
    trained = []

    def counting(unit, *args, **kwargs):
        trained.append(unit.key)
        return train_unit(unit, *args, **kwargs)

    monkeypatch.setattr("effbatch.sweep.workers.train_unit", counting)
    return trained


@contextmanager
def interrupted(counted, trained):
    """Ctrl-C before the last of so many units is committed."""
    commit = Store.commit

    def stopping(store, key, block):
        if len(counted) == trained:
            raise KeyboardInterrupt
        return commit(store, key, block)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Store, "commit", stopping)
        yield


def test_a_folder_that_may_not_be_read_above_the_sweep_is_no_obstacle(tmp_path, monkeypatch):
    """As /home and /scratch often are; only the names in it cannot be made durable then."""
    opened = os.open

    def refusing(path, *rest, **options):
        if Path(path) == tmp_path:
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return opened(path, *rest, **options)

    monkeypatch.setattr(os, "open", refusing)
    with Store.open(tmp_path / "sweep", {}, {}, {}) as store:
        assert store.facts() == {"layout": 2, "spec": {}, "data": {}}


def test_a_finished_sweep_trains_nothing_again(tmp_path, spec_text, counted):
    first = runner.simulate(spec.parse(spec_text), tmp_path)
    assert len(counted) == 1
    again = runner.simulate(spec.parse(spec_text), tmp_path)
    assert len(counted) == 1
    xr.testing.assert_identical(first, again)
    assert (first["outcome"] == int(Outcome.FINISHED)).all()


def test_an_interrupted_sweep_goes_on_and_ends_with_the_same_cube(tmp_path, spec_text, counted):
    text = spec_text.replace("batch_size = [8]", "batch_size = [4, 8, 16]")
    whole = runner.simulate(spec.parse(text), tmp_path / "whole")
    counted.clear()
    with interrupted(counted, 2), pytest.raises(KeyboardInterrupt):
        runner.simulate(spec.parse(text), tmp_path / "broken")
    resumed = runner.simulate(spec.parse(text), tmp_path / "broken")
    assert len(counted) == 2 + 2  # the second unit was not acknowledged, so it and the third are trained
    xr.testing.assert_equal(resumed, whole)


def test_a_unit_of_large_networks_is_kept_in_pieces(tmp_path, spec_text, monkeypatch, counted):
    parsed = spec.parse(spec_text.replace('"mlp1"', '"conv2"').replace("seed = 2", "seed = 6"))
    monkeypatch.setitem(TOGETHER, "float32", 1)
    with interrupted(counted, 3), pytest.raises(KeyboardInterrupt):
        runner.simulate(parsed, tmp_path / "broken")
    resumed = runner.simulate(parsed, tmp_path / "broken")
    assert not set(counted[:2]) & set(counted[3:])
    xr.testing.assert_equal(resumed, runner.simulate(parsed, tmp_path / "at once"))


def test_a_unit_of_large_networks_that_was_finished_whole_stays_whole(tmp_path, spec_text, monkeypatch, counted):
    parsed = spec.parse(spec_text.replace('"mlp1"', '"conv2"'))
    whole = runner.simulate(parsed, tmp_path)
    monkeypatch.setitem(TOGETHER, "float32", 1)
    xr.testing.assert_identical(runner.simulate(parsed, tmp_path), whole)
    assert len(counted) == 1


def test_kill_9_loses_no_committed_unit(tmp_path, spec_text):
    text = spec_text.replace("batch_size = [8]", "batch_size = [4, 8, 16, 32]").replace("steps = 20", "steps = 300")
    file = tmp_path / "s.toml"
    file.write_text(text)
    command = [sys.executable, "-m", "effbatch", "simulate", str(file), "--out", str(tmp_path / "out")]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    units = tmp_path / "out" / "units"
    deadline = time.monotonic() + 60
    while process.poll() is None and not list(units.glob("[!.]*.nc")) and time.monotonic() < deadline:
        time.sleep(0.005)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    kept = {path: path.stat().st_mtime_ns for path in units.glob("[!.]*.nc")}
    assert kept
    runner.simulate(spec.parse(text), tmp_path / "out")
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    assert (open_cube(tmp_path / "out")["outcome"] == int(Outcome.FINISHED)).all()


@pytest.mark.parametrize("damage", ["flip", "truncate", "foreign"])
def test_a_damaged_unit_is_set_aside_and_trained_again(tmp_path, spec_text, damage, counted):
    whole = runner.simulate(spec.parse(spec_text), tmp_path)
    (path,) = (tmp_path / "units").glob("*.nc")
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes({"flip": content, "truncate": content[:100], "foreign": b"hello"}[damage])
    again = runner.simulate(spec.parse(spec_text), tmp_path)
    assert len(counted) == 2
    assert (tmp_path / "quarantine" / path.name).exists()
    np.testing.assert_array_equal(again["test_loss"], whole["test_loss"])


def test_a_source_that_is_not_there_is_named_before_anything_is_trained(tmp_path, spec_text, counted):
    text = spec_text.replace("seed = 2", 'seed = 2\nsource = ["white", "wite"]')
    with pytest.raises(InputError, match="data set 'wite' is not known"):
        runner.simulate(spec.parse(text.replace("[train]", 'noise = "foreign"\n[train]')), tmp_path)
    assert not counted


def test_a_sweep_knows_the_foreign_images_that_it_was_begun_on(tmp_path, spec_text, monkeypatch, counted):
    text = spec_text.replace("seed = 2", 'seed = 2\nsource = ["white", "little.npz"]')
    begun = spec.parse(text.replace("[train]", 'noise = "foreign"\n[train]'))
    monkeypatch.chdir(tmp_path)
    digits = datasets.load("digits")
    for scale in (1, 2):
        arrays = {f"{kind}_{part}": getattr(digits, f"{kind}_{part}") for kind in "xy" for part in ("train", "test")}
        np.savez("little.npz", **arrays | {"x_train": scale * digits.x_train})
        if scale == 1:
            runner.simulate(begun, tmp_path / "sweep")
            assert len(counted) == 4  # two sources, two alphas
    with pytest.raises(SweepError, match=r"little\.npz"):
        runner.simulate(begun, tmp_path / "sweep")


def test_a_changed_spec_is_refused_with_the_difference(tmp_path, spec_text):
    runner.simulate(spec.parse(spec_text), tmp_path)
    with pytest.raises(SweepError, match=r"train.budget.steps: 20 there, 21 asked for"):
        runner.simulate(spec.parse(spec_text.replace("steps = 20", "steps = 21")), tmp_path)


@pytest.fixture
def own_data(tmp_path, little_images):
    """Writes the little images, brightened, to an .npz file and returns its path."""

    def write(brighter: float) -> str:
        path = tmp_path / "own.npz"
        x_train, x_test = little_images.x_train + brighter, little_images.x_test
        np.savez(path, x_train=x_train, y_train=little_images.y_train, x_test=x_test, y_test=little_images.y_test)
        os.utime(path, (1, 1 + 100 * brighter))
        return str(path)

    return write


def test_a_sweep_on_a_file_goes_on_until_its_content_changes(tmp_path, spec_text, own_data, counted):
    text = spec_text.replace('"digits"', f'"{own_data(0.0)}"').replace("clean_examples = 100", "")
    parsed, out = spec.parse(text), tmp_path / "out"
    runner.predict_first(parsed, out, lambda: {"x": 1})
    cube = runner.simulate(parsed, out)
    own_data(0.0)
    xr.testing.assert_equal(runner.simulate(parsed, out), cube)
    assert len(counted) == 1
    assert len(cube.attrs["data_fingerprint"]) == 64
    own_data(0.5)
    for again in (lambda: runner.simulate(parsed, out), lambda: runner.predict_first(parsed, out, dict)):
        with pytest.raises(
            SweepError, match=r"begun on other images or labels than .*own\.npz holds now; give the old"
        ):
            again()
    assert len(counted) == 1


def test_a_folder_of_before_fingerprints_still_opens(tmp_path, spec_text, counted):
    runner.simulate(spec.parse(spec_text), tmp_path)
    manifest = json.loads((tmp_path / "sweep.json").read_text(encoding="utf-8"))
    del manifest["data"], manifest["sha256"]  # no folder of then had either
    (tmp_path / "sweep.json").write_text(json.dumps(manifest), encoding="utf-8")
    runner.simulate(spec.parse(spec_text), tmp_path)
    assert len(counted) == 1


def test_a_second_run_is_refused_with_the_owner(tmp_path, spec_text):
    asked = (tmp_path, spec.parse(spec_text).resolved(), {}, {})
    with (
        Store.open(*asked),
        pytest.raises(SweepError, match=f"in use by the process {os.getpid()}"),
        Store.open(*asked),
    ):
        pass


def test_predictions_are_kept_and_say_whether_training_had_begun(tmp_path, spec_text):
    parsed = spec.parse(spec_text)
    first = runner.predict_first(parsed, tmp_path / "a", lambda: {"x": 1})
    runner.simulate(parsed, tmp_path / "a")
    assert runner.predict_first(parsed, tmp_path / "a", lambda: {"x": 2}) == first
    assert first["before_training"]
    runner.simulate(parsed, tmp_path / "b")
    assert not runner.predict_first(parsed, tmp_path / "b", lambda: {"x": 1})["before_training"]


def test_the_cube_carries_what_a_reader_needs(tmp_path, spec_text):
    runner.simulate(spec.parse(spec_text), tmp_path)
    cube = open_cube(tmp_path)
    assert json.loads(cube.attrs["spec_resolved"])["train"]["budget"] == {"steps": 20}
    assert cube.attrs["num_classes"] == 10
    assert cube["step"].values.tolist()[-1] == 20
    assert cube["examples"].values.tolist()[-1] == 160
    assert cube["test_accuracy"].attrs["units"] == "1"


def test_a_folder_that_cannot_be_made_is_named(tmp_path, spec_text):
    (tmp_path / "file").write_text("")
    with pytest.raises(SweepError, match="cannot be written"):
        runner.simulate(spec.parse(spec_text), tmp_path / "file" / "out")


@pytest.mark.parametrize(("name", "content"), [("sweep.json", "{"), ("sweep.json", "[]"), ("predictions.json", "{")])
def test_a_damaged_manifest_is_named(tmp_path, spec_text, name, content):
    runner.simulate(spec.parse(spec_text), tmp_path)
    (tmp_path / name).write_text(content)
    with pytest.raises(SweepError, match=f"{name} is damaged"):
        runner.simulate(spec.parse(spec_text), tmp_path)


def test_a_lock_that_cannot_be_opened_is_named(tmp_path, spec_text):
    (tmp_path / "lock").mkdir()
    with pytest.raises(SweepError, match="cannot be locked"):
        runner.simulate(spec.parse(spec_text), tmp_path)


def test_a_file_in_the_name_of_another_unit_is_set_aside_and_named(tmp_path, spec_text):
    with Store.open(tmp_path, spec.parse(spec_text).resolved(), {}, {}) as store:
        first = store.commit("a" * 16, xr.Dataset({"x": 1}))
        second = store.commit("b" * 16, xr.Dataset({"x": 2}))
        taken = first.rename(second.with_name(f"{'b' * 16}-{first.stem.partition('-')[2]}.nc"))
        second.unlink()
        said: list[str] = []
        assert not store.finished(said.append)
    (sentence,) = said
    assert sentence.startswith(f"{taken} is damaged, or not of the unit that its name says; it was moved to")


def test_a_prediction_after_damaged_units_does_not_claim_to_come_before_training(tmp_path, spec_text):
    parsed = spec.parse(spec_text)
    runner.simulate(parsed, tmp_path)
    for path in (tmp_path / "units").iterdir():
        path.write_bytes(b"damaged")
    with Store.open(tmp_path, parsed.resolved(), {}, {}) as store:
        assert not store.finished()
    assert not runner.predict_first(parsed, tmp_path, lambda: {"x": 1})["before_training"]


def test_an_edited_prediction_is_refused(tmp_path, spec_text):
    parsed = spec.parse(spec_text)
    runner.predict_first(parsed, tmp_path, lambda: {"best": 0.25})
    path = tmp_path / "predictions.json"
    path.write_text(path.read_text(encoding="utf-8").replace("0.25", "0.5"), encoding="utf-8")
    with pytest.raises(SweepError, match=r"predictions\.json is damaged \(it was changed after it was written\)"):
        runner.simulate(parsed, tmp_path)


def test_finished_units_are_found_without_being_opened(tmp_path, spec_text, monkeypatch):
    """A folder of ten thousand units is looked through in seconds; opening them takes minutes."""
    runner.simulate(spec.parse(spec_text), tmp_path)
    monkeypatch.setattr(xr, "open_dataset", lambda *args, **kwargs: pytest.fail("a unit was opened"))
    with Store.open(tmp_path, spec.parse(spec_text).resolved(), {}, {}) as store:
        assert len(store.finished()) == 1
