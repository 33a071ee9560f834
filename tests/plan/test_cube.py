"""The cube's schema: what it holds, what it refuses, and that a NaN never stands for two things."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from effbatch.core.errors import CubeError, RunError
from effbatch.plan import cube as cubes
from effbatch.plan.cube import Outcome

AXES = {"alpha": [0.0, 1.0], "batch_size": [8], "learning_rate": [0.1], "seed": [0, 1], "network": ["mlp1"]}


@pytest.fixture
def cube() -> xr.Dataset:
    made = cubes.empty(AXES, checkpoints=3)
    made.attrs |= {"num_classes": 4, "simulation": "made"}
    return made


def test_histories_say_how_many_images_they_are_of(cube):
    assert cubes.history_limit(cube) == []
    (some,) = cubes.history_limit(cube.assign_attrs(history_images=500, test_images=10_000))
    (every,) = cubes.history_limit(cube.assign_attrs(history_images=500, test_images=500))
    assert "500 of the 10,000 test images" in some
    assert "all 500 test images" in every


def test_an_empty_cube_has_run_nothing(cube):
    assert (cube["outcome"] == int(Outcome.NOT_RUN)).all()
    assert cubes.score(cube).isnull().all()
    assert cube["test_accuracy_history"].dims == (*AXES, "checkpoint")


def test_a_diverged_cell_scores_chance_and_a_missing_one_nothing(cube):
    cube["outcome"][0] = int(Outcome.DIVERGED)
    cube["outcome"][1, 0, 0, 0] = int(Outcome.FINISHED)
    cube["test_accuracy"][1, 0, 0, 0] = 0.9
    score = cubes.score(cube).squeeze()
    assert score[0].values.tolist() == [0.25, 0.25]
    assert score[1, 0] == pytest.approx(0.9)
    assert np.isnan(score[1, 1])


def test_outcome_is_a_cf_flag(cube):
    attrs = cube["outcome"].attrs
    meanings = dict(zip(attrs["flag_values"].tolist(), attrs["flag_meanings"].split(), strict=True))
    assert meanings == {int(outcome): outcome.name.lower() for outcome in Outcome}
    assert all(outcome.sentence for outcome in Outcome)


def test_saved_cubes_open_by_name(cube, tmp_path):
    other = cube.assign_attrs(simulation="other")
    cubes.save({"made": cube, "other": other}, tmp_path / "cube.nc")
    xr.testing.assert_identical(cubes.open_cube(tmp_path, "other").load(), other)
    with pytest.raises(CubeError, match="holds the cubes made, other; no name was given"):
        cubes.open_cube(tmp_path)
    with pytest.raises(CubeError, match="holds no cube 'third'"):
        cubes.open_cube(tmp_path, "third")


def test_saving_replaces_and_leaves_nothing_behind(cube, tmp_path):
    for _ in range(2):
        cubes.save(cube, tmp_path / "cube.nc")
    assert [path.name for path in tmp_path.iterdir()] == ["cube.nc"]
    assert cubes.open_cube(tmp_path / "cube.nc").attrs["simulation"] == "made"


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda c: c.assign_attrs(schema="x"), "not an effbatch cube"),
        (lambda c: c.assign_attrs(schema_version=99), "schema 1; this one has 99"),
        (lambda c: c.drop_vars("outcome"), "lacks outcome"),
        (lambda c: c.rename(seed="sede"), "lacks seed"),
    ],
)
def test_what_breaks_the_schema_is_named(cube, change, sentence):
    with pytest.raises(CubeError, match=sentence):
        cubes.check(change(cube))


def test_a_cube_whose_bits_have_changed_is_refused(cube, tmp_path):
    cubes.save(cube, tmp_path / "cube.nc")
    content = bytearray((tmp_path / "cube.nc").read_bytes())
    place = content.index(b"nothing is selected on the test set")
    content[place] ^= 1  # in an attribute, which HDF5 does not check
    (tmp_path / "changed.nc").write_bytes(content)
    with pytest.raises(CubeError, match=r"changed\.nc .*its content is not what its checksum says"):
        cubes.open_cube(tmp_path / "changed.nc")


def test_a_cube_saved_by_xarray_itself_opens(cube, tmp_path):
    cube.to_netcdf(tmp_path / "cube.nc", engine="h5netcdf")
    assert cubes.open_cube(tmp_path / "cube.nc").identical(cube)


def test_several_cubes_are_opened_lazily_from_one_file(cube, tmp_path):
    cubes.save(
        {"one": cube.assign_attrs(simulation="one"), "two": cube.assign_attrs(simulation="two")}, tmp_path / "c.nc"
    )
    found = cubes.open_cubes(tmp_path / "c.nc")
    assert list(found) == ["one", "two"]
    assert not found["two"]["test_loss"].variable._in_memory
    assert found["two"].identical(cube.assign_attrs(simulation="two"))


def test_a_cube_that_cannot_be_written_is_one_sentence(cube, tmp_path):
    (tmp_path / "cube.nc").mkdir()
    with pytest.raises(RunError, match=r"cube\.nc could not be written \(.*nothing is trained again"):
        cubes.save(cube, tmp_path / "cube.nc")
    assert [path.name for path in tmp_path.iterdir()] == ["cube.nc"]
