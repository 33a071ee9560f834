"""The recorded results say what the code makes of the recorded cubes today."""

from __future__ import annotations

import importlib
import json
import re
import runpy
from pathlib import Path

import pytest
import records

from effbatch.advice.evidence import FILE, recorded
from effbatch.advice.prediction import predict
from effbatch.core.estimate import Estimate
from effbatch.core.figures import Figure, Table
from effbatch.core.formats import estimate_text
from effbatch.core.pages import Code, Heading, Terms
from effbatch.plan import spec
from effbatch.plan.recipe import Recipe
from effbatch.show.rendering import write_markdown
from effbatch.validation.document import report, verdicts

ROOT = Path(__file__).parents[2]
DIGITS = records.RESULTS / "digits"
REMADE = "python simulations/rejudge.py"


@pytest.fixture(scope="module", params=records.FOLDERS, ids=lambda folder: folder.name)
def folder(request):
    return request.param


def test_verdicts_are_rebuilt_from_the_cubes(folder):
    stored = json.loads((folder / "verdicts.json").read_text(encoding="utf-8"))
    assert verdicts(records.judged(folder), records.card(folder)) == stored, REMADE


def test_every_prediction_was_stored_before_training(folder):
    for one in records.judged(folder).values():
        assert one.stored["before_training"] is True


def test_the_rules_and_grids_of_the_simulations_are_those_that_were_run(folder):
    """A threshold or a grid changed after the run would leave the record, and every other test, as they are."""
    for name, one in records.judged(folder).items():
        dataset = folder.name if "--dataset" in one.arguments else None
        file = ROOT / "simulations" / f"{name.removesuffix(f'-{dataset}')}.toml"
        today = json.loads(json.dumps(spec.load(file, dataset=dataset).resolved()))
        run = one.spec
        for table in ("simulation", "data", "train", "grid", "claim"):
            both = today[table].keys() & run[table].keys()  # options that came later are in no record
            assert len(both) >= min(3, len(today[table])), (name, table)
            assert {key: today[table][key] for key in both} == {key: run[table][key] for key in both}, (name, table)


def test_the_readable_summary_is_current(folder, tmp_path):
    made = tmp_path / "README.md"
    write_markdown(records.report(folder), made)
    assert made.read_text(encoding="utf-8") == (folder / "README.md").read_text(encoding="utf-8"), REMADE


def test_the_picture_of_the_theory_shows_the_recorded_runs():
    chain = runpy.run_path(str(ROOT / "docs" / "theory_chain.py"))
    assert chain["FILE"].read_text(encoding="utf-8") == chain["svg"](records.judged(DIGITS)), REMADE


def test_the_table_of_simulations_is_current(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "simulations")
    made = importlib.import_module("make_readme").page({at.name: records.judged(at) for at in records.FOLDERS})
    assert made == (ROOT / "simulations" / "README.md").read_text(encoding="utf-8"), REMADE
    for path in (ROOT / "simulations").glob("*.toml"):
        assert f"`{path.stem}" in made


def test_the_law_scores_come_from_the_recorded_cubes(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    cases = {at.name: {name: one.case for name, one in records.judged(at).items()} for at in records.FOLDERS}
    script = importlib.import_module("law_scores")
    for found, path in ((script.scores(cases), FILE), (script.coverage(cases), script.COVERAGE)):
        assert json.loads(json.dumps(found)) == json.loads(path.read_text(encoding="utf-8")), (
            "python benchmarks/law_scores.py"
        )
    assert recorded()["square_root_clean_count"].n > 10


def test_laws_are_preferred_in_the_order_of_the_record():
    tables = json.loads((ROOT / "benchmarks" / "results" / "prediction.json").read_text(encoding="utf-8"))["tables"]
    rows = {row["method"]: row for row in tables["Held-out cases of plain SGD, the same cells for every method"]}
    methods = ("short runs", "square_root_clean_count, anchored at every other cell", "linearised")
    probe, carried, theory = (rows[method] for method in methods)
    assert probe["median_error"] < carried["median_error"] < theory["median_error"]
    assert probe["n"] == carried["n"] == theory["n"]


def test_no_record_has_a_law_clearly_nearer_than_the_one_recommended():
    for record in json.loads(FILE.read_text(encoding="utf-8")):
        recipe = {name: record[name] for name in ("optimizer", "schedule", "weight_decay")}
        chosen = record["laws"][predict(1, 32, recipe=Recipe(**recipe)).recommended.law]
        for name, law in record["laws"].items():
            nearer = law["interval_log2"][1] < chosen["interval_log2"][0]
            assert not nearer or name == "probe", (record["source"], name)


FINDINGS = " ".join((ROOT / "docs" / "findings.md").read_text(encoding="utf-8").split())


def test_the_findings_quote_the_recorded_benchmark():
    tables = json.loads((ROOT / "benchmarks" / "results" / "prediction.json").read_text(encoding="utf-8"))["tables"]
    same_cells = {row["method"]: row for row in tables["Held-out cases of plain SGD, the same cells for every method"]}
    error = {method: f"{row['median_error']:.2f}" for method, row in same_cells.items()}
    rule = error["square_root_clean_count, anchored at a clean cell"]
    assert (
        f"by {error['linearised']} and {error['short runs']} powers of two (median, n = {same_cells['linearised']['n']}"
        in FINDINGS
    )
    assert f"misses it by {rule}, given its tuned cell" in FINDINGS


@pytest.mark.parametrize(
    ("name", "form"),
    [
        ("uniform_noise", ".1f"),
        ("learning_rate", ".2f"),
        ("effective_batch", ".2f"),
        ("labels_needed", ".2f"),
        ("clean_against_noisy", ".2f"),
    ],
)
def test_the_findings_quote_the_recorded_verdicts(folder, name, form):
    """Number, interval and, in what follows them, the verdict: of every data set that has been recorded."""
    recorded_verdicts = json.loads((folder / "verdicts.json").read_text(encoding="utf-8"))["verdicts"]
    called = name if folder == DIGITS else f"{name}-{folder.name}"
    if called not in {one["simulation"] for one in recorded_verdicts}:
        pytest.skip(f"{called} is not recorded")
    (verdict,) = (one for one in recorded_verdicts if one["simulation"] == called)
    first = Estimate(*(verdict["numbers"][0][key] for key in ("value", "low", "high")))
    rounded = f"{first.value:{form}} [{first.low:{form}}, {first.high:{form}}]"
    told = rounded if first.high - first.low < 10 else estimate_text(first)  # no decimals that nobody knows
    value, interval = re.match(r"(.+) (\[.+)", told).groups()
    quoted = re.search(rf"(.{{60}}){re.escape(value)}[\w ]* {re.escape(interval)}(.{{150}})", FINDINGS)
    assert quoted, (called, told)
    assert f"*{verdict['verdict']}*" in quoted[1] + quoted[2], called


def test_every_interval_quoted_is_recorded():
    """`1.94 [1.83, 2.04]`, also of Adam and of orders of labels: rounded as quoted, some record has these three."""
    verdicts = [
        one for path in records.RESULTS.glob("*/verdicts.json") for one in json.loads(path.read_text())["verdicts"]
    ]
    numbers = [number for verdict in verdicts for number in verdict["numbers"] if number["low"] is not None]
    triples = [(number["value"], number["low"], number["high"]) for number in numbers]
    theory = json.loads((ROOT / "benchmarks" / "results" / "theory.json").read_text(encoding="utf-8"))
    triples += [(one["measured"], one["low"], one["high"]) for one in theory["delta_tests"]]
    triples += [(-value, -high, -low) for value, low, high in triples]  # "12.5 points more" of a loss of 12.5
    recorded = {tuple(format(one, form) for one in triple) for triple in triples for form in (".1f", ".2f")}
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    readme = " ".join(re.sub(r"^```.*?^```$", "", readme, flags=re.MULTILINE | re.DOTALL).split())  # blocks are run
    quoted = re.findall(r"(\d+\.\d+)[\w ]* \[(\d+\.\d+), (\d+\.\d+)\]", FINDINGS + readme)
    assert len(quoted) > 15
    assert set(quoted) <= recorded


def test_data_sets_are_told_apart_in_one_report():
    everything = {name: one for at in records.FOLDERS for name, one in records.judged(at).items()}
    made = report({name: one for name, one in everything.items() if name.startswith("uniform_noise")}, [])
    assert [chapter.title for chapter in made.claims] == [
        "Accuracy against label noise",
        "Accuracy against label noise, on Fashion-MNIST-14",
        "Accuracy against label noise, on MNIST",
    ]
    assert {
        "uniform_noise.accuracy_against_alpha",
        "uniform_noise-fashion-mnist-14.accuracy_against_alpha",
        "uniform_noise-mnist.accuracy_against_alpha",
    } <= set(made.figures)


def test_no_caption_sentence_or_cell_of_a_report_holds_a_number_that_is_none(folder):
    made = records.report(folder)
    for chapter in (made.front, *made.chapters):
        for part in (*chapter.parts, *chapter.further):
            if not isinstance(part, Code):  # a command, or a spec
                assert not re.search(r"\bnan\b|\binf\b", " ".join(words(part))), chapter.name


def words(part):
    """All that a part says, as it was made: pages write "cannot tell" for a nan that comes that far."""
    if isinstance(part, Table):
        return [part.caption, *(cell for row in part.rows for cell in row if isinstance(cell, str))]
    if isinstance(part, Figure):
        return [
            part.caption,
            *(text for panel in part.panels for text in (panel.title, *(s.name for s in panel.series))),
        ]
    return map(str, part.of.values()) if isinstance(part, Terms) else [part if isinstance(part, str) else part.text]


def test_the_first_page_tells_the_question_three_to_five_findings_one_figure_and_what_to_do(folder):
    front = records.report(folder).front
    advice = [part for part in front.parts if isinstance(part, Heading)]
    findings = [part for part in front.parts[1 : front.parts.index(front.all(Table)[0])] if isinstance(part, str)]
    assert min(3, len(records.judged(folder))) <= len(findings) <= 5
    assert len(front.all(Figure)) == 1
    assert [heading.text for heading in advice] == ["What to do"]
