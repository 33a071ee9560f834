"""Claim + cube -> verdict: supported on a world that obeys it, refuted on one that does not, undecided otherwise."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import xarray as xr
from synthetic import peaked_cube, rising_cube

from effbatch import claims
from effbatch.claims import Case, Setup, Verdict
from effbatch.claims.accuracy_curve import AccuracyCurveClaim
from effbatch.claims.best_learning_rate import BestLearningRateClaim
from effbatch.claims.collapse import CollapseClaim
from effbatch.claims.shared import linearised, stored
from effbatch.claims.shared.judgement import at_most
from effbatch.core.errors import CubeError, SpecError
from effbatch.core.estimate import Estimate
from effbatch.fitting.honest import honest_best
from effbatch.plan import cube as cubes
from effbatch.theory.dynamics import learning_curve
from effbatch.theory.spectrum import HeldOut, Spectrum

ALPHAS, BATCHES = (0.0, 1.0, 3.0), (8, 32, 128)
RATES = tuple(2.0 ** np.arange(-9, 2))


def setup(**extras) -> Setup:
    """A grid on a made-up spectrum."""
    h = 10.0 / np.arange(1, 30) ** 1.5
    spectrum = Spectrum(h, h / h.sum(), 0.01 * h / h.sum(), num_classes=10, examples=100)
    grid = {"alpha": ALPHAS, "batch_size": BATCHES, "learning_rate": RATES, "seed": tuple(range(5)), **extras}
    points = [{key: value} for key, values in extras.items() for value in values] or [{}]
    options = {
        "optimizer": "sgd",
        "momentum": 0.0,
        "weight_decay": 0.0,
        "schedule": "constant",
        "warmup": 0.0,
        "copies": "fresh",
        "noise": "uniform",
        "budget": {"steps": 100},
    }
    return Setup(
        grid,
        points,
        lambda point: options,
        lambda point, a, b: 100,
        lambda point, seed=0: spectrum,
        lambda point, a: None,
    )


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [
        (0.1, 0.4, Verdict.SUPPORTED),
        (0.6, 0.9, Verdict.REFUTED),
        (0.4, 0.6, Verdict.UNDECIDED),
        (np.nan, np.nan, Verdict.UNDECIDED),
    ],
)
def test_at_most_needs_the_whole_interval_on_one_side(low, high, verdict):
    assert at_most(Estimate(0.5, low, high), 0.5) == (verdict, None)


def test_predictions_survive_json_and_keep_the_order_of_the_grid():
    surface = linearised.surface(setup(network=("perceptron", "mlp1")))
    surface["accuracy"][0, 0, 0, 0] = np.nan
    again = stored.from_json(json.loads(json.dumps(stored.to_json(surface), allow_nan=False)))
    assert list(surface["network"].values) == ["perceptron", "mlp1"]
    xr.testing.assert_allclose(again, surface)


def test_the_theory_follows_the_schedule_of_the_run():
    made = setup()
    options = made.settings({}) | {"schedule": "step", "warmup": 0.2, "momentum": 0.5}
    accuracy = linearised.surface(replace(made, settings=lambda point: options))["accuracy"]
    factors = np.array([min(1, (t + 1) / 20) * (1 if t < 50 else 0.1 if t < 75 else 0.01) for t in range(100)])
    expected = learning_curve(made.spectrum({}), ALPHAS[1], BATCHES[0], RATES, 100, schedule=2 * factors).accuracy
    np.testing.assert_allclose(accuracy[1, 0], expected, rtol=1e-9)


@pytest.mark.parametrize(
    "other",
    [
        {"optimizer": "adam"},
        {"weight_decay": 0.01},
        {"copies": "fixed"},
        {"copies": "expected"},
        {"label_smoothing": 0.1},
        {"loss": "gce"},
        {"clip": 1.0},
    ],
    ids=str,
)
def test_the_theory_is_silent_outside_its_regime(other):
    made = setup()
    options = made.settings({}) | other
    silent = linearised.surface(replace(made, settings=lambda point: options))
    assert silent["accuracy"].isnull().all()
    assert silent["best_learning_rate"].isnull().all()


def accuracy_cube(offset: float, seeds: int = 6) -> tuple[xr.Dataset, dict]:
    """A cube whose accuracy is what the theory predicts, plus `offset`."""
    made = setup()
    prediction = AccuracyCurveClaim().predict(made)
    cube = peaked_cube(
        lambda a, b: 0.1 + 0 * a + 0 * b, alpha=ALPHAS, batch_size=BATCHES, learning_rate=RATES, seeds=seeds
    )
    truth = stored.from_json(prediction["linearised"])["accuracy"]
    noise = 0.005 * np.random.default_rng(1).standard_normal(cube["test_accuracy"].shape)
    cube["test_accuracy"] = (truth.broadcast_like(cube["test_accuracy"]) + offset).transpose(
        *cube["outcome"].dims
    ) + noise
    return cube, prediction


@pytest.mark.parametrize(("offset", "verdict"), [(0.0, "supported"), (-0.2, "refuted")])
def test_the_accuracy_curve_is_judged_by_its_error(offset, verdict):
    cube, prediction = accuracy_cube(offset)
    judged = AccuracyCurveClaim().judge(Case(cube, prediction))
    assert judged.verdict == verdict
    assert judged.numbers[0].estimate.value == pytest.approx(100 * abs(offset), abs=1.0)
    assert judged.numbers[0].estimate.n == 5  # the first seed only chooses


def structured() -> Setup:
    """A grid of δ with one α; at δ = 1 two classes are taken for each other."""
    swapped = np.eye(10)[[1, 0, *range(2, 10)]]
    matrices = {0.0: np.full((10, 10), 0.1), 1.0: swapped}
    made = setup(delta=(0.0, 1.0))
    h = 10.0 / np.arange(1, 30) ** 1.5
    held_out = HeldOut(*(np.ones((29, n)) for n in (29, 10, 10, 10)), np.arange(29) % 10)
    spectrum = Spectrum(h, h / h.sum(), 0.01 * h / h.sum(), num_classes=10, examples=100, held_out=held_out)
    grid = {**made.grid, "alpha": (3.0,), "batch_size": (32,)}
    return replace(
        made, grid=grid, spectrum=lambda point: spectrum, noise_matrix=lambda point, a: matrices[point["delta"]]
    )


@pytest.mark.parametrize(("offset", "verdict"), [(0.0, "supported"), (0.2, "refuted")])
def test_the_accuracy_curve_may_run_along_delta(offset, verdict):
    made, claim = structured(), AccuracyCurveClaim(along="delta")
    prediction = claim.predict(made)
    truth = stored.from_json(prediction["linearised"])["accuracy"]
    cube = cubes.empty({**made.grid, "seed": range(6)}, checkpoints=1)
    draw = 0.005 * np.random.default_rng(0).standard_normal(cube["outcome"].shape)
    cube["test_accuracy"] = (truth.broadcast_like(cube["outcome"]) + offset).transpose(*cube["outcome"].dims) + draw
    cube["outcome"] = xr.full_like(cube["outcome"], int(cubes.Outcome.FINISHED))
    cube.attrs["num_classes"] = 10
    judged = claim.judge(Case(cube, prediction))
    assert judged.verdict == verdict
    assert "At degree = 1 the true label of 2 classes is not the likeliest" in judged.finding
    (panel,) = judged.figures[0].panels
    assert list(panel.series[0].x) == [0, 1]
    assert judged.tables[0].columns[1] == "degree"  # δ is the exponent of the effective batch


def test_a_curve_along_what_the_grid_does_not_hold_is_refused():
    with pytest.raises(SpecError, match=r"along = 'detla' is no list of numbers in \[grid\]; did you mean 'delta'"):
        AccuracyCurveClaim(along="detla").predict(structured())


def test_one_seed_decides_nothing():
    cube, prediction = accuracy_cube(0.0, seeds=1)
    assert AccuracyCurveClaim().judge(Case(cube, prediction)).verdict is Verdict.UNDECIDED


def test_choosing_the_learning_rate_does_not_flatter_the_accuracy():
    """Pure noise at every learning rate: the best of the mean is high by chance, the earlier seeds' choice is not."""
    noise = xr.DataArray(
        np.random.default_rng(3).standard_normal((400, 20, 5)), dims=("alpha", "learning_rate", "seed")
    )
    assert float(noise.mean("seed").max("learning_rate").mean()) > 0.5
    assert abs(float(honest_best(noise).mean())) < 0.1


@pytest.mark.parametrize(("batch_power", "alpha_power", "verdict"), [(0.5, -0.5, "supported"), (1.0, -2.0, "refuted")])
def test_the_best_rate_is_judged_by_the_law_it_follows(batch_power, alpha_power, verdict):
    cube = peaked_cube(
        lambda a, b: 0.02 * (b / 8) ** batch_power * (1 + a) ** alpha_power,
        alpha=ALPHAS,
        batch_size=BATCHES,
        learning_rate=tuple(2.0 ** np.arange(-13, 3)),
        seeds=10,
    )
    claim = BestLearningRateClaim()
    judged = claim.judge(Case(cube, claim.predict(setup())))
    assert judged.verdict == verdict
    exponent = next(number.estimate for number in judged.numbers if number.label == "exponent of 1 + α")
    assert exponent.value == pytest.approx(alpha_power, abs=0.1)
    assert judged.figures[0].panels[0].series


@pytest.mark.parametrize("networks", [("mlp1",), ("mlp1", "mlp2")], ids=len)
def test_the_best_rate_is_judged_over_one_network_or_several(networks):
    """A grid may vary the network: anchors stay within it, and exponents are told where there is one network only."""
    one = peaked_cube(
        lambda a, b: 0.02 * (b / 8) ** 0.5 * (1 + a) ** -0.5,
        alpha=ALPHAS,
        batch_size=BATCHES,
        learning_rate=tuple(2.0 ** np.arange(-13, 3)),
        seeds=10,
    )
    cube = xr.concat([one] * len(networks), xr.Variable("network", list(networks)), coords="minimal", compat="override")
    claim = BestLearningRateClaim()
    judged = claim.judge(Case(cube, claim.predict(setup(network=networks))))
    assert judged.verdict == "supported"
    assert len(judged.figures[0].panels) == len(networks)
    assert any("exponent" in number.label for number in judged.numbers) == (len(networks) == 1)


@pytest.mark.parametrize(("delta", "verdict"), [(2.0, "supported"), (1.0, "refuted")])
def test_the_collapse_is_judged_by_its_exponent(delta, verdict):
    cube = rising_cube(
        lambda a, b, rate: 20 * (1 + 10 * (1 + a) ** delta / b) * (1 + 0.3 * np.log2(rate / 0.1) ** 2),
        alpha=ALPHAS,
        batch_size=BATCHES,
        learning_rate=(0.025, 0.05, 0.1, 0.2, 0.4),
        seeds=5,
        noise=0.03,
    )
    claim = CollapseClaim(target=0.7)
    cube.attrs |= {"history_images": 500, "test_images": 10_000}
    judged = claim.judge(Case(cube, claim.predict(setup())))
    assert judged.verdict == verdict
    assert judged.numbers[0].estimate.value == pytest.approx(delta, abs=0.15)
    assert "on 500 of the 10,000 test images" in judged.limits[-1]


def test_a_target_that_nothing_reaches_is_undecided():
    cube = rising_cube(
        lambda a, b, rate: 1e9 + 0 * a + 0 * b + 0 * rate,
        alpha=ALPHAS,
        batch_size=BATCHES,
        learning_rate=(0.1, 0.2),
        seeds=5,
    )
    claim = CollapseClaim(target=0.9)
    judged = claim.judge(Case(cube, claim.predict(setup())))
    assert judged.verdict is Verdict.UNDECIDED
    assert judged.numbers[0].estimate.value is None


def test_a_collapse_over_several_networks_is_refused():
    cube = rising_cube(
        lambda a, b, rate: 100 + 0 * a + 0 * b + 0 * rate,
        alpha=ALPHAS,
        batch_size=BATCHES,
        learning_rate=(0.1,),
        seeds=3,
    )
    twice = xr.concat([cube, cube], xr.Variable("network", ["mlp1", "mlp2"]))
    with pytest.raises(CubeError, match="the grid also varies network"):
        CollapseClaim().judge(Case(twice, {"target": 0.7, "delta": 2.0, "rival": 1.0}))


SPECIFIC = {  # kind -> what its rule and the grid need beside the defaults
    "ordering": ({"order": ["mlp1", "mlp2"]}, {"network": ("mlp1", "mlp2")}),
    "elasticity": ({}, {"clean_examples": (100, 200), "batch_size": (32,)}),
    "labels_needed": ({}, {"clean_examples": (100, 200)}),
    "equivalence": ({}, {"noise": ("given", "same_rate")}),
    "rate_exponent": ({"rival": 1.0}, {}),
}
# what a claim needs of its runs beside the grid of `setup`
NEEDED = {"memorisation": {"copies": "fixed", "budget": {"epochs": 20}}, "moments": {"measure": ("moments",)}}


@pytest.mark.parametrize("kind", claims.kinds())
def test_every_claim_says_what_it_predicts(kind):
    keys, grid = SPECIFIC.get(kind, ({}, {}))
    claim, made = claims.claim_of({"kind": kind, **keys}, "tiny"), setup(**grid)
    options = made.settings({}) | NEEDED.get(kind, {})
    prediction = claim.predict(replace(made, settings=lambda point: options))
    json.dumps(prediction, allow_nan=False)
    assert claim.headline
    assert "nan" not in claim.describe(prediction)


@pytest.mark.parametrize(
    ("rule", "sentence"),
    [
        ({"kind": "collapse", "dleta": 1.0}, "unknown key 'dleta'"),
        ({"kind": "collapse", "delta": "two"}, "delta must be a number from -10 to 10, got 'two'"),
        ({"kind": "collapse", "delta": True}, "delta must be a number from -10 to 10, got True"),
    ],
)
def test_a_wrong_rule_is_named(rule, sentence):
    with pytest.raises(SpecError, match=sentence):
        claims.claim_of(rule, "tiny")


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({}, r"a verdict on tiny needs \[claim\] kind, one of accuracy_curve, .*got none: give one, or train without"),
        ({"kind": 3}, r"needs \[claim\] kind, one of .*, got 3: give one"),
        ({"kind": "colapse"}, "'colapse' is not known; did you mean 'collapse'"),
        (
            {"kind": "collapse", "targe": 1},
            r"unknown key 'targe' in \[claim\] of kind 'collapse'; did you",
        ),
    ],
    ids=["none", "number", "misspelt", "key"],
)
def test_what_is_wrong_with_a_claim_is_named(table, said):
    with pytest.raises(SpecError, match=said):
        claims.claim_of(table, "tiny")


def test_a_rule_has_every_key_of_its_kind():
    rule = {"kind": "collapse", "target": 0.5}
    assert claims.claim_of(rule, "tiny").rule == CollapseClaim().rule | rule
