"""[data] noise = "matrix": labels are drawn from the rows of a file, and a sweep knows what it held."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import xarray as xr
from spec_lines import with_key

from effbatch.core.errors import InputError, SpecError, SweepError
from effbatch.data import datasets
from effbatch.plan import spec
from effbatch.plan.label_noise import noise_matrices
from effbatch.plan.spec import Data
from effbatch.sweep import runner


@pytest.fixture
def text(tmp_path, spec_text, monkeypatch) -> str:
    """A spec whose matrix is that of structured noise at its only α above 0."""
    monkeypatch.chdir(tmp_path)
    structured = Data(noise="structured", delta=0.5, order="random")
    matrices = noise_matrices(structured, datasets.load("digits"), [2.5])
    assert matrices is not None
    np.savetxt("noise.csv", matrices[0], delimiter=",")
    return with_key(spec_text, "data", 'noise = "matrix"\nmatrix = "noise.csv"')


@pytest.mark.parametrize("copies", ["fresh", "fixed", "expected"])
def test_a_matrix_of_structured_noise_trains_as_structured_noise(tmp_path, text, spec_text, copies):
    structured = with_key(spec_text, "data", 'noise = "structured"\ndelta = 0.5\norder = "random"')
    made = [
        runner.simulate(spec.parse(with_key(one, "data", f'copies = "{copies}"')), tmp_path / str(number))
        for number, one in enumerate((text, structured))
    ]
    xr.testing.assert_allclose(*(cube.sel(alpha=2.5, drop=True)["test_loss"] for cube in made), rtol=1e-5)


def test_a_sweep_knows_the_matrix_that_it_was_begun_on(tmp_path, text):
    runner.simulate(spec.parse(text), tmp_path / "sweep")
    np.savetxt("noise.csv", np.full((10, 10), 0.1), delimiter=",")
    with pytest.raises(SweepError, match=r"begun on other images or labels than noise\.csv holds now"):
        runner.simulate(spec.parse(text), tmp_path / "sweep")


def test_a_matrix_of_other_classes_is_named_before_anything_is_trained(tmp_path, text):
    np.savetxt("noise.csv", np.eye(3), delimiter=",")
    with pytest.raises(InputError, match="a noise matrix of 10 classes is needed, got one of 3"):
        runner.simulate(spec.parse(text), tmp_path / "sweep")
    assert not (tmp_path / "sweep").exists()


def test_the_file_and_the_kind_of_noise_need_each_other(spec_text):
    with pytest.raises(SpecError, match="noise = 'matrix' needs matrix, got none: give it"):
        spec.parse(with_key(spec_text, "data", 'noise = "matrix"'))
    with pytest.raises(SpecError, match="matrix is for matrix noise, got it with uniform: leave it out"):
        spec.parse(with_key(spec_text, "data", 'matrix = "noise.csv"'))


@pytest.mark.parametrize("noise", ["given", "same_matrix"])
def test_labels_given_need_clean_ones_beside_them(tmp_path, spec_text, noise):
    asked = with_key(spec_text, "data", f'noise = "{noise}"').replace("alpha = [0, 2.5]", "alpha = [0]")
    with pytest.raises(InputError, match=f"noise = '{noise}' needs a data set that knows the clean labels .*digits"):
        runner.simulate(spec.parse(asked), tmp_path / "sweep")


def test_a_sweep_on_labels_given_says_what_is_wrong_with_them(tmp_path, spec_text, monkeypatch):
    digits = datasets.load("digits")
    given = np.where(np.arange(len(digits.y_train)) % 5 == 0, 0, digits.y_train)
    noisy = replace(digits, y_train=given, clean_labels=digits.y_train)
    monkeypatch.setattr(datasets, "load", lambda name: noisy)
    asked = with_key(spec_text, "grid", 'noise = ["given", "same_rate"]').replace("alpha = [0, 2.5]", "alpha = [0]")
    cube = runner.simulate(spec.parse(asked), tmp_path / "sweep")
    told = json.loads(cube.attrs["given_labels"])["digits"]
    assert told["noise_rate"] == pytest.approx(float((given != digits.y_train).mean()))
    assert told["transition"][0][0] == 1
    assert told["alpha"] == pytest.approx(0.25, abs=0.05)
    assert not np.allclose(*(cube["test_loss"].sel(noise=kind) for kind in ("given", "same_rate")))
    assert f"{100 * told['noise_rate']:.2g} % of the training labels are wrong" in noisy.in_words
