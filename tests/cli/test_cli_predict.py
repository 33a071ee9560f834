"""`effbatch predict`: what it prints at two widths, its JSON, its refusals, and that it imports nothing heavy."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
from click.testing import CliRunner

from effbatch.advice.evidence import recorded
from effbatch.advice.law_answers import Anchor
from effbatch.advice.prediction import predict
from effbatch.cli.predict import INITIALISATIONS, command
from effbatch.core.errors import InputError
from effbatch.data.datasets import load
from effbatch.noise.class_orders import class_order
from effbatch.validation.setup import initial_spectrum

SWAP = [[0, 1, 0], [0, 1, 0], [0, 0, 1]]
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
    prediction = predict(50, 128, anchor=Anchor(0.1, 64, 2.0))
    value, (low, high) = 0.1 * (2 * 3 / 51) ** 0.5, prediction.recommended.interval
    assert words.startswith(
        f"Use learning rate {value:.3g} ({low:.3g} to {high:.3g}): "
        "0.343 times the anchor's 0.1 at batch size 64, α = 2."
    )
    parts = [
        "Law square_root_clean_count:",
        "Effective batch size",
        "Learning rate by law",
        "do not apply",
        "What the noise costs",
    ]
    positions = [words.index(part) for part in parts]
    assert positions == sorted(positions)
    for name, law in prediction.learning_rate.items():
        assert name in words
        assert law.reason in words
        assert not law.applies or f"× {law.factor:.3g}" in words
    for number in ("0.0492", "2.51", "332,928", "× 51", f"{prediction.labels.loss_floor:.4g} nat", "88.2 %"):
        assert number in words


def test_without_an_anchor_the_headline_is_a_factor():
    assert run("--alpha", "3", "--batch", "128").startswith("Multiply the learning rate")
    spread = 2 ** recorded()["square_root_clean_count"].quantile90_log2
    assert f"by 0.5 ({0.5 / spread:.3g} to {0.5 * spread:.3g})" in words_of(run("--alpha", "3", "--batch", "128"))
    assert run("--alpha", "0", "--batch", "128").startswith("Keep the learning rate")


@pytest.mark.parametrize("width", [50, 80])
def test_several_pairs_are_one_table(width):
    text = run("--alpha", "0", "--alpha", "3", "--batch", "64", "--batch", "2048", *ANCHOR, width=width)
    assert max(len(line) for line in text.splitlines()) <= width
    rows = [line.split() for line in text.splitlines() if line.strip()[:1].isdigit()]
    assert [row for row in rows if len(row) == 6] == [
        ["0", "64", "1.73", "0.173", "64", "0"],
        ["0", "2,048", "9.8", "0.98", "2,048", "0"],
        ["3", "64", "0.866", "0.0866", "4", f"{predict(3, 64).labels.loss_floor:.4g}"],
        ["3", "2,048", "4.9", "0.49", "128", f"{predict(3, 64).labels.loss_floor:.4g}"],
    ]


def test_json_with_an_interval_of_alpha_and_other_noise_is_the_prediction(tmp_path):
    said = json.loads(run("--alpha", "12", "--alpha-interval", "9", "16", "--batch", "128", "--json"))
    assert said == predict(12, 128, alpha_interval=(9, 16)).to_dict()
    said = json.loads(run("--alpha", "12", "--noise", "structured", "--delta", "0.5", "--batch", "128", "--json"))
    assert said == predict(12, 128, noise="structured", delta=0.5).to_dict()
    np.savetxt(tmp_path / "n.csv", SWAP, delimiter=",")
    said = json.loads(run("--alpha", "3", "--matrix", str(tmp_path / "n.csv"), "--batch", "128", "--json"))
    assert said == predict(3, 128, matrix=SWAP).to_dict()


def test_the_order_of_false_labels_is_that_of_the_data_set():
    options = {"noise": "structured", "delta": 1.0, "steps": 100}
    noise = ("--noise", "structured", "--delta", "1", "--order", "reverse")
    network = ("--network", "perceptron", "--dataset", "digits", "--steps", "100")
    said = json.loads(run("--alpha", "5", "--batch", "32", *noise, *network, "--json"))
    spectra = [initial_spectrum("perceptron", "digits", seed=seed) for seed in range(INITIALISATIONS)]
    order = class_order(load("digits"), "reverse")
    assert said == predict(5, 32, order=order, spectra=spectra, **options).to_dict()
    assert said["accuracy"]["value"] != predict(5, 32, spectra=spectra, **options).accuracy.value


@pytest.mark.parametrize("width", [50, 80])
def test_text_has_the_ranges_over_alpha(width):
    text = run("--alpha", "12", "--alpha-interval", "9", "16", "--batch", "128", width=width)
    assert max(len(line) for line in text.splitlines()) <= width
    words = words_of(text)
    spread = 2 ** recorded()["square_root_clean_count"].quantile90_log2
    low, high = 17**-0.5 / spread, 10**-0.5 * spread
    assert words.startswith(
        f"Multiply the learning rate best on clean labels at this batch size by 0.277 ({low:.3g} to {high:.3g})"
    )
    for part in (
        "α = 12 (9 to 16)",
        "12,800 to 36,992",
        "10 to 17",
        "81 % to 84.7 %",
        "the interval of alpha and 90 %",
    ):
        assert part in words


def test_text_names_classes_that_cannot_be_learned(tmp_path):
    np.savetxt(tmp_path / "n.csv", SWAP, delimiter=",")
    words = words_of(run("--alpha", "3", "--matrix", str(tmp_path / "n.csv"), "--batch", "128"))
    assert "Class 0 cannot be learned" in words
    assert "matrix label noise (effective α = " in words
    words = words_of(run("--alpha", "20", "--noise", "structured", "--delta", "1", "--batch", "128"))
    assert "No class can be learned" in words
    assert "structured label noise (δ = 1, effective α = " in words


def test_a_network_gives_the_rate_and_the_accuracy():
    arguments = ["--network", "perceptron", "--dataset", "digits", "--steps", "50", "--alpha", "6", "--batch", "32"]
    said = json.loads(run(*arguments, "--json"))
    law, accuracy = said["learning_rate"]["linearised"], said["accuracy"]
    assert said["recommended"]["law"] == "linearised"
    assert law["interval"][0] <= law["value"] <= law["interval"][1]
    assert law["n"] == accuracy["initialisations"] == INITIALISATIONS
    assert 0.1 < accuracy["interval"][0] <= accuracy["value"] <= accuracy["interval"][1] < 1
    assert accuracy["n"] is None
    words = words_of(run(*arguments))
    assert words.startswith(f"Use learning rate {law['value']:.3g} (")
    assert f"{100 * accuracy['value']:.3g} % accuracy of the linearised network" in words


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
        (["--alpha", "1", "--batch", "8", "--network", "mlp1"], "only one of them came: give both"),
        (
            ["--alpha", "1", "--batch", "8", "--network", "mlp1", "--dataset", "digits"],
            "need a budget, and none came: give --steps or --examples",
        ),
        (["--alpha", "1", "--batch", "8", "--noise", "structured"], "structured noise needs delta"),
        (["--alpha", "1", "--batch", "8", "--order", "random"], "that of a data set's classes, and none came"),
        (
            ["--alpha", "1", "--alpha", "2", "--batch", "8", "--alpha-interval", "0", "9"],
            "belongs to one alpha; 2 came",
        ),
        (["--alpha", "1", "--batch", "8", "--matrix", "missing.csv"], "missing.csv cannot be read"),
        (["--alpha", "1", "--batch", "8", "--from-estimate", "-"], "--alpha or --alpha-interval came too"),
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
    heavy = "torch statsmodels vl_convert weasyprint pandas xarray scipy"
    code = (
        "import sys; from effbatch.cli.predict import command; "
        "command(['--alpha', '3', '--batch', '64'], standalone_mode=False); "
        f"print('HEAVY', [m for m in '{heavy}'.split() if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "HEAVY []"
