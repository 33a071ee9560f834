"""TOML -> Spec: what is read, and the sentence for each mistake."""

from __future__ import annotations

import tomllib
from itertools import product

import pytest

from effbatch.core.errors import SpecError
from effbatch.core.resources import bundled
from effbatch.networks import zoo as networks
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


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("budget =", "bugdet =", "unknown key 'bugdet' in .train.; did you mean 'budget'"),
        ("[grid]", "[gird]", "unknown key 'gird' in spec; did you mean 'grid'"),
        ("alpha = [0, 2.5]", "alpha = [-1]", "alpha must hold finite numbers of at least 0; -1 came"),
        ("alpha = [0, 2.5]", "alpha = [nan]", "alpha must hold finite numbers of at least 0; nan came"),
        ("alpha = [0, 2.5]", "alpha = []", "alpha must be a list with at least one value"),
        ("alpha = [0, 2.5]", "alpha = [1, 1.0]", "alpha holds a value twice"),
        ("alpha = [0, 2.5]", "", "needs alpha"),
        ("batch_size = [8]", "batch_size = [8.5]", "batch_size must hold whole numbers; 8.5 came"),
        ("batch_size = [8]", "batch_size = [0]", "batch_size must hold finite numbers of at least 1; 0 came"),
        ("seed = 2", "seed = 0", "seed must be a count of at least 1"),
        ("{ steps = 20 }", "{ steps = 20, epochs = 1 }", "exactly one of"),
        (
            "seed = 2",
            "seed = 2\nbudget = [{ step = 20 }]",
            "unknown key 'step' in .train. budget; did you mean 'steps'",
        ),
        ("seed = 2", "seed = 2\nbudget = [20]", "exactly one of"),
        ("seed = 2", "seed = 2\nbudget = { steps = 20 }", "budget must be a list of different values"),
        ("seed = 2", "seed = 2\nbudget = [{ steps = 2 }]", "evaluations must be at most the steps; 3 came with 2"),
        ("{ steps = 20 }", "{ steps = 20.5 }", "steps must be a whole number; 20.5 came"),
        ("evaluations = 3", "history_images = -1", "history_images must be at least 1, or 0 for all; -1 came"),
        ("evaluations = 3", "evaluations = 500", "at most the steps; 500 came with 20 steps"),
        ("{ steps = 20 }", "{ steps = -3 }", "steps must be a positive number; -3 came"),
        ('network = "mlp1"', "network = 3", "network must be a string; 3 came"),
        ('network = "mlp1"', 'optimizer = "sdg"', "optimizer = 'sdg' is not known; did you mean 'sgd'"),
        ('network = "mlp1"', 'optimizer = "adam"\nmomentum = 0.9', "momentum is for sgd; it came with adam"),
        ('network = "mlp1"', "momentum = 1.0", r"momentum must lie in \[0, 1\); 1.0 came"),
        ('network = "mlp1"', "nesterov = true", "nesterov needs sgd with momentum above 0; none came"),
        ('network = "mlp1"', "nesterov = 1", "nesterov must be true or false; 1 came"),
        ('network = "mlp1"', 'optimizer = "adam"\nnesterov = true', "nesterov needs sgd with momentum above 0"),
        ('network = "mlp1"', "weight_decay = -0.1", "weight_decay must be finite and at least 0; -0.1 came"),
        ('network = "mlp1"', "weight_decay = inf", "weight_decay must be finite and at least 0; inf came"),
        ('network = "mlp1"', 'schedule = "cosin"', "schedule = 'cosin' is not known; did you mean 'cosine'"),
        ('network = "mlp1"', "warmup = 1.0", r".train. warmup must lie in \[0, 1\), a fraction of all steps; 1.0 came"),
        (
            'network = "mlp1"',
            'schedule = "one_cycle"\nwarmup = 0.1',
            "one_cycle has its own warm-up; warmup = 0.1 came",
        ),
        (
            "seed = 2",
            'seed = 2\noptimizer = ["sgd", "adam"]\nmomentum = [0.0, 0.9]',
            "momentum is for sgd; it came with",
        ),
        (
            'kind = "collapse"',
            "target = 1979-05-27",
            r"\[claim\] must hold texts, finite numbers and lists of them, got",
        ),
        ('name = "tiny"', 'name = "../x"', "name must be letters"),
        ("seed = 2", "seed = 2\nnoise = ['unifrom']", "'unifrom' is not known; did you mean 'uniform'"),
        ("[claim]", "[claim", "not valid TOML"),
        ("[grid]", 'measure = ["moment"]\n[grid]', "'moment' is not known; did you mean 'moments'"),
        ("[grid]", 'measure = "moments"\n[grid]', "measure must be a list of names; 'moments' came"),
        ("seed = 2", "seed = 2\nmeasure = ['moments']", "unknown key 'measure' in .grid."),
        (
            "[train]",
            'noise = "foreign"\nsource = "white"\n[train]\nmeasure = ["moments"]',
            "takes uniform noise; foreign came: leave measure out",
        ),
        ("[train]", "delta = 0.5\n[train]", "delta is for structured noise; it came with uniform: leave it out"),
        ("seed = 2", "seed = 2\nsource = ['white']", "source is for foreign noise; it came with uniform: leave it out"),
        ("[train]", 'noise = "structured"\ndelta = 0.5\n[train]', "'structured' needs order"),
        ("[train]", 'noise = "structured"\norder = "random"\n[train]', "'structured' needs delta"),
        ("[train]", 'noise = "foreign"\n[train]', "'foreign' needs source"),
        ("[train]", "delta = 1.5\n[train]", "delta must lie between 0 .* and 1; 1.5 came"),
        ("[train]", "delta = true\n[train]", "delta must lie between 0 .* and 1; True came"),
        ("[train]", "source = 1\n[train]", 'source must be "white" or the name of a data set; 1 came'),
        ("[train]", 'order = "revers"\n[train]', "order = 'revers' is not known; did you mean 'reverse'"),
        (
            "[train]",
            'noise = "foreign"\nsource = "white"\ncopies = "expected"\n[train]',
            'foreign copies are other images: take "fresh" or "fixed"',
        ),
    ],
)
def test_a_mistake_is_named(spec_text, old, new, sentence):
    with pytest.raises(SpecError, match=sentence):
        specs.parse(spec_text.replace(old, new))


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
    with pytest.raises(SpecError, match="at most 10 bytes"):
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
            assert train.network in networks.NETWORKS


@pytest.mark.parametrize(
    ("table", "said"),
    [("[on.digits.trian]", "unknown key 'trian' in .on.digits.; .*train"), ("on = 3", "must be a table; 3 came")],
)
def test_tables_of_other_data_sets_are_checked(spec_text, table, said):
    text = f"{table}\n{spec_text}" if "=" in table else f"{spec_text}\n{table}\nx = 1\n"
    with pytest.raises(SpecError, match=said):
        specs.parse(text)
