"""Sweep folders that effbatch 0.1 made open, go on, are judged and rendered as they were then.

sweep_0_1/finished      of `effbatch simulate tiny.toml`
sweep_0_1/unfinished    the same, stopped after two of four units
sweep_0_1/validated     of `effbatch validate tiny.toml`, without the report and the cube of its sweep
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import commands
import inside
import numpy as np
import pytest
import xarray as xr
from commands import FITTED, RECORDED, SWEEPS, run
from difference import assert_same

import effbatch
from effbatch import open_cube

KEYS = {"1cc4a53a95e543f8", "4732a6a38144136c", "96c078edd1ab3f67", "c7388a278c57e335"}


def unit_files(folder: Path) -> set[str]:
    """Names of the finished units: a key, then a checksum that another training would change."""
    return {path.name for path in (folder / "units").iterdir()}


def simulated(folder: Path, copy: Path) -> xr.Dataset:
    """The cube of a sweep that goes on in a copy of its folder."""
    shutil.copytree(folder, copy)
    run(f"simulate {SWEEPS}/tiny.toml --out {copy} --device cpu")
    assert not (copy / "quarantine").exists()
    return open_cube(copy)


@pytest.mark.parametrize(("folder", "cube"), [("finished", "finished"), ("validated/tiny", "validated/cube.nc")])
def test_a_finished_sweep_trains_nothing_and_gives_the_same_cube(folder, cube, tmp_path):
    again = simulated(SWEEPS / folder, tmp_path / "copy")
    assert unit_files(tmp_path / "copy") == unit_files(SWEEPS / folder)
    before = open_cube(SWEEPS / cube)
    before.attrs.pop("moments_check", None)  # only `validate` makes it
    xr.testing.assert_identical(again, before)


def test_an_unfinished_sweep_trains_only_what_is_missing(tmp_path):
    before = unit_files(SWEEPS / "unfinished")
    resumed = simulated(SWEEPS / "unfinished", tmp_path / "copy")
    after = unit_files(tmp_path / "copy")
    assert len(before) == 2
    assert before < after
    assert sorted(name.partition("-")[0] for name in after) == sorted(KEYS)
    whole = open_cube(SWEEPS / "finished")
    xr.testing.assert_equal(resumed["outcome"], whole["outcome"])
    np.testing.assert_allclose(resumed["test_accuracy"], whole["test_accuracy"], atol=2.5 / 500)  # two test images
    for name in ("test_loss", "train_loss", "test_loss_history"):
        np.testing.assert_allclose(resumed[name], whole[name], rtol=1e-3)


def test_the_sweep_is_judged_as_then():
    before = json.loads((SWEEPS / "validated" / "verdicts.json").read_text(encoding="utf-8"))["verdicts"]
    judged = inside.judgements(SWEEPS / "validated")
    before = [{key: verdict[key] for key in judged[0]} for verdict in before]
    for verdict in (*before, *judged):  # exponents now have intervals, and stand where these exclude 0
        verdict["finding"], exponents = verdict["finding"].split(" Measured, the best rate goes as ")
        assert exponents.startswith("B^0.54")
    assert_same(before, judged, FITTED)


def test_a_folder_and_its_cube_are_the_same_sweep():
    folder, cube = (effbatch.fit(open_cube(SWEEPS / path)) for path in ("finished", "finished/cube.nc"))
    xr.testing.assert_identical(folder.best, cube.best)


def test_the_report_of_the_sweep_is_as_then():
    assert commands.report().splitlines() == (RECORDED / "report.md").read_text(encoding="utf-8").splitlines()
