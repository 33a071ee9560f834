"""`effbatch simulate` needs no claim; who judges says in one sentence what is missing, before anything trains."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from effbatch.cli import main
from effbatch.core.errors import SweepError
from effbatch.plan import cube as cubes
from effbatch.plan import spec
from effbatch.sweep import runner


def run(*arguments: object, code: int = 0) -> str:
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert result.exit_code == code, (result.output, result.exception)
    return result.output


@pytest.fixture
def without_claim(tmp_path, spec_text, monkeypatch) -> str:
    """A spec without [claim], in the current folder, trained in `out`."""
    monkeypatch.chdir(tmp_path)
    text = spec_text.partition("[claim]")[0].replace("[0.1, 0.4]", "[0.03, 0.1, 0.4]").replace("seed = 2", "seed = 3")
    (tmp_path / "tiny.toml").write_text(text)
    run("simulate", "tiny.toml", "--out", "out", "--device", "cpu")
    return text


def test_a_sweep_without_a_claim_is_trained_and_fitted(without_claim):
    assert cubes.resolved_spec(cubes.open_cube("out"))["claim"] == {}
    assert json.loads(run("fit", "out", "--json"))["best_learning_rates"]


def test_a_verdict_needs_a_claim_and_says_so_in_one_sentence(without_claim, tmp_path):
    said = run("validate", "tiny.toml", "--out", "judged", code=2)
    assert "a verdict on tiny needs [claim] kind, one of accuracy_curve, " in said
    assert said.count("\n") == 1
    assert {path.name for path in tmp_path.iterdir()} == {"tiny.toml", "out"}


def test_a_report_of_a_sweep_without_a_claim_says_so(without_claim, tmp_path):
    run("report", "out", "--out", "report.md")
    assert "Nothing is judged: the spec of this sweep has no" in (tmp_path / "report.md").read_text()


def test_a_folder_trained_without_a_claim_takes_one_later_and_then_keeps_it(without_claim, tmp_path):
    (tmp_path / "judged").mkdir()
    (tmp_path / "out").rename(tmp_path / "judged" / "tiny")
    for target, code, said in ((0.5, 0, "UNDECIDED"), (0.6, 1, "claim.target: 0.5 there, 0.6 asked for")):
        (tmp_path / "tiny.toml").write_text(f'{without_claim}[claim]\nkind = "collapse"\ntarget = {target}\n')
        assert said in run("validate", "tiny.toml", "--out", "judged", "--device", "cpu", code=code)
    stored = json.loads((tmp_path / "judged" / "tiny" / "predictions.json").read_text())
    assert stored["rule"] == {"kind": "collapse", "target": 0.5, "delta": 2.0, "rival": 1.0, "max_spread": 1.25}
    assert not stored["before_training"]
    run("simulate", "tiny.toml", "--out", "judged/tiny")
    assert cubes.resolved_spec(cubes.open_cube("judged/tiny"))["claim"] == stored["rule"]


def test_a_rule_stored_by_0_1_with_the_spec_is_that_of_its_prediction(tmp_path, spec_text):
    parsed = spec.parse(spec_text)
    runner.predict_first(parsed, tmp_path, lambda: {"x": 1})
    path = tmp_path / "predictions.json"
    stored = json.loads(path.read_text())
    del stored["rule"], stored["sha256"]
    path.write_text(json.dumps(stored))
    assert runner.predict_first(parsed, tmp_path, dict)["prediction"] == {"x": 1}
    with pytest.raises(SweepError, match=r"claim.kind: 'collapse' there, 'moments' asked for.*give the same \[claim\]"):
        runner.predict_first(spec.parse(spec_text.replace("collapse", "moments")), tmp_path, dict)
