"""`effbatch estimate`: what it prints, its JSON, its refusals, its files, and the chain into `predict`."""

from __future__ import annotations

import json

import numpy as np
import pytest
from click.testing import CliRunner

from effbatch.audit import estimate_noise
from effbatch.audit.confusion import estimate_from_counts
from effbatch.cli.estimate import command
from effbatch.cli.predict import command as predict_command
from effbatch.core.errors import InputError

SAMPLE = ["--checked", "200", "--wrong", "66", "--classes", "10"]
COUNTS = np.array([[60, 30, 0], [5, 80, 5], [0, 45, 40]])


def run(*arguments: str) -> str:
    result = CliRunner().invoke(command, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


@pytest.fixture
def counts_file(tmp_path) -> str:
    np.savetxt(tmp_path / "counts.csv", COUNTS, delimiter=",", fmt="%d")
    return str(tmp_path / "counts.csv")


def test_json_is_the_estimate(counts_file):
    assert json.loads(run(*SAMPLE, "--json")) == estimate_noise(200, 66, 10).to_dict() | {"bounds": {}}
    options = ("--examples", "5000", "--confidence", "0.9", "--method", "wilson")
    expected = estimate_noise(200, 66, 10, examples=5000, confidence=0.9, method="wilson").to_dict()
    assert json.loads(run(*SAMPLE, *options, "--json")) == expected | {"bounds": {}}
    assert json.loads(run("--counts", counts_file, "--json")) == estimate_from_counts(COUNTS).to_dict() | {"bounds": {}}


def test_text_has_value_interval_n_and_method():
    text = run(*SAMPLE)
    assert text.startswith("α = 0.58 [0.42, 0.80]")
    assert "33 % [27, 40]" in text
    assert "n = 200 checked, 66 wrong; 95 % interval, Clopper-Pearson" in text
    assert "no upper limit" in run("--checked", "20", "--wrong", "17", "--classes", "10")


def test_text_of_counts_names_doubtful_classes(counts_file):
    text = run("--counts", counts_file)
    assert "does not fit the counts" in text
    verdicts = {line.split()[0]: line for line in text.splitlines() if line[:9].strip().isdigit()}
    assert "cannot tell" in verdicts["2"]
    assert "cannot" not in verdicts["1"]


def test_bounds_stand_alone_with_what_they_assume():
    text = run("--classes", "10", "--train-loss", "1.9", "--holdout-accuracy", "0.55")
    assert "From --holdout-accuracy 0.55: α <= 1:" in text
    assert "From --train-loss 1.9: α <= " in text
    assert text.count("This assumes") == 2
    said = json.loads(run("--classes", "10", "--train-loss", "1.9", "--json"))
    assert set(said) == {"num_classes", "bounds"}
    assert said["bounds"]["train_loss"]["alpha_at_most"] > 0


def test_predict_takes_alpha_its_interval_and_classes_from_an_estimate(counts_file):
    runner = CliRunner()
    for arguments, note in ((SAMPLE, ""), (["--counts", counts_file], "uniform noise does not fit the counts")):
        said = run(*arguments, "--json")
        result = runner.invoke(
            predict_command, ["--from-estimate", "-", "--batch", "128", "--json"], input=said, catch_exceptions=False
        )
        estimated, predicted = json.loads(said), json.loads(result.stdout)
        assert predicted["alpha"] == estimated["alpha"]["value"]
        assert predicted["alpha_interval"] == estimated["alpha"]["interval"]
        assert predicted["num_classes"] == estimated["num_classes"]
        assert note in result.stderr
        assert bool(result.stderr) == bool(note)


@pytest.mark.parametrize("said", ["{}", "not json", "[1, 2]", '{"num_classes": 10, "bounds": {}}'])
def test_predict_refuses_what_is_no_estimate(said):
    with pytest.raises(InputError, match="needs what `estimate --json` prints"):
        CliRunner().invoke(
            predict_command, ["--from-estimate", "-", "--batch", "8"], input=said, catch_exceptions=False
        )


def test_predict_refuses_an_estimate_without_alpha():
    said = run("--checked", "2000", "--wrong", "1990", "--classes", "10", "--json")
    with pytest.raises(InputError, match=r"no alpha to predict from: the noise rate is above 0\.9"):
        CliRunner().invoke(
            predict_command, ["--from-estimate", "-", "--batch", "8"], input=said, catch_exceptions=False
        )


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "number of classes is needed"),
        (["--classes", "10"], "nothing to estimate from came"),
        (["--classes", "10", "--checked", "5"], "only one of them came"),
        (["--classes", "10", "--examples", "50"], "--examples came without a sample"),
        (["--counts", "missing.csv", "--wrong", "3"], "leave it out"),
        (["--counts", "missing.csv"], "missing.csv cannot be read: No such file"),
        (["--classes", "10", "--checked", "5", "--wrong", "6"], "wrong labels .*; 6 came"),
    ],
)
def test_nonsense_is_refused_in_one_sentence(arguments, words):
    with pytest.raises(InputError, match=words) as error:
        CliRunner().invoke(command, arguments, catch_exceptions=False)
    assert "\n" not in str(error.value)


def test_classes_must_be_those_of_the_counts(counts_file):
    run("--counts", counts_file, "--classes", "3")
    with pytest.raises(InputError, match="--classes 4 came with counts of 3 classes"):
        CliRunner().invoke(command, ["--counts", counts_file, "--classes", "4"], catch_exceptions=False)


def test_counts_come_from_npy_too_but_never_from_a_pickle(tmp_path):
    np.save(tmp_path / "counts.npy", COUNTS)
    assert json.loads(run("--counts", str(tmp_path / "counts.npy"), "--json"))["wrong"] == 85
    np.save(tmp_path / "objects.npy", np.array([{"a": 1}]), allow_pickle=True)
    with pytest.raises(InputError, match="without pickles; it does not"):
        CliRunner().invoke(command, ["--counts", str(tmp_path / "objects.npy")], catch_exceptions=False)


@pytest.mark.parametrize("content", [b"", b"1,2\n3\n", b"a,b\n1,2\n", b"\xff\xfe\x00", b"\x93NUMPY"])
@pytest.mark.parametrize("suffix", ["csv", "npy"])
def test_files_that_hold_no_matrix_are_refused(tmp_path, content, suffix):
    path = tmp_path / f"bad.{suffix}"
    path.write_bytes(content)
    with pytest.raises(InputError, match="must hold numbers only"):
        CliRunner().invoke(command, ["--counts", str(path)], catch_exceptions=False)
