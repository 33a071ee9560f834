"""Whatever `estimate --json` prints, `predict --from-estimate` answers: with numbers, or with "?" and the reason."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from effbatch.cli import main

QUIET = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
SAMPLES = st.one_of(st.integers(1, 30), st.integers(1, 10**9)).flatmap(
    lambda checked: st.tuples(
        st.just(checked), st.one_of(st.integers(0, checked), st.sampled_from([0, checked])), st.integers(2, 2000)
    )
)
COUNTS = st.integers(2, 5).flatmap(
    lambda K: arrays.arrays(np.int64, (K, K), elements=st.one_of(st.just(0), st.integers(0, 9), st.integers(0, 10**5)))
)


def run(*arguments: str, standard_input: str | None = None, code: int = 0) -> str:
    result = CliRunner().invoke(main, arguments, input=standard_input)
    assert result.exit_code == code, (arguments, result.output)
    return result.stdout


def piped(*estimate: str, predict: tuple[str, ...] = ()) -> dict[str, Any]:
    """The answer of `predict` to what `estimate` printed, the same keys as any; its page can be printed, too."""
    handed = run("estimate", *estimate, "--json")
    asked = ("predict", "--from-estimate", "-", "--batch", "64", *predict)
    answer = json.loads(run(*asked, "--json", standard_input=handed))
    usual = json.loads(run("predict", "--alpha", "1", "--batch", "64", "--json"))
    assert set(usual) <= set(answer)
    assert set(usual["learning_rate"]) == set(answer["learning_rate"])
    page = run(*asked, standard_input=handed)
    factor = answer["recommended"]["factor"]
    if answer["alpha"] is None:
        assert page.startswith("? The learning rate cannot be told: ")
        assert answer["reason"]
        assert (factor, answer["restoring_batch_size"], answer["labels"]["signal"]) == (None, None, None)
    else:
        assert 0 < factor <= 1
        assert answer["num_classes"] == json.loads(handed)["num_classes"]
    return answer


@QUIET
@given(SAMPLES)
def test_any_sample_is_answered(sample):
    checked, wrong, classes = sample
    answer = piped("--checked", str(checked), "--wrong", str(wrong), "--classes", str(classes))
    assert (answer["alpha"] is None) == (classes * (checked - wrong) <= checked)


@settings(QUIET, max_examples=25)
@given(COUNTS)
def test_any_counts_are_answered(tmp_path, counts):
    counts[0, 0] += counts.sum() == 0
    np.savetxt(tmp_path / "counts.csv", counts, "%d", ",")
    answer = piped("--counts", str(tmp_path / "counts.csv"), "--random-sample")
    assert answer["noise"]["kind"] in ("uniform", "transition")


@pytest.mark.parametrize(
    ("counts", "told"),
    [
        ([[10, 0], [10, 0]], False),  # every label is one class: no signal
        ([[0, 9], [9, 0]], False),  # always wrong: beyond what uniform noise can do
        ([[100, 0], [0, 0]], True),  # one class checked, nothing wrong
        ([[3, 40, 1], [0, 0, 0], [2, 30, 9]], False),  # mostly wrong, a class not checked
    ],
    ids=["no signal", "exchanged", "one class checked", "not checked"],
)
def test_counts_at_a_boundary(tmp_path, counts, told):
    np.savetxt(tmp_path / "counts.csv", counts, "%d", ",")
    answer = piped("--counts", str(tmp_path / "counts.csv"), "--random-sample")
    assert (answer["alpha"] is not None) == told


@pytest.mark.parametrize(
    ("estimate", "reason"),
    [
        (["--train-loss", "1.9", "--classes", "10"], "bounds alone"),
        (["--noise-rate", "0.8999999999999999", "--classes", "10"], "leaves no signal"),
        (["--checked", "1", "--wrong", "1", "--classes", "2"], "the noise rate found reaches 0.5"),
        (
            ["--checked", "20", "--wrong", "20", "--classes", "2"],
            "is above 0.5 = (K − 1)/K throughout: uniform noise cannot do that",
        ),
    ],
)
def test_what_cannot_be_told_has_its_reason(estimate, reason):
    assert reason in piped(*estimate)["reason"]


@pytest.mark.parametrize("predict", [(), ("--noise", "structured", "--delta", "0.5"), ("--optimizer", "AdamW")])
def test_checks_sizes_rates_and_other_noise_are_answered(tmp_path, predict):
    (tmp_path / "checks.csv").write_text("image,given,checked\na,cat,cat\na,cat,dog\nb,dog,dog\nc,cat,cat\n")
    (tmp_path / "counts.csv").write_text("24,3,1\n4,26,2\n2,1,27\n")
    for estimate in (
        ("--checks", str(tmp_path / "checks.csv")),
        ("--counts", str(tmp_path / "counts.csv"), "--sizes", "9000,700,300"),
        ("--noise-rate", "40%", "--classes", "10", "--relabel", "20%"),
    ):
        assert piped(*estimate, predict=predict)["alpha"] is not None


def test_an_estimate_stands_alone_and_says_the_classes():
    handed = run("estimate", "--checked", "200", "--wrong", "66", "--classes", "7", "--json")
    for more, words in (
        (["--alpha", "1"], "got alpha and the estimate: leave one of them out"),
        (["--classes", "10"], "one number of classes is needed, got 10 by num_classes, 7 by the estimate"),
    ):
        result = CliRunner().invoke(main, ["predict", "--from-estimate", "-", "--batch", "8", *more], input=handed)
        assert result.exit_code == 2
        assert words in result.output


def test_noise_rates_that_leave_a_signal_are_answered_beside_one_that_does_not():
    asked = ("predict", "--noise-rate", "0.4", "--noise-rate", "0.95", "--batch", "8")
    known, unknown = json.loads(run(*asked, "--json"))
    assert (known["alpha"], unknown["alpha"]) == (pytest.approx(0.8), None)
    assert "below (K − 1)/K = 0.9" in unknown["reason"]
    page = run(*asked)
    assert "α = 0.8" in page
    assert "? The learning rate cannot be told: the noise rate needs to be" in page


@pytest.mark.parametrize(
    "text", ["{}", "[]", "null", '{"num_classes": 3, "alpha": 1}', "no JSON", '{"num_classes": "x"}']
)
def test_what_is_no_estimate_is_said(text):
    result = CliRunner().invoke(main, ["predict", "--from-estimate", "-", "--batch", "8"], input=text)
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1)
    assert "--from-estimate needs the JSON of an estimate" in result.stderr


def test_counts_that_uniform_noise_does_not_fit_are_taken_as_their_matrix(tmp_path):
    counts = np.array([[70, 0, 4], [2, 90, 0], [5, 1, 80]])
    np.savetxt(tmp_path / "counts.csv", counts, "%d", ",")
    np.savetxt(tmp_path / "transition.csv", counts / counts.sum(1, keepdims=True), delimiter=",")
    by_counts, by_matrix = (
        json.loads(run("predict", f"--{name}", str(tmp_path / f"{name}.csv"), "--batch", "8", "--json"))
        for name in ("counts", "transition")
    )
    assert by_counts["noise"]["kind"] == "transition"
    assert by_counts["alpha"] == pytest.approx(by_matrix["alpha"])
    assert "uniform noise does not fit (p = " in by_counts["alpha_how"]
    piped_too = piped("--counts", str(tmp_path / "counts.csv"))
    assert piped_too["recommended"]["factor"] == pytest.approx(
        json.loads(run("predict", "--counts", str(tmp_path / "counts.csv"), "--batch", "64", "--json"))["recommended"][
            "factor"
        ]
    )
    np.savetxt(tmp_path / "equal.csv", [[24, 3, 1], [4, 26, 2], [2, 1, 27]], "%d", ",")
    result = CliRunner().invoke(main, ["predict", "--counts", str(tmp_path / "equal.csv"), "--batch", "8"])
    assert "got 30 checked of every given label" in result.output
