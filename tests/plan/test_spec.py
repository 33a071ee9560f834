"""TOML -> Spec: what is read, and the sentence for each mistake."""

from __future__ import annotations

import tomllib
from itertools import product

import pytest
from spec_lines import with_key

from effbatch.core.errors import SpecError
from effbatch.core.resources import bundled
from effbatch.networks import zoo
from effbatch.plan import spec as specs
from effbatch.plan.cube import CORE_DIMS
from effbatch.plan.units import units


def test_reads_grid_data_and_training(spec_text):
    spec = specs.parse(spec_text)
    assert spec.grid["alpha"] == (0.0, 2.5)
    assert spec.grid["seed"] == (0, 1)
    assert spec.data.clean_examples == 100
    assert spec.train.budget == {"steps": 20}


def test_a_rate_range_includes_both_ends(spec_text):
    text = spec_text.replace("learning_rate = [0.1, 0.4]", "learning_rate = { start = 0.1, stop = 0.8, factor = 2 }")
    assert specs.parse(text).grid["learning_rate"] == pytest.approx((0.1, 0.2, 0.4, 0.8))


def test_quick_tables_override_the_full_ones_only_when_asked(spec_text):
    text = spec_text + "\n[quick.grid]\nseed = 5\n"
    assert len(specs.parse(text).grid["seed"]) == 2
    assert len(specs.parse(text, quick=True).grid["seed"]) == 5
    assert specs.parse(text, quick=True).grid["alpha"] == (0.0, 2.5)


def test_a_budget_in_the_grid_is_held_by_its_label(spec_text):
    text = spec_text.replace("seed = 2", "seed = 2\nbudget = [{ steps = 20 }, { examples = 400.5 }]")
    spec = specs.parse(text)
    assert spec.grid["budget"] == ("20 steps", "400.5 examples")
    assert [specs.at(spec, {"budget": label})[1].budget for label in spec.grid["budget"]] == [
        {"steps": 20},
        {"examples": 400.5},
    ]
    work = list(units(spec, {"digits": 1297}))
    assert {(unit.point["budget"], unit.steps) for unit in work} == {("20 steps", 20), ("400.5 examples", 51)}


MISTAKES = [  # table, its lines in place of those of the same keys, sentence
    ("train", "epochs = 5", "unknown key 'epochs' in [train]; write budget = { epochs = N }"),
    ("grid", "noise_rate = [0.4]", "unknown key 'noise_rate' in [grid]; write alpha, which `effbatch estimate"),
    ("train", 'optimizer = "AdamW"', "got 'AdamW': did you mean 'adamw'?"),
    ("train", "bugdet = 1", "unknown key 'bugdet' in [train]; did you mean 'budget'?"),
    ("grid", "alpha = [-1]", "every value of [grid] alpha must be a number from 0 to 1e+15, got -1"),
    ("grid", "alpha = [nan]", "every value of [grid] alpha must be a number from 0 to 1e+15, got nan"),
    ("grid", "alpha = []", "[grid] alpha must be a list of different values, at least one, got []"),
    ("grid", "alpha = [1, 1.0]", "[grid] alpha must be a list of different values, at least one, got [1, 1.0]"),
    ("grid", "batch_size = [8.5]", "[grid] batch_size must be a whole number from 1 to 1,000,000, got 8.5"),
    ("grid", "batch_size = [0]", "every value of [grid] batch_size must be a whole number from 1 to 1,000,000, got 0"),
    ("grid", "seed = 0", "[grid] seed must be a count from 1 to 10,000,000, or a list, got 0"),
    ("grid", "learning_rate = { start = 1, stop = 2 }", "[grid] learning_rate needs start, stop from start on, and"),
    ("grid", "learning_rate = { stat = 1 }", "unknown key 'stat' in [grid] learning_rate; did you mean 'start'?"),
    (
        "grid",
        "learning_rate = { start = 1, stop = 2, factor = 1 }",
        "[grid] learning_rate factor must be a number above 1 and at most 1e+15, got 1",
    ),
    ("train", "budget = { steps = 20, epochs = 1 }", "budget must be a table with exactly one of steps, ex"),
    ("grid", "budget = [{ step = 20 }]", "unknown key 'step' in [train] budget; did you mean 'steps'?"),
    ("grid", "budget = [20]", "[train] budget must be a table with exactly one of steps, examples, epochs, got 20"),
    ("grid", "budget = { steps = 20 }", "[grid] budget must be a list of different values, at least one, got {'steps'"),
    ("grid", "budget = [{ steps = 2 }]", "[train] evaluations must be at most the steps, got 3 with 2 steps"),
    ("train", "budget = { steps = 20.5 }", "[train] budget steps must be a whole number, got 20.5"),
    ("train", "budget = { steps = -3 }", "[train] budget steps must be a number above 0 and at most 1e+12, got -3"),
    ("train", "history_images = -1", "[train] history_images must be a whole number of at least 0, got -1"),
    ("train", "evaluations = 500", "[train] evaluations must be at most the steps, got 500 with 20 steps"),
    ("train", "evaluations = 0", "[train] evaluations must be a whole number from 1 to 10,000, got 0"),
    ("train", "network = 3", "[train] network must be text, got 3"),
    ("train", 'optimizer = "sdg"', "rmsprop, adadelta or package.module:function, got 'sdg': did you"),
    ("train", 'optimizer = "adam"\nmomentum = 0.9', "[train] momentum is for sgd, got it with adam: leave it out"),
    ("train", "momentum = 1.0", "[train] momentum must be a number of at least 0 and below 1, got 1.0"),
    ("train", "nesterov = true", "[train] nesterov needs sgd with momentum above 0, got none: give momentum, or leave"),
    ("train", "nesterov = 1", "[train] nesterov must be true or false, got 1"),
    ("train", 'optimizer = "adam"\nnesterov = true', "[train] nesterov needs sgd with momentum above 0, got none"),
    ("train", "weight_decay = -0.1", "[train] weight_decay must be a number from 0 to 1e+15, got -0.1"),
    ("train", "weight_decay = inf", "[train] weight_decay must be a number from 0 to 1e+15, got inf"),
    ("train", 'schedule = "cosin"', "one_cycle, got 'cosin': did you mean 'cosine'?"),
    ("train", "warmup = 1.0", "[train] warmup must be a number of at least 0 and below 1, got 1.0"),
    (
        "train",
        'schedule = "one_cycle"\nwarmup = 0.1',
        "[train] schedule one_cycle has its own warm-up, got warmup = 0.1: leave it out",
    ),
    ("grid", 'optimizer = ["sgd", "adam"]\nmomentum = [0.0, 0.9]', "[train] momentum is for sgd, got it with adam"),
    ("claim", "target = 1979-05-27", "[claim] must hold texts, finite numbers and lists of them, got"),
    ("simulation", 'name = "../x"', "name must be letters, digits, - and _, at most 100 characters, got '../x'"),
    ("grid", 'noise = ["unifrom"]', "matrix, given, same_matrix, same_rate, got 'unifrom': did you"),
    ("grid", "[claim", "not valid TOML"),
    ("train", 'measure = ["moment"]', "each one of moments, calibrated_loss, memorised, got ['moment']"),
    ("train", 'measure = "moments"', "each one of moments, calibrated_loss, memorised, got 'moments'"),
    ("grid", 'measure = ["moments"]', "unknown key 'measure' in [grid]"),
    ("data", "delta = 0.5", "[data] delta is for structured noise, got it with uniform: leave it out"),
    ("grid", 'source = ["white"]', "[data] source is for foreign noise, got it with uniform: leave it out"),
    ("data", 'noise = "structured"\ndelta = 0.5', "[data] noise = 'structured' needs order, got none: give it"),
    ("data", 'noise = "structured"\norder = "random"', "[data] noise = 'structured' needs delta, got none: give it"),
    ("data", 'noise = "foreign"', "[data] noise = 'foreign' needs source, got none: give it"),
    ("data", "delta = 1.5", "[data] delta must be a number from 0 to 1, got 1.5"),
    ("data", "delta = true", "[data] delta must be a number from 0 to 1, got True"),
    ("data", "source = 1", "[data] source must be text, got 1"),
    ("data", 'order = "revers"', "must be one of confusion, reverse, random, got 'revers': did you mean 'reverse'?"),
    (
        "data",
        'noise = "foreign"\nsource = "white"\ncopies = "expected"',
        'got it with foreign copies, which are other images: take "fresh" or "fixed"',
    ),
    ("train", 'loss = "mse"', "[train] loss must be one of cross_entropy, forward, gce, got 'mse'"),
    ("train", 'loss = "gce"\nlabel_smoothing = 0.1', "loss gce takes labels as they are and has no closed-form mom"),
    ("train", 'loss = "gce"\nmeasure = ["moments"]', "0.0 and measure = ('moments',): leave them out, or take loss ="),
    ("train", "last_layer = -1", "[train] last_layer must be a number from 0 to 1e+15, got -1"),
    ("grid", "augment = [1.0]", "unknown key 'augment' in [grid]; leave it out: effbatch 0.2 shows images as they are"),
    ("train", 'measure = ["moments"]\nlabel_smoothing = 0.1', "[train] measure moments takes labels as they are, got"),
    ("train", "clip = 0", "[train] clip must be a number of at least 1e-"),
    ("train", "label_smoothing = 1", "[train] label_smoothing must be a number of at least 0 and below 1, got 1"),
    ("data", 'noise = "given"', "adds no labels to those of the data set, so that [grid] alpha must be [0], got"),
    ("grid", 'noise = ["uniform", "same_rate"]', "'same_rate' adds no labels to those of the data set"),
    ("train", 'measure = ["memorised"]', "needs labels that came with the data set, got noise = uniform"),
]  # fmt: skip


@pytest.mark.parametrize(("table", "lines", "sentence"), MISTAKES, ids=[lines for _, lines, _ in MISTAKES])
def test_a_mistake_is_named(spec_text, table, lines, sentence):
    with pytest.raises(SpecError) as error:
        specs.parse(with_key(spec_text, table, lines))
    assert sentence in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("[grid]", "[gird]", "unknown key 'gird' in spec; did you mean 'grid'?"),
        ("alpha = [0, 2.5]", "", "[grid] needs alpha, a list of values, got none: give it"),
        (
            "[train]",
            'noise = "foreign"\nsource = "white"\n[train]\nmeasure = ["moments"]',
            "uniform noise, got foreign",
        ),
        (
            "alpha = [0, 2.5]",
            'alpha = [0]\nnoise = ["given"]\ncopies = ["expected"]',
            'one label for each image, got it with copies = "expected"',
        ),
        (
            "[train]",
            'copies = "expected"\n[train]\nloss = "gce"',
            "with [train] loss = gce, which needs one label: take",
        ),
        (
            "[train]",
            'noise = "foreign"\nsource = "white"\n[train]\nloss = "forward"',
            "needs the matrix that noisy labels are drawn from, got noise = foreign: take matrix, structured, uniform",
        ),
    ],
    ids=["table", "missing", "noise and moments", "given and expected", "gce and expected", "forward and foreign"],
)
def test_a_mistake_in_more_than_one_table_is_named(spec_text, old, new, sentence):
    with pytest.raises(SpecError) as error:
        specs.parse(spec_text.replace(old, new))
    assert sentence in str(error.value)


def test_a_grid_over_kinds_of_noise_gives_each_its_own_options(spec_text):
    text = spec_text.replace("seed = 2", 'seed = 2\nnoise = ["uniform", "structured", "foreign"]\ndelta = [0, 1]')
    spec = specs.parse(text.replace("[train]", 'order = "random"\nsource = "white"\n[train]'))
    kinds = {kind: specs.at(spec, {"noise": kind, "delta": 1})[0].given() for kind in spec.grid["noise"]}
    common = {"dataset": "digits", "clean_examples": 100, "copies": "fresh"}
    assert kinds["uniform"] == {**common, "noise": "uniform"}
    assert kinds["structured"] == {**common, "noise": "structured", "delta": 1, "order": "random"}
    assert kinds["foreign"] == {**common, "noise": "foreign", "source": "white"}


def test_a_claim_is_kept_as_it_came_and_none_is_needed(spec_text):
    text = spec_text.replace('kind = "collapse"', 'kind = "whatever"\ntarge = 1')
    assert specs.parse(text).claim == {"kind": "whatever", "targe": 1}
    assert specs.parse(spec_text.partition("[claim]")[0]).claim == {}


def test_specs_of_uniform_noise_resolve_to_what_they_always_did(spec_text):
    data = specs.parse(spec_text).resolved()["data"]
    assert data == {"dataset": "digits", "clean_examples": 100, "noise": "uniform", "copies": "fresh"}


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(SpecError, match=r"nowhere\.toml cannot be read"):
        specs.load(tmp_path / "nowhere.toml")


def test_a_huge_file_is_refused(tmp_path, spec_text, monkeypatch):
    monkeypatch.setattr(specs, "MAX_SPEC_BYTES", 10)
    (tmp_path / "s.toml").write_text(spec_text)
    with pytest.raises(SpecError, match=r"at most 10 bytes, got"):
        specs.load(tmp_path / "s.toml")


@pytest.mark.parametrize("quick", [False, True])
@pytest.mark.parametrize("path", sorted(bundled("simulations").glob("*.toml")), ids=lambda p: p.stem)
def test_built_in_simulations_are_valid_and_named_like_their_file(path, quick):
    assert specs.load(path, quick=quick).name == path.stem


def test_another_data_set_takes_its_own_tables_and_names_the_sweep(spec_text):
    spec_text += "[quick.grid]\nseed = 1\n"
    text = spec_text + '\n[on."hub:a/b c".train]\nbudget = { steps = 7 }\n[on.digits.train]\nbudget = { steps = 9 }\n'
    elsewhere = specs.parse(text, quick=True, dataset="hub:a/b c")
    assert elsewhere.name == specs.parse(text).name + "-hub-a-b-c"
    assert elsewhere.data.dataset == "hub:a/b c"
    assert elsewhere.train.budget == {"steps": 7}
    assert elsewhere.arguments == f"{specs.parse(text).name} --quick --dataset 'hub:a/b c'"
    assert specs.parse(text).resolved() == specs.parse(spec_text).resolved()


def test_quick_tables_come_after_those_of_a_data_set(spec_text):
    text = spec_text + "\n[on.mnist.grid]\nalpha = [0, 100]\nseed = 9\n\n[quick.grid]\nseed = 5\n"
    full, quick = (specs.parse(text, quick=quick, dataset="mnist") for quick in (False, True))
    assert (len(full.grid["seed"]), len(quick.grid["seed"])) == (9, 5)
    assert full.grid["alpha"] == quick.grid["alpha"] == (0.0, 100.0)


@pytest.mark.parametrize("path", sorted(bundled("simulations").glob("*.toml")), ids=lambda p: p.stem)
def test_built_in_simulations_are_valid_on_the_data_sets_that_they_have_tables_for(path):
    for dataset, quick in product(tomllib.loads(path.read_text(encoding="utf-8")).get("on", {}), (False, True)):
        spec = specs.load(path, dataset=dataset, quick=quick)
        extras = [key for key in spec.grid if key not in CORE_DIMS]
        for values in product(*(spec.grid[key] for key in extras)):
            data, train = specs.at(spec, dict(zip(extras, values, strict=True)))
            assert data.dataset == dataset
            assert train.network in zoo.NETWORKS


@pytest.mark.parametrize(
    ("table", "said"),
    [("[on.digits.trian]", "unknown key 'trian' in .on.digits.; .*train"), ("on = 3", r"must be a table, got 3")],
)
def test_tables_of_other_data_sets_are_checked(spec_text, table, said):
    text = f"{table}\n{spec_text}" if "=" in table else f"{spec_text}\n{table}\nx = 1\n"
    with pytest.raises(SpecError, match=said):
        specs.parse(text)
