"""`effbatch validate` from spec to PDF, small: predictions first, four files, the same again without training."""

from __future__ import annotations

import json
import re
import shutil
from collections import Counter

import numpy as np
import pytest
import xarray as xr
from click.testing import CliRunner

from effbatch import open_cube
from effbatch.cli import main
from effbatch.plan.cube import open_cubes
from effbatch.validation import document, scorecard
from effbatch.validation.document import report
from effbatch.validation.judged import judge_all

LITTLE = """
[simulation]
name = "{name}"
title = "Little <script> & {name}"
claim = "A claim."
[data]
dataset = "digits"
clean_examples = 200
[train]
network = "{network}"
budget = {{ steps = 60 }}
evaluations = 8
[grid]
alpha = [0, 1, 3]
batch_size = [8, 32]
learning_rate = {{ start = 0.03, stop = 2, factor = 2 }}
seed = 3
[claim]
kind = "{kind}"
{rule}
"""


def run(*arguments: str, code: int = 0):
    result = CliRunner().invoke(main, [str(a) for a in arguments])
    assert result.exit_code == code, (result.output, result.exception)
    return result


@pytest.fixture(scope="module")
def validated(tmp_path_factory):
    """A folder with the results of three little simulations, and what the command printed."""
    folder = tmp_path_factory.mktemp("validated")
    specs = []
    for kind, rule in (("accuracy_curve", ""), ("best_learning_rate", ""), ("collapse", "target = 0.5")):
        path = folder / f"{kind}.toml"
        path.write_text(LITTLE.format(name=kind, kind=kind, rule=rule, network="mlp1"), encoding="utf-8")
        specs.append(path)
    result = run("validate", *specs, "--out", folder / "out", "--device", "cpu")
    return folder / "out", specs, result.output


@pytest.fixture
def no_pdf(monkeypatch):
    """Seconds saved where nobody looks at it."""
    monkeypatch.setattr(document, "write_pdf", lambda report, path: None)


def test_the_four_files_are_there_and_the_report_comes_last(validated):
    out, _, printed = validated
    assert printed.splitlines()[-1] == str(out / "report.pdf")
    assert (out / "report.pdf").read_bytes().startswith(b"%PDF")
    assert "Little &lt;script&gt;" in (out / "report.html").read_text(encoding="utf-8")
    assert set(open_cube(out, "collapse").dims) >= {"alpha", "batch_size", "learning_rate", "seed"}


def test_predictions_are_older_than_every_trained_unit(validated):
    out, _, _ = validated
    stored = [path.stat().st_mtime_ns for path in out.glob("*/predictions.json")]
    trained = [path.stat().st_mtime_ns for path in out.glob("*/units/*.nc")]
    assert len(stored) == 3
    assert max(stored) < min(trained)


def test_verdicts_carry_their_rule_numbers_and_time(validated):
    out, _, _ = validated
    verdicts = json.loads((out / "verdicts.json").read_text())["verdicts"]
    assert [v["simulation"] for v in verdicts] == ["accuracy_curve", "best_learning_rate", "collapse"]
    for verdict in verdicts:
        assert verdict["verdict"] in ("supported", "refuted", "undecided")
        assert verdict["prediction_before_training"] is True
        assert all(number["exact"] or number["n"] for number in verdict["numbers"])


def test_the_scorecard_of_the_package_is_no_part_of_what_a_user_gives(validated):
    out, _, printed = validated
    assert json.loads((out / "verdicts.json").read_text())["scorecard"] == []
    assert "goal" not in printed
    assert 'id="scorecard"' not in (out / "report.html").read_text(encoding="utf-8")


def test_the_scorecard_is_printed_stored_and_shown(validated, tmp_path, monkeypatch, no_pdf):
    """By validating again, which trains nothing and comes to the same verdicts."""
    out, specs, _ = validated
    shutil.copytree(out, tmp_path / "out")
    monkeypatch.setattr(scorecard, "of_the_package", lambda one: True)
    monkeypatch.setattr(
        "effbatch.sweep.workers.train_unit", lambda *args, **kwargs: pytest.fail("a finished unit was trained again")
    )
    printed = run("validate", *specs, "--out", tmp_path / "out", "--device", "cpu").output
    again, before = (json.loads((folder / "verdicts.json").read_text()) for folder in (tmp_path / "out", out))
    assert again["verdicts"] == before["verdicts"]
    stored = again["scorecard"]
    goals = [line for line in stored if line["reached"]]
    assert len(goals) == 9
    for reached, n in Counter(line["reached"] for line in goals).items():
        assert f"{n} {reached}" in " ".join(printed.split("Scorecard: ")[1].split())
    said = " ".join(printed.split())
    assert "of 9 goals for the package: how well its theory and laws predict" in said
    assert "A goal that is not met refutes no claim." in said
    assert len(printed.splitlines()) <= 24
    (cost,) = [line for line in goals if line["label"].startswith("time to predict")]
    assert cost["value"] > 0  # the predictions of this run were timed
    assert 'id="scorecard"' in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    tables = [tmp_path / "scorecard.csv", tmp_path / "yardsticks.csv"]  # the second is its name until 0.1
    for file in tables:
        run("report", tmp_path / "out", "--table", file.stem, "--out", file)
    assert tables[0].read_text(encoding="utf-8") == tables[1].read_text(encoding="utf-8")


def test_a_report_is_rendered_again_from_the_cube_alone(validated, tmp_path):
    out, _, _ = validated
    run("report", out / "cube.nc", "--out", tmp_path / "again.html")
    assert "undecided" in (tmp_path / "again.html").read_text(encoding="utf-8")
    run("report", out / "collapse", "--out", tmp_path / "one.pdf")
    assert (tmp_path / "one.pdf").stat().st_size > 10_000


def test_all_files_asked_for_are_written_once(validated, tmp_path):
    out, _, _ = validated
    asked = [option for name in ("r.html", "r.md", "r.md") for option in ("--out", tmp_path / name)]
    told = run("report", out / "collapse", *asked)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["r.html", "r.md"]
    assert told.output.count("r.md") == 1


def test_a_figure_and_a_table_are_written_alone(validated, tmp_path):
    out, _, _ = validated
    name = sorted(report(judge_all(open_cubes(out / "accuracy_curve")), []).figures)[0]
    for ending, start in (
        (".svg", b"<svg"),
        (".pdf", b"%PDF"),
        (".png", b"\x89PNG"),
        (".csv", b"panel,x is,y is,series,role,x,y"),
    ):
        file = tmp_path / f"one{ending}"
        run("report", out / "accuracy_curve", "--figure", name, "--out", file)
        assert file.read_bytes().startswith(start)
    run("report", out / "accuracy_curve", "--table", "accuracy_curve.numbers", "--out", tmp_path / "t.csv")
    assert (tmp_path / "t.csv").read_text(encoding="utf-8").startswith("quantity,value,95 % interval,n\n")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (
            ["--figure", "x", "--out", "x.svg"],
            "figure 'x' is not in this report; known: message, accuracy_against_alpha",
        ),
        (
            ["--table", "x", "--out", "x.csv"],
            "table 'x' is not in this report; known: verdicts, accuracy_curve.numbers",
        ),
        (["--table", "x", "--out", "x.svg"], "--out needs a name that ends in .csv for a table, got 'x.svg'"),
        (
            ["--figure", "x", "--table", "y"],
            "one of --figure and --table, got both",
        ),
        (["--out", "a.md", "--out", "b.doc"], "ends in .pdf or .html or .md, got 'b.doc'"),
    ],
    ids=["unknown figure", "unknown table", "wrong ending", "two at once", "unknown format"],
)
def test_what_cannot_be_exported_is_said(validated, arguments, sentence, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert sentence in run("report", validated[0] / "accuracy_curve", *arguments, code=2).output
    assert list(tmp_path.iterdir()) == []


def test_fit_prints_rates_laws_and_the_collapse(validated):
    out, _, _ = validated
    found = json.loads(run("fit", out, "--name", "collapse", "--target", "0.5", "--json").output)
    assert len(found["best_learning_rates"]) == 6
    assert {row["law"] for row in found["laws"]} >= {"none", "linear", "square_root_clean_count"}
    assert found["collapse"]
    assert "square_root_clean_count" in run("fit", out, "--name", "collapse").output.replace("\n", "")


def test_strict_exits_3_on_a_refuted_claim(tmp_path, no_pdf):
    spec = tmp_path / "s.toml"
    little = LITTLE.format(name="s", kind="accuracy_curve", rule="max_rmse = 1e-9", network="perceptron")
    spec.write_text(little.replace("seed = 3", "seed = 8"))  # three decide little, as the first only chooses
    run("validate", spec, "--out", tmp_path / "out", "--strict", "--device", "cpu", code=3)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["simulate", "nowhere.toml", "--out", "x"], "nowhere.toml cannot be read"),
        (["validate", "learning_rat", "--out", "x"], "did you mean 'learning_rate'"),
        (["report", "nowhere", "--out", "x.pdf"], "no cube at nowhere"),
        (["report", "nowhere", "--out", "x.doc"], "ends in .pdf or .html or .md"),
        (["fit", "nowhere"], "no cube at nowhere"),
        (["predikt"], "did you mean 'predict'"),
    ],
)
def test_a_mistake_is_one_sentence_and_exit_code_2(arguments, sentence, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert sentence in run(*arguments, code=2).output


@pytest.mark.parametrize("seeds", [2, 4])
def test_a_cube_without_prediction_is_shown_and_not_judged(validated, tmp_path, seeds):
    _, specs, _ = validated
    plain = tmp_path / "plain.toml"
    plain.write_text(specs[0].read_text(encoding="utf-8").replace("seed = 3", f"seed = {seeds}"), encoding="utf-8")
    run("simulate", plain, "--out", tmp_path / "s", "--device", "cpu")
    endings = ("md", "html", "pdf") if seeds == 2 else ("md", "html")
    run("report", tmp_path / "s", *(part for one in endings for part in ("--out", tmp_path / f"report.{one}")))
    text = (tmp_path / "report.md").read_text(encoding="utf-8")
    assert "no prediction made before its run" in text
    assert "Best learning rate of every cell, as measured" in text
    assert ("fewer than 3 seeds ran at every learning rate" in text) == (seeds == 2)
    assert "nan" not in text
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert page.count("<figure") == (2 if seeds == 2 else 3), "that of the first page, accuracy over rates, laws"
    assert not re.search(r"\bnan\b", re.sub(r"<(script|style)\b.*?</\1>", "", page, flags=re.DOTALL), re.IGNORECASE)
    assert 'class="badge' not in page
    assert "claims:" not in page


def test_two_seeds_say_why_no_exponent_is_known(tmp_path, no_pdf):
    spec = tmp_path / "s.toml"
    little = LITTLE.format(name="s", kind="best_learning_rate", rule="", network="perceptron")
    spec.write_text(little.replace("seed = 3", "seed = 2"), encoding="utf-8")
    run("validate", spec, "--out", tmp_path / "out", "--device", "cpu")
    run("report", tmp_path / "out", "--out", tmp_path / "r.md")
    text = (tmp_path / "r.md").read_text(encoding="utf-8")
    assert "6 of 6 settings have no best rate with limits; each: cannot tell: fewer than 3 seeds" in text
    for page in (text, (tmp_path / "out" / "report.html").read_text(encoding="utf-8")):
        assert "^nan" not in page


def test_a_file_that_is_no_cube_is_named(tmp_path):
    (tmp_path / "cube.nc").write_bytes(b"hello")
    assert "cannot be read as netCDF" in run("fit", tmp_path, code=2).output
    xr.Dataset({"x": ("y", np.arange(3))}).to_netcdf(tmp_path / "other.nc", engine="h5netcdf")
    assert "not an effbatch cube" in run("fit", tmp_path / "other.nc", code=2).output


def test_the_small_commands_answer():
    assert "digits: 1,297 train" in run("datasets", "--all").output
    assert "square_root_clean_count" in run("laws").output
    assert "@misc{mccandlish2018empirical" in run("laws", "--bibtex").output
    assert "ok       PyTorch" in run("doctor").output
    assert "validate" in run("--help").output
