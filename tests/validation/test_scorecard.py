"""The scorecard against worlds where the theory is right, off by a known amount, or where nothing can be told."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from itertools import permutations

import numpy as np
import pytest
import xarray as xr
from click.testing import CliRunner
from synthetic import peaked_cube

from effbatch import claims
from effbatch.claims import Judgement, Verdict
from effbatch.claims.shared import stored
from effbatch.cli import main
from effbatch.core.estimate import Estimate
from effbatch.core.figures import Figure, Number
from effbatch.fitting import best_learning_rates
from effbatch.plan import cube as cubes_of
from effbatch.plan.cube import Outcome
from effbatch.validation import scorecard
from effbatch.validation.document import report
from effbatch.validation.judged import judge_all, read

ALPHA, BATCH_SIZE, RATES = (0.0, 1.0, 3.0, 7.0), (8, 32, 128), tuple(2.0 ** np.arange(-11, 3))


def truth(alpha, batch_size):
    return 0.05 * (batch_size / 32) ** 0.5 * (1 + alpha) ** -0.5


def run(octaves=0.0, points=0.0, seconds=0.1, before_training=True, dataset="digits", **options):
    """A cube, and in it a prediction whose best rates are off by `octaves` and its accuracies by `points`."""
    options = {"noise": 0.0, "seeds": 4, **options}
    cube = peaked_cube(truth, alpha=ALPHA, batch_size=BATCH_SIZE, learning_rate=RATES, **options)
    surface = xr.Dataset(
        {
            "accuracy": cube["test_accuracy"].astype(float).mean("seed") + points / 100,
            "best_learning_rate": truth(cube["alpha"], cube["batch_size"]) * 2**octaves,
        }
    )
    entry = {"stored": "2026-01-01T00:00:00+00:00", "before_training": before_training}
    entry |= {"prediction": {"linearised": stored.to_json(surface.drop_vars("step", errors="ignore"))}}
    cube.attrs["predictions"] = json.dumps(entry if seconds is None else entry | {"seconds": seconds})
    claim, data = {"kind": "best_learning_rate"}, {"dataset": dataset}
    spec = json.loads(cube.attrs["spec_resolved"]) | {"claim": claim, "data": data}
    spec["train"]["network"] = "mlp1"
    return cube.assign_attrs(spec_resolved=json.dumps(spec), train_seconds=10.0, arguments="learning_rate")


def measure(*cubes):
    """The scorecard of these cubes without what is recorded."""
    found = scorecard.measure({str(i): read(cube) for i, cube in enumerate(cubes)})
    return [line for line in found if "benchmarks" not in line.number.note]


def headlines(*cubes):
    return {line.number.label: line for line in scorecard.headlines(measure(*cubes))}


def by_word(found, word):
    (label,) = [label for label in found if word in label]
    return found[label]


def test_a_right_theory_meets_every_goal():
    found = headlines(run())
    assert len(found) == 6
    assert {str(line.reached) for line in found.values()} == {"met"}
    assert by_word(found, "median").number.estimate.n == 12
    assert by_word(found, "time to predict").number.estimate.value == pytest.approx(1.0)


def test_a_theory_off_by_known_amounts_is_measured_and_misses():
    found = headlines(run(octaves=1.5, points=7.0))
    for word in ("median", "90th"):
        assert by_word(found, word).number.estimate.value == pytest.approx(1.5, abs=0.01)
    assert by_word(found, "root mean square").number.estimate.value == pytest.approx(7.0, abs=1e-4)
    assert by_word(found, "lost by using it, mean").number.estimate.value == pytest.approx(100 * 0.03 * 1.5**2, abs=1.0)
    missed = {label for label, line in found.items() if line.reached is scorecard.Reached.NOT_MET}
    assert len(missed) == 5


def test_rmse_is_that_of_pairs_of_seeds_over_settings_whose_runs_finished():
    cube = run(noise=0.02, points=3.0)
    cube["outcome"][0, 0, 0, 0] = int(Outcome.DIVERGED)
    cube["outcome"][1, 1, 1, 1:] = int(Outcome.DIVERGED)
    predicted = stored.from_json(json.loads(cube.attrs["predictions"])["prediction"]["linearised"])["accuracy"]
    squares = []
    for place in np.ndindex(cube["outcome"].shape[:-1]):
        ran = [s for s in range(4) if int(cube["outcome"].values[place][s]) == int(Outcome.FINISHED)]
        said = float(predicted.transpose(*cube["outcome"].dims[:-1]).values[place])
        off = [100 * (float(cube["test_accuracy"].values[place][s]) - said) for s in ran]
        if pairs := [a * b for a, b in permutations(off, 2)]:
            squares.append(np.mean(pairs))
    number = by_word(headlines(cube), "root mean square").number
    assert number.estimate.value == pytest.approx(np.sqrt(np.mean(squares)))
    assert number.estimate.n == len(squares) == 4 * 3 * len(RATES) - 1
    assert number.note == "settings; interval over 4 seeds"
    assert number.estimate.low < number.estimate.value < number.estimate.high


def test_a_theory_that_is_right_but_for_the_scatter_of_the_seeds_has_no_error():
    cube = run(noise=0.05, seed_shift=0.02)
    right = run(noise=0.0)  # the expected accuracies
    cube.attrs["predictions"] = right.attrs["predictions"]
    number = by_word(headlines(cube), "root mean square").number
    assert number.estimate.low == 0
    assert number.estimate.value < 1.5  # the seed means alone scatter by 100 √((0.05² + 0.02²)/4) = 2.7 points


def test_the_surface_is_also_told_for_rates_near_the_best_predicted_one():
    cube = run()
    entry = json.loads(cube.attrs["predictions"])
    surface = stored.from_json(entry["prediction"]["linearised"])
    beyond = surface["learning_rate"] > 2 * surface["best_learning_rate"]
    surface["accuracy"] = surface["accuracy"] + 0.3 * beyond
    entry["prediction"]["linearised"] = stored.to_json(surface)
    cube.attrs["predictions"] = json.dumps(entry)
    rows = {y.of: y.number.estimate for y in measure(cube) if "root mean square" in y.number.label}
    near = rows["learning rates up to twice the best one predicted"]
    assert near.value == pytest.approx(0, abs=0.01)
    assert near.n == int((~beyond).sum())
    assert rows["all networks"].value == pytest.approx(30 * float(beyond.mean()) ** 0.5, rel=1e-3)


def test_the_interval_of_the_median_covers():
    """Errors |normal| in octaves have the median 0.6745."""
    draw, hits = np.random.default_rng(0), 0
    for _ in range(200):
        values = xr.DataArray(np.abs(draw.standard_normal(20)), dims="cell")
        number = scorecard._number("error", values, np.median, "")
        hits += number.estimate.low <= 0.6745 <= number.estimate.high
    assert 0.9 <= hits / 200 <= 0.99


def test_rivals_start_from_the_clean_cell_at_the_middle_batch_size():
    found = measure(run())
    rivals = {y.of: y.number.estimate for y in found if "rival" in y.of}
    assert {number.n for number in rivals.values()} == {11}  # all cells but the anchor
    octaves = [
        np.log2(truth(0, 32) / truth(a, b)) for a in ALPHA for b in BATCH_SIZE if (a, b) != (0.0, 32)
    ]  # how far the unscaled rate is off
    assert rivals["rival: no scaling"].value == pytest.approx(100 * 0.03 * np.mean(np.square(octaves)), rel=0.1)
    assert rivals["rival: no scaling"].value > rivals["linearised theory, on the cells of its rivals"].value


def test_rivals_and_theory_are_compared_on_the_cells_for_which_all_say_a_rate():
    cube = run()
    entry = json.loads(cube.attrs["predictions"])
    surface = stored.from_json(entry["prediction"]["linearised"])
    silent = (surface["alpha"] == 7) & (surface["batch_size"] > 8)  # two cells
    surface["best_learning_rate"] = surface["best_learning_rate"].where(~silent)
    entry["prediction"]["linearised"] = stored.to_json(surface)
    cube.attrs["predictions"] = json.dumps(entry)
    found = measure(cube)
    assert {y.number.estimate.n for y in found if "rival" in y.of} == {9}
    octaves = [
        np.log2(truth(0, 32) / truth(a, b))
        for a in ALPHA
        for b in BATCH_SIZE
        if (a, b) != (0.0, 32) and not (a == 7 and b > 8)
    ]
    (unscaled,) = (y.number.estimate for y in found if y.of == "rival: no scaling")
    assert unscaled.value == pytest.approx(100 * 0.03 * np.mean(np.square(octaves)), rel=0.1)


def test_networks_are_pooled_and_shown_one_by_one():
    two = xr.concat([run(), run(octaves=2.0)], xr.IndexVariable("network", ["good", "bad"]), combine_attrs="override")
    surfaces = [
        stored.from_json(json.loads(cube.attrs["predictions"])["prediction"]["linearised"])
        for cube in (run(), run(octaves=2.0))
    ]
    entry = json.loads(two.attrs["predictions"])
    entry["prediction"]["linearised"] = stored.to_json(xr.concat(surfaces, two["network"]))
    two.attrs["predictions"] = json.dumps(entry)
    found = measure(two)
    median = {y.of: y.number.estimate for y in found if "median" in y.number.label}
    assert median["all networks"].n == 24
    assert median["good"].value == pytest.approx(0.0, abs=0.01)
    assert median["bad"].value == pytest.approx(2.0, abs=0.01)


def test_one_network_on_two_data_sets_is_shown_on_each():
    found = measure(run(), run(octaves=2.0, dataset="fashion-mnist"))
    for word in ("median", "lost by using it, mean", "root mean square"):
        named = [y.of for y in found if word in y.number.label and y.of.startswith("mlp1")]
        assert named == ["mlp1 on digits", "mlp1 on fashion-mnist"]
    median = {y.of: y.number.estimate for y in found if "median" in y.number.label}
    assert median["mlp1 on digits"].value == pytest.approx(0.0, abs=0.01)
    assert median["mlp1 on fashion-mnist"].value == pytest.approx(2.0, abs=0.01)


def test_what_cannot_be_told_is_said():
    assert by_word(headlines(run(seconds=None)), "time to predict").reached is scorecard.Reached.CANNOT_TELL
    assert by_word(headlines(run(seconds=None)), "time to predict").number.estimate.value is None
    two_seeds = headlines(run(seeds=2))
    assert by_word(two_seeds, "median").number.estimate.n == 0  # too few seeds for any best rate
    assert by_word(two_seeds, "median").reached is scorecard.Reached.CANNOT_TELL
    assert by_word(two_seeds, "root mean square").reached is scorecard.Reached.CANNOT_TELL
    one_seed = by_word(headlines(run(seeds=1)), "root mean square")  # its scatter cannot be told from an error
    assert one_seed.text.startswith("CANNOT TELL")
    assert one_seed.to_json()["value"] is None


def test_a_prediction_stored_after_training_began_does_not_count():
    assert measure(run(before_training=False)) == []


@pytest.mark.parametrize(
    ("delta", "said", "reached"),
    [
        (Estimate(1.9, 1.6, 2.2, n=10), "excludes 1", "met"),
        (Estimate(1.5, 1.2, 1.8, n=10), "excludes 1 and 2", "met"),
        (Estimate(1.5, 0.9, 2.2, n=10), "excludes neither", "cannot tell"),
        (Estimate(None, n=2), "interval excludes", "cannot tell"),
    ],
)
def test_the_collapse_says_which_exponent_it_excludes(delta, said, reached):
    cube = run(before_training=False)
    cube.attrs["spec_resolved"] = json.dumps({"claim": {"kind": "collapse"}})
    judgement = Judgement(verdict=Verdict.UNDECIDED, finding="", numbers=[Number("δ", delta)])
    *_, line = scorecard.measure({"c": replace(read(cube), judgement=judgement)})
    assert said in line.goal
    assert str(line.reached) == reached


def test_every_line_is_text_json_and_a_row():
    found = measure(run(seeds=2))
    assert json.dumps([y.to_json() for y in found], allow_nan=False)
    assert len(scorecard.table(found, "scorecard").rows) == len(found)
    line = by_word(headlines(run()), "median").text
    assert line.startswith("MET ")
    assert line.endswith("(goal: at most 0.5 powers of two)")
    assert "\n" not in line


def reported(cube, name="made"):
    """The cube with everything that a report says of it."""
    cube = cube.assign_attrs(simulation=name, model_steps=1, device="none", versions="none", data_source="made")
    rule = {"kind": "best_learning_rate", **claims.get("best_learning_rate")().rule}
    spec = json.loads(cube.attrs["spec_resolved"]) | {
        "claim": rule,
        "simulation": {"name": name, "title": "Made", "claim": "A claim."},
        "data": {"dataset": "made"},
    }
    entry = json.loads(cube.attrs["predictions"])
    entry["prediction"] |= {"law": "square_root_clean_count", "formula": "η"}
    cube.attrs |= {
        "spec_resolved": json.dumps(spec),
        "predictions": json.dumps(entry),
        "spec": "",
        "quick": 0,
        "made": "2026-01-01T00:00:00+00:00",
    }
    return cube


def test_the_report_has_it(tmp_path):
    cube = reported(run())
    cubes_of.save({"made": cube}, tmp_path / "cube.nc")
    result = CliRunner().invoke(main, ["report", str(tmp_path), "--out", str(tmp_path / "r.md")])
    assert result.exit_code == 0, result.output
    text = (tmp_path / "r.md").read_text(encoding="utf-8")
    assert "## Scorecard" in text
    assert "| time to predict, share of the training time | 1 (no interval) | 1 | at most 2 % | met |" in text
    assert "| fitted | 0" in text


def test_best_rates_are_fitted_once_for_verdict_figures_scorecard_and_report(monkeypatch):
    """Adaptive grids choose rates while they train; whatever reads a finished cube reads the same fit."""
    fitted = []

    def counted(cube):
        fitted.append(cube)
        return best_learning_rates(cube)

    for module in [module for name, module in sys.modules.items() if name.startswith("effbatch.")]:
        if getattr(module, "best_learning_rates", None) is best_learning_rates:
            monkeypatch.setattr(module, "best_learning_rates", counted)
    cubes = {"one": reported(run(), "one"), "two": reported(run(octaves=1.0), "two")}
    judged = judge_all(cubes)
    card = scorecard.measure(judged)
    made = report(judged, card)
    assert [cube is cubes[name] for cube, name in zip(fitted, cubes, strict=True)] == [True, True]
    assert len(made.claims[0].all(Figure)) == 2, "the claim's own, accuracy over rates"
