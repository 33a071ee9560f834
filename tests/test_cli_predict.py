"""`effbatch predict`: what it prints at two widths, its JSON, its refusals, and that it imports nothing heavy."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from click.testing import CliRunner

from effbatch.cli.predict import command
from effbatch.errors import InputError
from effbatch.prediction import Anchor, predict

ANCHOR = ["--anchor-lr", "0.1", "--anchor-batch", "64", "--anchor-alpha", "2"]


def run(*arguments: str, width: int = 80) -> str:
    result = CliRunner(env={"COLUMNS": str(width), "NO_COLOR": "1"}).invoke(command, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def words_of(text: str) -> str:
    return " ".join(text.split())


def test_json_is_the_prediction():
    said = json.loads(run("--alpha", "50", "--batch", "128", "--classes", "7", "--steps", "900", *ANCHOR, "--json"))
    assert said == predict(50, 128, num_classes=7, steps=900, anchor=Anchor(0.1, 64, 2.0)).to_dict()


def test_json_of_several_pairs_is_a_list_of_them():
    said = json.loads(run("--alpha", "1", "--alpha", "5", "--batch", "8", "--batch", "16", "--json"))
    assert said == [predict(a, b).to_dict() for a in (1, 5) for b in (8, 16)]


@pytest.mark.parametrize("width", [50, 80])
def test_the_headline_comes_first_and_nothing_is_cut(width):
    text = run("--alpha", "50", "--batch", "128", *ANCHOR, width=width)
    assert max(len(line) for line in text.splitlines()) <= width
    assert "…" not in text
    words = words_of(text)
    value = 0.1 * (2 * 3 / 51) ** 0.5
    assert words.startswith(f"Use learning rate {value:.3g}: 0.343 times the anchor's 0.1 at batch size 64, α = 2.")
    parts = [
        "Law square_root_clean_count:",
        "Effective batch size",
        "Learning rate by law",
        "do not apply",
        "What the noise costs",
    ]
    positions = [words.index(part) for part in parts]
    assert positions == sorted(positions)
    prediction = predict(50, 128, anchor=Anchor(0.1, 64, 2.0))
    for name, law in prediction.learning_rate.items():
        assert name in words
        assert law.reason in words
        assert not law.applies or f"× {law.factor:.3g}" in words
    for number in ("0.0492", "2.51", "332,928", "× 51", f"{prediction.labels.loss_floor:.4g} nat", "88.2 %"):
        assert number in words


def test_without_an_anchor_the_headline_is_a_factor():
    assert run("--alpha", "3", "--batch", "128").startswith("Multiply the learning rate")
    assert "by 0.5." in words_of(run("--alpha", "3", "--batch", "128"))
    assert run("--alpha", "3", "--batch", "128", "--optimizer", "adadelta").startswith("Keep the learning rate")


@pytest.mark.parametrize("width", [50, 80])
def test_several_pairs_are_one_table(width):
    text = run("--alpha", "0", "--alpha", "3", "--batch", "64", "--batch", "2048", *ANCHOR, width=width)
    assert max(len(line) for line in text.splitlines()) <= width
    rows = [line.split() for line in text.splitlines() if line.strip()[:1].isdigit()]
    assert rows == [
        ["0", "64", "1.73", "0.173", "64", "0"],
        ["0", "2,048", "9.8", "0.98", "2,048", "0"],
        ["3", "64", "0.866", "0.0866", "4", f"{predict(3, 64).labels.loss_floor:.4g}"],
        ["3", "2,048", "4.9", "0.49", "128", f"{predict(3, 64).labels.loss_floor:.4g}"],
    ]


def test_no_color_is_respected():
    assert "\x1b[" not in run("--alpha", "3", "--batch", "128")
    colourful = CliRunner(env={"FORCE_COLOR": "1", "NO_COLOR": ""}).invoke(command, ["--alpha", "3", "--batch", "128"])
    assert "\x1b[" in colourful.output


def test_help_has_examples():
    text = run("--help")
    assert "effbatch predict --alpha 50 --batch 128" in text
    assert "--anchor-lr 0.1 --anchor-batch 128" in text


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--alpha", "-1", "--batch", "8"], "alpha must be from 0 .*-1.0 came"),
        (["--alpha", "nan", "--batch", "8"], "alpha must be .*nan came"),
        (["--alpha", "inf", "--batch", "8"], "alpha must be .*inf came"),
        (["--alpha", "1", "--batch", "0"], "the batch size must be from 1 .*; 0 came"),
        (["--alpha", "1", "--batch", "8", "--classes", "1"], "the number of classes .*; 1 came"),
        (["--alpha", "1", "--batch", "8", "--steps", "5", "--examples", "5"], "steps or examples; both came"),
        (["--alpha", "1", "--batch", "8", "--anchor-batch", "8"], "only --anchor-batch came"),
        (["--alpha", "1", "--batch", "8", "--anchor-lr", "0.1"], "only --anchor-lr came"),
        (["--alpha", "1", "--batch", "8", "--anchor-alpha", "0"], "only --anchor-alpha came"),
        (["--alpha", "1", "--batch", "8", "--anchor-lr", "nan", "--anchor-batch", "8"], "learning rate .*nan came"),
    ],
)
def test_nonsense_is_refused_in_one_sentence(arguments, words):
    with pytest.raises(InputError, match=words) as error:
        CliRunner().invoke(command, arguments, catch_exceptions=False)
    assert "\n" not in str(error.value)
    assert error.value.exit_code == 2


@pytest.mark.parametrize("arguments", [["--batch", "8"], ["--alpha", "x", "--batch", "8"]])
def test_what_click_refuses_exits_with_2(arguments):
    result = CliRunner().invoke(command, arguments)
    assert result.exit_code == 2
    assert "--alpha" in result.output


def test_it_runs_without_heavy_imports():
    heavy = "torch statsmodels altair weasyprint pandas xarray scipy"
    code = (
        "import sys; from effbatch.cli.predict import command; "
        "command(['--alpha', '3', '--batch', '64'], standalone_mode=False); "
        f"print('HEAVY', [m for m in '{heavy}'.split() if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "HEAVY []"
