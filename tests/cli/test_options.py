"""An option that could change nothing beside the others is refused, never silently ignored."""

from __future__ import annotations

import json

import click
import pytest
from click.testing import CliRunner

from effbatch.cli import main
from effbatch.cli.options import Name, Share
from effbatch.core.errors import SpecError
from effbatch.plan import spec as specs

PREDICT = "predict --alpha 3 --batch 32"
ADVISE = "advise mlp1 digits --steps 100"
IGNORED = {
    "paper of a figure": (
        "report out --figure collapse --out a.svg --paper letter",
        "--paper needs a PDF, got a.svg",
    ),
    "paper of a figure as PDF": (
        "report out --figure collapse --out a.pdf --paper letter",
        "--paper is for a whole report, got it with --figure: leave it out, or give --width",
    ),
    "width of a PNG": (
        "report out --figure collapse --out a.png --width one-column",
        "--width is for a --figure as .svg or .pdf, got a.png",
    ),
    "width of a report": (
        "report out --out a.pdf --width one-column",
        "--width is for a --figure as .svg or .pdf, got a.pdf: leave it out, or name a --figure",
    ),
    "paper of a table": ("report out --table rates --out a.csv --paper letter", "--paper needs a PDF, got a.csv"),
    "paper of a page": ("report out --out a.html --paper a4", "--paper needs a PDF, got a.html"),
    "paper of no format": (
        "report out --out b.html --out b.md --paper letter",
        "--paper needs a PDF, got b.html, b.md",
    ),
    "momentum of SGD": (f"{ADVISE} --momentum 0.5", "--momentum is for --optimizer momentum, got it with sgd"),
    "momentum of a law": (f"{PREDICT} --optimizer momentum --momentum 0.5", "--momentum has moved to advise"),
    "folder without data": (f"{PREDICT} --data-dir .", "--data-dir has moved to advise"),
    "rate without training": (f"{ADVISE} --rate 0.1 --no-training", "rate needs real runs, got no training"),
    "folder without training": (f"{ADVISE} --out kept --no-training", "out needs real runs, got no training"),
    "order of uniform noise": (
        f"{ADVISE} --alpha 3 --order random",
        "order is for structured noise, got it with uniform",
    ),
    "noisy labels that are clean": (f"{ADVISE} --alpha 3 --labels noisy", "the labels of digits are clean"),
    "quick without a small grid": ("simulate tiny.toml --quick --out sweep", "--quick needs the tables [quick.*]"),
    "data set over a grid": ("simulate grid.toml --dataset digits --out sweep", "grid of grid.toml names its own"),
    "validate: quick": ("validate tiny.toml --quick --out sweep", "--quick needs the tables [quick.*]"),
    "two budgets": (f"{PREDICT} --steps 9 --examples 99", "got steps and examples: leave all but one out"),
    "two sources of alpha": (
        "advise mlp1 digits --steps 9 --alpha 3 --checked 9 --wrong 3",
        "got alpha and checked labels: leave one of them out",
    ),
    "workers twice": (
        "simulate tiny.toml --out sweep --workers 2 --scheduler tcp://127.0.0.1:1",
        "either by --workers or by --scheduler; got both",
    ),
}


@pytest.mark.parametrize("kind", list(IGNORED))
def test_what_would_be_ignored_is_refused_in_one_sentence(kind, spec_text, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny.toml").write_text(spec_text)
    grid = spec_text.replace('dataset = "digits"\n', "").replace("[grid]", '[grid]\ndataset = ["digits"]')
    (tmp_path / "grid.toml").write_text(grid)
    command, said = IGNORED[kind]
    result = CliRunner().invoke(main, command.split())
    assert result.exit_code == 2, result.output
    assert said in result.output
    assert result.output.count("\n") == 1
    assert {path.name for path in tmp_path.iterdir()} == {"tiny.toml", "grid.toml"}


def test_what_is_not_ignored_is_taken(spec_text):
    run = CliRunner().invoke
    momentum = ("--no-training", "--batch", "8", "--optimizer", "momentum", "--momentum", "0.5")
    assert run(main, [*ADVISE.split(), *momentum]).exit_code == 0
    assert specs.parse(f"{spec_text}[quick.grid]\nseed = 1\n", quick=True).grid["seed"] == (0,)
    with pytest.raises(SpecError, match="--quick needs"):
        specs.parse(spec_text, quick=True)


@pytest.mark.parametrize(("said", "share"), [("0.4", 0.4), ("40%", 0.4), ("40 %", 0.4), ("1e-2", 0.01)])
def test_a_share_may_be_a_percentage(said, share):
    assert Share().convert(said, None, None) == pytest.approx(share)


def test_names_are_read_in_any_case_and_what_is_none_is_said():
    assert Name(["adam", "adamw"]).convert("AdamW", None, None) == "adamw"
    with pytest.raises(click.BadParameter, match=r"'forty' is no share: write 0\.4 or 40%"):
        Share().convert("forty", None, None)


def test_measure_takes_a_noise_rate():
    arguments = ["measure", "perceptron", "digits", "--noise-rate", "40%", "--examples", "20", "--json"]
    answer = json.loads(CliRunner().invoke(main, arguments).stdout)
    assert [at["alpha"] for at in answer["at_alpha"]] == [pytest.approx(0.8)]
