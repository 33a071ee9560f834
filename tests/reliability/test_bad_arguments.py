"""Commands with nonsense arguments exit with 0 and finite numbers, or with 2 and one sentence; no traceback."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from bad_input import answered, refused, run
from hypothesis import given
from hypothesis import strategies as st

HUGE = "9" * 400
NUMBERS = ["nan", "inf", "-inf", "-1", "0", "-0.0", "1e-300", "1e6", "1e15", "1e16", "1e308", HUGE, "", "x", "½"]
WHOLE = ["0", "-1", "1", "2", "10000", "1e3", "1000000000000000", HUGE]
ESTIMATE = {"--checked": "200", "--wrong": "66", "--classes": "10"}

numbers = st.one_of(st.sampled_from(NUMBERS), st.floats().map(str), st.integers().map(str))


@given(st.fixed_dictionaries({"--alpha": numbers, "--batch": numbers}, optional={
    "--classes": st.integers(-5, 3000).map(str) | st.just(HUGE),
    "--steps": numbers, "--examples": numbers, "--anchor-lr": numbers, "--anchor-batch": numbers,
    "--anchor-alpha": numbers, "--noise-rate": numbers, "--optimizer": st.sampled_from(["sgd", "momentum", "adam", ""]),
    "--schedule": st.sampled_from(["constant", "cosine", "x"]),
}))  # fmt: skip
def test_predict_answers_or_refuses(options):
    answered("predict", *arguments(options), "--json")


@given(st.fixed_dictionaries({}, optional={
    "--checked": numbers, "--wrong": numbers, "--classes": numbers, "--confidence": numbers,
    "--holdout-accuracy": numbers, "--train-loss": numbers, "--method": st.sampled_from(["exact", "wilson"]),
}))  # fmt: skip
def test_estimate_answers_or_refuses(options):
    answered("estimate", *arguments(options), "--json")


@given(st.sampled_from(["predict", "estimate", "advise", "measure", "fit", "report", "simulate", "validate", "laws"]),
       st.lists(st.text(st.characters(exclude_characters="\0", codec="utf-8"), max_size=12).filter(
           lambda word: word not in {"-h", "--help", "--version"}), min_size=7, max_size=9))  # fmt: skip
def test_no_words_make_a_command_stumble(command, words):
    refused(command, *words, usage=True)


def arguments(options: dict[str, str]) -> list[str]:
    return [f"{option}={value}" for option, value in options.items()]


@pytest.mark.parametrize("value", NUMBERS)
@pytest.mark.parametrize(
    "option", ["--alpha", "--anchor-lr", "--anchor-alpha", "--delta", "--noise-rate", "--alpha-interval"]
)
def test_a_number_of_predict(option, value):
    base = {"--alpha": "3", "--batch": "8"}
    match option:
        case "--anchor-lr" | "--anchor-alpha":
            base |= {"--anchor-lr": "0.1", "--anchor-batch": "8"}
        case "--delta":
            base |= {"--noise": "structured"}
        case "--noise-rate":
            base.pop("--alpha")
        case "--alpha-interval":
            answered("predict", *arguments(base), option, "0", value, "--json")
            return
    answered("predict", *arguments(base | {option: value}), "--json")


@pytest.mark.parametrize("value", WHOLE)
@pytest.mark.parametrize("option", ["--batch", "--classes", "--steps", "--examples"])
def test_a_whole_number_of_predict(option, value):
    answered("predict", *arguments({"--alpha": "3", "--batch": "8"} | {option: value}), "--json")


@pytest.mark.parametrize("value", WHOLE)
@pytest.mark.parametrize("option", [*ESTIMATE, "--examples"])
def test_a_whole_number_of_estimate(option, value):
    answered("estimate", *arguments(ESTIMATE | {option: value}), "--json")


@pytest.mark.parametrize("confidence", ["1e-300", "0.9999999999999999", "1", "nan"])
@pytest.mark.parametrize("method", ["exact", "wilson"])
def test_confidence_at_its_ends(method, confidence):
    answered("estimate", *arguments(ESTIMATE | {"--confidence": confidence, "--method": method}), "--json")


@pytest.mark.parametrize(
    "text",
    [
        "", "{}", "[]", "null", "1", "[" * 10_000, '{"alpha": null}',
        '{"alpha": {"value": "3", "interval": null}, "num_classes": 10}',
        '{"alpha": {"value": [3], "interval": null}, "num_classes": 10}',
        '{"alpha": {"value": 3, "interval": [1, "x"]}, "num_classes": 10}',
        '{"alpha": {"value": 3, "interval": [1, 2, 3]}, "num_classes": 10}',
        '{"alpha": {"value": 3, "interval": null}, "num_classes": "x"}',
        '{"alpha": {"value": 3, "interval": null}, "num_classes": 2.5}',
        '{"alpha": {"value": NaN, "interval": null}, "num_classes": 10}',
        '{"alpha": {"value": 3, "interval": null}, "num_classes": 10, "uniform_noise": 5}',
        '{"alpha": {"value": 3, "interval": null}, "num_classes": 10, "uniform_noise": {"fits": false}}',
        '{"alpha": {"value": ' + "9" * 4000 + ', "interval": null}, "num_classes": 10}',
        '{"alpha": {"value": ' + "9" * 5000 + ', "interval": null}, "num_classes": 10}',
        b"\xff\xfe\x00",
    ],
    ids=lambda text: repr(text)[:60],
)  # fmt: skip
def test_what_is_no_estimate_is_refused(text):
    refused("predict", "--batch", "8", "--from-estimate", "-", "--json", input=text)


@pytest.mark.parametrize("noise", [["--noise", "structured", "--delta", "0.5"], []], ids=["structured", "uniform"])
def test_ten_thousand_classes_take_no_matrix(noise):
    answered("predict", "--alpha", "3", "--batch", "8", "--classes", "10000", *noise, "--json")


def test_an_error_of_ours_is_one_sentence_too(monkeypatch):
    """Also one that nobody thought of, or that brings control characters with it."""

    def broken(*_, **__):
        raise ZeroDivisionError("line one\nline \x1b[31mtwo" + "x" * 1000)

    monkeypatch.setattr("effbatch.cli.predict.predict", broken)
    result = run("predict", "--alpha", "1", "--batch", "8")
    assert result.exit_code == 1
    assert result.stderr.startswith(r"effbatch: ZeroDivisionError: line one\nline \x1b[31mtwoxxx")
    assert result.stderr.endswith("… (not expected: `effbatch --debug ...` shows where)\n")
    with pytest.raises(ZeroDivisionError):
        run("--debug", "predict", "--alpha", "1", "--batch", "8", catch_exceptions=False)


def test_a_reader_that_goes_away_leaves_no_traceback():
    code = "from effbatch.cli import main; main(prog_name='effbatch')"
    options = [f"--alpha={alpha}" for alpha in range(60)]  # more than a pipe holds
    with subprocess.Popen(
        [sys.executable, "-c", code, "predict", "--batch=8", "--json", *options],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == "[\n"
        process.stdout.close()
        assert process.stderr.read() == ""


def test_valid_json_is_what_is_checked():
    assert json.loads(run("predict", "--alpha", "1", "--batch", "8", "--json").stdout)["alpha"] == 1
