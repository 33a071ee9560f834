"""`effbatch predict`: what it prints at two widths, its JSON, its refusals, and that it imports nothing heavy."""

from __future__ import annotations

import json
import re
import subprocess
import sys

import numpy as np
import pytest
from click.testing import CliRunner

from effbatch.advice.evidence import recorded
from effbatch.advice.prediction import predict
from effbatch.advice.question import Anchor
from effbatch.cli.predict import command
from effbatch.core.errors import InputError

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
    said = json.loads(run("--noise-rate", "0.1", "--noise-rate", "0.5", "--batch", "8", "--json"))
    assert said == [predict(batch_size=8, noise_rate=rate).to_dict() for rate in (0.1, 0.5)]


@pytest.mark.parametrize("width", [50, 80])
def test_the_headline_comes_first_and_nothing_is_cut(width):
    text = run("--alpha", "50", "--batch", "128", *ANCHOR, "--all", width=width)
    assert max(len(line) for line in text.splitlines()) <= width
    assert "…" not in text
    words = words_of(text)
    prediction = predict(50, 128, anchor=Anchor(0.1, 64, 2.0))
    value = 0.1 * (2 * 3 / 51) ** 0.5
    assert prediction.recommended.interval is None  # α = 50 is beyond the record
    assert words.startswith(
        f"Use learning rate {value:.3g} (no interval): 0.343 times the anchor's 0.1 at batch size 64, α = 2."
    )
    on_record = words_of(run("--alpha", "20", "--batch", "128", *ANCHOR, width=width))
    value, (low, high) = 0.1 * (2 * 3 / 21) ** 0.5, predict(20, 128, anchor=Anchor(0.1, 64, 2.0)).recommended.interval
    assert on_record.startswith(f"Use learning rate {value:.3g} [{low:.3g}, {high:.3g}]: 0.535 times the anchor's 0.1")
    parts = ["Law square_root_clean_count:", "Learning rate by law", "do not apply", "What the noise costs"]
    positions = [words.index(part) for part in parts]
    assert positions == sorted(positions)
    for name, law in prediction.learning_rate.items():
        assert name in words
        assert law.reason in words
        assert not law.applies or f"× {law.factor:.3g}" in words
    for number in ("0.0492", "2.51", "332,928", "× 51", f"{prediction.labels.loss_floor:.4g} nat", "88.2 %"):
        assert number in words


def test_an_interval_of_alpha_alone_is_not_told_as_that_of_the_law():
    asked = ("--alpha", "3", "--alpha-interval", "2", "4", "--batch", "128")
    beyond, near = (words_of(run(*asked, "--examples", f"{n}")) for n in (600_000, 100_000))
    assert "at B = 128 by 0.50 [0.45, 0.58] by α alone, with no interval of the law. Law" in beyond
    assert "for 4,688 steps (recorded: 1000)" in beyond
    assert "α alone" not in near


def test_one_screen_answers_with_the_laws_that_apply():
    text = run("--alpha", "50", "--batch", "128", *ANCHOR)
    assert len(text.splitlines()) <= 24
    said = predict(50, 128, anchor=Anchor(0.1, 64, 2.0)).learning_rate
    assert all((f" {name} " in text) == law.applies for name, law in said.items())


def test_without_an_anchor_the_headline_is_a_factor():
    assert run("--alpha", "3", "--batch", "128").startswith(
        "Multiply your best clean-label learning rate at B = 128 by "
    )
    spread = 2 ** recorded(clean_anchor=True)["square_root_clean_count"].quantile90_log2
    assert f"by 0.500 [{0.5 / spread:.3g}, {0.5 * spread:.3g}]" in words_of(run("--alpha", "3", "--batch", "128"))
    assert "constant schedule, 1,000 steps as recorded, unless you give yours." in words_of(
        run("--alpha", "3", "--batch", "128")
    )
    assert "constant schedule, 900 steps." in words_of(run("--alpha", "3", "--batch", "128", "--steps", "900"))
    assert run("--alpha", "0", "--batch", "128").startswith("Keep your best clean-label learning rate at B = 128.")


@pytest.mark.parametrize("width", [60, 80])
def test_several_pairs_are_one_table(width):
    text = run("--alpha", "0", "--alpha", "3", "--batch", "64", "--batch", "2048", *ANCHOR, width=width)
    assert max(len(line) for line in text.splitlines()) <= width
    assert text.startswith("Use learning rate 0.0866 to 0.98, row by row.")
    floor = f"{predict(3, 64).labels.loss_floor:.4g}"
    rows = [" ".join(line.split()) for line in text.splitlines() if line.strip()[:1].isdigit()]
    low, high = predict(3, 64, anchor=Anchor(0.1, 64, 2.0)).recommended.interval
    assert rows[-4].startswith("0 64 0.173 [")
    assert rows[-3:] == [
        "0 2,048 0.98 2,048 0",
        f"3 64 0.0866 [{low:.3g}, {high:.3g}] 4 {floor}",
        f"3 2,048 0.49 128 {floor}",
    ]


def test_a_factor_says_how_to_find_the_rate_that_it_takes():
    how = "effbatch advise NETWORK DATA"
    assert how in run("--alpha", "6", "--batch", "128")
    assert how not in run("--alpha", "6", "--batch", "128", *ANCHOR)


def test_more_pairs_than_a_screen_holds_are_cut_unless_all_is_asked_for():
    many = [part for alpha in range(30) for part in ("--alpha", str(alpha))]
    text = run(*many, "--batch", "64")
    assert len(text.splitlines()) <= 24
    left = int(re.search(r"^(\d+) more rows: --all$", text, flags=re.MULTILINE)[1])
    assert sum(bool(re.match(r" ?\d+ +64 ", line)) for line in text.splitlines()) == 30 - left
    assert sum(bool(re.match(r" ?\d+ +64 ", line)) for line in run(*many, "--batch", "64", "--all").splitlines()) == 30


def test_json_with_an_interval_of_alpha_and_other_noise_is_the_prediction(tmp_path):
    said = json.loads(run("--alpha", "12", "--alpha-interval", "9", "16", "--batch", "128", "--json"))
    assert said == predict(12, 128, alpha_interval=(9, 16)).to_dict()
    said = json.loads(run("--alpha", "12", "--noise", "structured", "--delta", "0.5", "--batch", "128", "--json"))
    assert said == predict(12, 128, noise="structured", delta=0.5).to_dict()
    np.savetxt(tmp_path / "n.csv", SWAP, delimiter=",")
    said = json.loads(run("--alpha", "3", "--matrix", str(tmp_path / "n.csv"), "--batch", "128", "--json"))
    assert said == predict(3, 128, matrix=SWAP).to_dict()
    said = json.loads(run("--transition", str(tmp_path / "n.csv"), "--batch", "128", "--json"))
    assert said == predict(batch_size=128, transition=SWAP).to_dict()


@pytest.mark.parametrize("width", [50, 80])
def test_text_has_the_ranges_over_alpha(width):
    text = run("--alpha", "12", "--alpha-interval", "9", "16", "--batch", "128", "--all", width=width)
    assert max(len(line) for line in text.splitlines()) <= width
    words = words_of(text)
    spread = 2 ** recorded(clean_anchor=True)["square_root_clean_count"].quantile90_log2
    low, high = 17**-0.5 / spread, 10**-0.5 * spread
    assert words.startswith(f"Multiply your best clean-label learning rate at B = 128 by 0.277 [{low:.3g}, {high:.3g}]")
    for part in (
        "α = 12.0 [9.0, 16.0]",
        "22,000 [13,000, 37,000]",
        "× 13.0 [10.0, 17.0]",
        "83.1 % [81.0, 84.7]",
        "the interval of alpha and 90 %",
    ):
        assert part in words


def test_a_noise_rate_is_told_with_both_readings():
    words = words_of(run("--noise-rate", "0.4", "--batch", "32"))
    assert "For α = 0.8 (from a noise rate of 0.4, the share of wrong labels; if that share is redrawn over" in words
    assert "over all 10 classes, alpha is 0.667)" in words


def test_text_names_classes_that_cannot_be_learned(tmp_path):
    np.savetxt(tmp_path / "n.csv", SWAP, delimiter=",")
    words = words_of(run("--alpha", "3", "--matrix", str(tmp_path / "n.csv"), "--batch", "128"))
    assert "Class 0 cannot be learned" in words
    assert "matrix label noise (effective α = " in words
    words = words_of(run("--alpha", "20", "--noise", "structured", "--delta", "1", "--batch", "128"))
    assert "No class can be learned" in words
    assert "structured label noise (degree 1, effective α = " in words


def test_no_color_is_respected():
    assert "\x1b[" not in run("--alpha", "3", "--batch", "128")
    colourful = CliRunner(env={"FORCE_COLOR": "1", "NO_COLOR": ""}).invoke(command, ["--alpha", "3", "--batch", "128"])
    assert "\x1b[" in colourful.output


def test_help_has_examples():
    text = run("--help")
    assert "effbatch predict --alpha 50 --batch 128" in text
    assert "--anchor-lr 0.1 --anchor-batch 128" in text


@pytest.mark.parametrize(
    "moved",
    [["--network", "mlp1"], ["--dataset", "digits"], ["--data-dir", "."], ["--order", "random"], ["--momentum", "0.5"],
     ["--probe"]],
    ids=" ".join,
)  # fmt: skip
def test_what_has_moved_says_where(moved):
    with pytest.raises(InputError, match="has moved to advise: effbatch advise NETWORK DATA --steps T") as error:
        CliRunner().invoke(command, ["--alpha", "1", "--batch", "8", *moved], catch_exceptions=False)
    assert str(error.value).startswith(moved[0])
    assert moved[0] not in run("--help")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--alpha", "-1", "--batch", "8"], "alpha must be at least 0 .*got -1.0"),
        (["--alpha", "nan", "--batch", "8"], "alpha must be .*got nan"),
        (["--alpha", "inf", "--batch", "8"], "alpha must be .*got inf"),
        (["--alpha", "1", "--batch", "0"], "the batch size must be at least 1 .*, got 0"),
        (["--alpha", "1", "--batch", "8", "--classes", "1"], "the number of classes .*, got 1"),
        (["--alpha", "1", "--batch", "8", "--steps", "5", "--examples", "5"], "got steps and examples: leave all but"),
        (["--alpha", "1", "--batch", "8", "--anchor-batch", "8"], "got only --anchor-batch: give both"),
        (["--alpha", "1", "--batch", "8", "--anchor-lr", "0.1"], "got only --anchor-lr: give both"),
        (["--alpha", "1", "--batch", "8", "--anchor-alpha", "0"], "got only --anchor-alpha: give both"),
        (["--alpha", "1", "--batch", "8", "--noise", "structured"], "structured noise needs delta"),
        (
            ["--alpha", "1", "--batch", "8", "--noise-rate", "0.2"],
            "got alpha and the noise rate: leave one of them out",
        ),
        (["--noise-rate", "40", "--batch", "8"], "got 40.0: write 0.4 for 40 %"),
        (
            ["--alpha", "1", "--alpha", "2", "--batch", "8", "--alpha-interval", "0", "9"],
            "needs one alpha, got 2",
        ),
        (["--alpha", "1", "--batch", "8", "--matrix", "missing.csv"], "missing.csv cannot be read"),
        (["--batch", "8", "--transition", "missing.csv"], "missing.csv cannot be read"),
        (["--alpha", "1", "--batch", "8", "--anchor-lr", "nan", "--anchor-batch", "8"], "learning rate .*got nan"),
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
