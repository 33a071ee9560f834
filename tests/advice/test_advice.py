"""Advice from short real runs of a made-up world with known answers: its numbers, page, figures, snippet, refusals."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from torch import nn
from torch.utils.data import TensorDataset

import effbatch
from effbatch.advice import probing
from effbatch.cli import main
from effbatch.core import announced
from effbatch.core.errors import InputError
from effbatch.core.estimate import Estimate
from effbatch.networks import zoo
from effbatch.plan.recipe import Recipe
from effbatch.probe import runs
from effbatch.probe.stages import Stage
from effbatch.show.terminal import as_text
from effbatch.show.views.advice import advice_page
from effbatch.theory import schedules

RECIPES = {
    "sgd": Recipe(steps=80),
    "momentum": Recipe(steps=80, optimizer="momentum"),
    "cosine": Recipe(steps=80, optimizer="momentum", nesterov=True, schedule="cosine", warmup=0.1),
    "step": Recipe(steps=80, schedule="step", weight_decay=1e-4, label_smoothing=0.1, clip=5.0),
    "one_cycle": Recipe(steps=80, schedule="one_cycle"),
    "adamw": Recipe(steps=80, optimizer="adamw", weight_decay=0.01),
    "own": Recipe(steps=80, optimizer="torch.optim:SGD"),
}


@pytest.fixture
def ask(world, little_images):
    """Advice on the little images at 90 steps, unless said otherwise."""

    def asked(network="perceptron", data=little_images, **how):
        return effbatch.advise(network, data, **{"labels": "clean", "alpha": 3.0, "steps": 90} | how)

    return asked


# --- numbers ---


def test_numbers_are_those_of_the_runs(ask, world):
    said = ask(batch_sizes=(32,))
    assert said.learning_rate == pytest.approx(0.02)  # 0.04/√(1 + 3)
    assert said.chosen.learning_rate.interval == pytest.approx((0.02 / 1.5, 0.02 * 1.5))
    assert said.chosen.plateau == pytest.approx((0.02 / 1.4, 0.02 * 1.4))
    assert (said.chosen.accuracy, said.chosen.of, said.chosen.law) == (world.accuracy, "clean labels", "probe")
    assert (said.cost.full_runs, said.steps, said.batch_size) == (1.4, 90, 32)


def test_the_runs_are_of_the_users_own_recipe(ask, world, little_images):
    recipe = Recipe(optimizer="adamw", schedule="cosine", weight_decay=0.1, label_smoothing=0.1, clip=1.0, warmup=0.1)
    ask(recipe=recipe, batch_sizes=(16,), effort=2.0, seed=3, device="cpu")
    (asked,) = world.asked
    assert asked["recipe"] == replace(recipe, batch_size=16, steps=90)
    assert (asked["labels"].alpha, asked["effort"], asked["seed"], asked["device"]) == (3.0, 2.0, 3, "cpu")
    assert asked["data"] is little_images
    built = zoo.build("perceptron", little_images.image_shape, 3, seed=5).state_dict()
    assert all(torch.equal(built[name], w) for name, w in asked["network"](5).state_dict().items())


def test_one_batch_size_is_tried_unless_more_are_asked_for_and_the_best_is_chosen(ask, world):
    assert ask().batch_size == 128
    world.asked.clear()
    world.accuracy = Estimate(0.5)
    several = ask(batch_sizes=(16, 64, 16))
    assert [asked["recipe"].batch_size for asked in world.asked] == [16, 64]
    assert several.as_good == (16, 64)
    assert several.cost.full_runs == pytest.approx(2.8)
    assert [a.learning_rate.value for a in several.answers] == pytest.approx([0.02 * 0.5**0.5, 0.02 * 2**0.5])


def test_the_law_carries_the_rate_to_other_batch_sizes_and_says_so(ask):
    said = ask(data="digits", labels=None, steps=1000, batch_sizes=(32, 64))
    sizes = {answer.batch_size: answer for answer in said.others}
    assert set(sizes) == {8, 16, 128}
    assert all(a.carried and a.probe is None and a.law == "square_root_clean_count" for a in sizes.values())
    assert sizes[8].learning_rate.value == pytest.approx(said.learning_rate / 2)
    assert sizes[8].accuracy.value is None
    low, high = sizes[8].learning_rate.interval  # that of the runs, and the errors of the law
    assert low < said.chosen.learning_rate.low / 2
    assert high > said.chosen.learning_rate.high / 2
    unknown = ask(data="digits", labels=None, batch_sizes=(32,), schedule="cosine").others[0]
    assert unknown.learning_rate.interval is None
    assert "no errors are on record for cosine rates" in unknown.why


def test_epochs_are_passes_over_the_training_images(ask, world, little_images):
    said = ask(recipe=Recipe(epochs=3), steps=None, batch_sizes=(16,))
    assert said.steps == -(-3 * len(little_images.y_train) // 16)
    assert said.passes == pytest.approx(16 * said.steps / len(little_images.y_train))


def test_where_the_runs_cannot_tell_there_is_no_rate(ask, world):
    world.changes = {"learning_rate": Estimate(None, reason="all rates score alike"), "plateau": None}
    said = ask(batch_sizes=(16,))
    assert said.learning_rate is None
    assert "all rates score alike" in " ".join(str(said).split())
    assert 'learning_rate = float(input("Learning rate: "))' in said.snippet
    assert said.others == ()


def test_a_tuned_rate_stands_beside_what_the_runs_found(ask):
    said = ask(batch_sizes=(32,), anchor=effbatch.Anchor(0.4, 32))
    assert said.learning_rate == pytest.approx(0.02)
    beside = "carried over from your anchor by square_root_clean_count, the rate would be 0.2"
    assert beside in said.limits
    assert beside in " ".join(str(said).split())


def test_memory_and_a_long_wait_are_said_before(ask, monkeypatch, little_images):
    monkeypatch.setattr(probing, "PATIENCE", 0.01)
    monkeypatch.setattr(runs, "price", lambda *_, **__: time.sleep(0.2) or runs.Price(1.5, 60.0, 1.2, 2.4))
    told: list[str] = []
    ask(tell=told.append)
    assert told == ["a few steps are timed, to say what the short real runs will cost", told[1]]
    network = nn.Sequential(nn.Flatten(), nn.Linear(little_images.x_train[0].size, 3))
    needed = 16 * sum(w.numel() for w in network.parameters()) * torch.get_num_threads()
    needed += 3 * little_images.x_train.nbytes
    monkeypatch.setattr(announced, "MUCH", needed - 1)
    monkeypatch.setattr(announced, "free_memory", lambda: 2 * needed)
    ask(network, tell=told.append)
    assert (
        told[2]
        == f"short real runs, about {needed / 1e9:.3g} GB of memory; fewer examples or a smaller network take less"
    )
    monkeypatch.setattr(announced, "free_memory", lambda: needed)
    with pytest.raises(InputError, match=r"short real runs would need about .* GB of memory, got .* GB free: fewer"):
        ask(network, tell=told.append)


def test_an_earlier_end_is_told(ask, world):
    world.changes = {"stop_at": 60}
    said = ask()
    assert said.to_dict()["stop_at"] == 60
    assert "Stop at step 60" in str(said)


# --- a rate of one's own ---


def test_a_rate_of_ones_own_costs_what_the_scores_say(ask):
    said = ask(batch_sizes=(32,), rate=0.08)
    rate, costs = said.yours
    assert rate == 0.08
    assert costs.value == pytest.approx(0.2)  # two octaves above: 0.05 · 2²
    assert costs.interval == pytest.approx((0.2, 0.2))
    assert costs.n == 3
    assert said.to_dict()["rate"]["costs"]["value"] == costs.value
    between = ask(batch_sizes=(32,), rate=0.03).yours[1].value  # log2 0.03/0.02 of the way to the next rate
    assert between == pytest.approx(0.05 * np.log2(1.5))


def test_a_rate_that_only_the_first_runs_tried_says_so_and_one_seed_has_the_interval_of_its_held_out_examples(
    ask, world
):
    def stage(fraction, rates):
        scores = np.array([[0.8 - 0.05 * k] for k in range(len(rates))])
        same = {"accuracy": scores, "loss": 1 - scores, "history": scores[..., None]}
        return Stage(
            fraction=fraction, steps=int(90 * fraction), learning_rates=rates, seeds=(0,), spacing=1, peak=-5.0, **same
        )

    stages = (stage(1 / 9, (0.02, 0.08, 0.32)), stage(1 / 3, (0.02, 0.04)))
    world.changes = {"stages": stages, "accuracy": Estimate(0.8, n=400)}
    said = ask(batch_sizes=(32,), rate=0.32)
    half = 1.645 * ((0.8 * 0.2 + 0.7 * 0.3) / 400) ** 0.5
    assert said.yours[1].value == pytest.approx(0.1)
    assert said.yours[1].interval == pytest.approx((0.1 - half, 0.1 + half))
    assert said.to_dict()["rate"]["steps"] == 10
    page = " ".join(str(said).split())
    assert "Your rate 0.32: only the first runs, 10 steps, tried it and lost 10 points [5, 15] (n = 1 seed); " in page
    last = ask(batch_sizes=(32,), rate=0.04)
    assert (last.to_dict()["rate"]["steps"], last.yours[1].value) == (30, pytest.approx(0.05))
    world.changes["stages"] = (stage(1 / 3, (0.03, 0.06)),)
    assert "(n = 1 seed) beside 0.03; what it costs" in " ".join(str(ask(batch_sizes=(32,), rate=0.06)).split())


def test_a_rate_outside_of_what_was_tried_cannot_be_judged(ask):
    _, costs = ask(batch_sizes=(32,), rate=1.0).yours
    assert costs.value is None
    assert costs.reason == "the runs tried 0.01 to 0.16: what 1 costs cannot be told"


# --- the network and what is kept ---


def test_a_module_of_the_user_stays_as_it_is_to_the_bit(ask, world):
    module = nn.Sequential(nn.Flatten(), nn.BatchNorm1d(64), nn.Dropout(0.5), nn.Linear(64, 3)).train()
    module[2].eval()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    state = torch.random.get_rng_state()
    said = ask(module, batch_sizes=(16,))
    assert torch.equal(torch.random.get_rng_state(), state)
    for seed in (0, 1):
        copy = world.asked[0]["network"](seed)
        assert copy is not module
        assert torch.equal(copy[3].weight, before["3.weight"])
        copy(torch.randn(8, 1, 8, 8))
        nn.init.zeros_(copy[3].weight)
    assert all(torch.equal(before[name], value) for name, value in module.state_dict().items())
    assert [m.training for m in module] == [True, True, False, True]
    assert any("begin at the weights given" in limit for limit in said.limits)


def test_a_function_makes_a_network_for_every_seed(ask, world):
    def make() -> nn.Module:
        return nn.Sequential(nn.Flatten(), nn.Linear(64, 3))

    assert ask(make).network == "make"
    first, again, other = (world.asked[0]["network"](seed)[1].weight for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_finished_runs_are_kept_by_what_they_depend_on(ask, world, tmp_path, little_images):
    trained = []

    def train():
        trained.append(1)
        return {"accuracy": np.array([[0.5]])}

    def unit(**how):
        ask(out=tmp_path / "kept", tell=lambda sentence: None, **how)
        return world.asked[-1]["hooks"].keep("T/9", train)["accuracy"]

    assert unit() == unit(effort=3.0) == 0.5
    assert len(trained) == 1
    relabelled = replace(little_images, y_train=little_images.y_train[::-1].copy())
    for other in ({"steps": 91}, {"alpha": 2.0}, {"network": "mlp1"}, {"data": relabelled}, {"seed": 1}):
        trained.clear()
        unit(**other)
        assert trained == [1], other
    assert ask().chosen is not None
    assert world.asked[-1]["hooks"].keep is runs.NO_HOOKS.keep


def test_the_cost_is_told_before_the_runs_and_ctrl_c_says_what_is_kept(ask, world, tmp_path, monkeypatch):
    told: list[str] = []

    def stopped(*_, **how):
        assert told == [
            "the short runs will cost 4 full runs on average, about 2 min: 3.2, or up to 6 if the best rate is the "
            "lowest or highest tried, more if they learn nothing"
        ]
        raise KeyboardInterrupt

    monkeypatch.setattr("effbatch.probe.runs.probe", stopped)
    with pytest.raises(KeyboardInterrupt):
        ask(tell=told.append, effort=2.0, batch_sizes=(8, 16), out=tmp_path)
    assert told[1] == f"stopped; finished runs are kept in {tmp_path}, and the same command goes on from there"


def test_whole_runs_are_announced_as_such(ask, monkeypatch):
    told: list[str] = []

    def priced(*_, effort, **how):
        return runs.Price(effort, 60.0, 0.6 * effort, most, whole=True)

    monkeypatch.setattr(runs, "price", priced)
    most = 11.0
    ask(tell=told.append, effort=10.0, batch_sizes=(8, 16))
    most = 10.0
    ask(tell=told.append, effort=10.0)
    said = "whole runs will cost 20 full runs, about 2 min; 12 if one rate is clearly the best"
    assert told == [
        f"{said}, up to 22 if the best rate is the lowest or highest tried",
        "whole runs will cost 10 full runs, about 60 s; 6 if one rate is clearly the best",
    ]


def test_an_answer_from_whole_runs_says_so_everywhere(ask, world):
    world.changes = {"kind": "whole"}
    said = ask(batch_sizes=(32,), rate=0.03)
    page, everything = as_text(advice_page(said)), as_text(advice_page(said, everything=True))
    assert "steps it" not in page
    assert "is not known" not in page
    assert "Whole real runs: accuracy on held-out labels as given" in everything
    told = json.dumps(said.to_dict()) + page + everything + str(effbatch.plot(said))
    assert "from whole real runs" in told
    assert "short" not in told
    assert said.chosen.why == "the best of whole real runs worth 1.4 full runs"


@pytest.mark.parametrize(("high", "told"), [(0.5, False), (1.2, True)])
def test_whole_runs_that_leave_more_than_a_hump_say_what_would_tell(ask, world, high, told):
    world.changes = {"kind": "whole", "learning_rate": Estimate(0.25, 2.0**-6, high, n=19, level=0.9)}
    said = ask(batch_sizes=(32,))
    assert told == ("held-out labels do not tell which of the rates from 0.0156 to 1.20 is best" in said.limits[0])
    assert len(as_text(advice_page(said)).splitlines()) <= 24


def test_progress_is_told_every_few_seconds(monkeypatch):
    now, told = [0.0], []
    monkeypatch.setattr(probing.time, "monotonic", lambda: now[0])
    teller, half = probing._Teller(told.append, 40.0), runs.Price(1.5, 20.0, 1.2, 2.4)
    for second, share in ((1, 0.2), (10, 0.8), (12, 0.5), (20, 0.5)):  # of one of two probes, then of the other
        now[0] = float(second)
        teller(half, share)
    assert told == [
        "50% of the announced runs are done, 10 s left unless more follow",
        "the announced runs are done; more follow if the best rate is the lowest or highest tried",
    ]


def test_progress_takes_in_the_runs_that_a_stage_goes_on_by(monkeypatch):
    now, told = [0.0], []
    monkeypatch.setattr(probing.time, "monotonic", lambda: now[0])
    teller, half = probing._Teller(told.append, 40.0), runs.Price(1.5, 20.0, 1.2, 2.4)
    now[0] = 10.0
    teller(half, 1.0)
    teller.more(half, 64, 3.0)
    now[0] = 20.0
    teller(half, 0.5)
    assert told[0].startswith("50% of the announced runs are done, 10 s left")
    assert told[1].endswith("learned nothing: more runs follow, 3 full runs in all at batch size 64")
    assert told[2].startswith("50% of the announced runs are done, 20 s left"), (
        "of one probe and a half, three quarters"
    )
    now[0] = 30.0
    teller(half, 1.5)
    assert told[3] == "nearly all runs are done"


# --- what it looks like ---

PAGES = {
    "plain": {},
    "everything at once": {
        "recipe": RECIPES["cosine"], "steps": None, "batch_sizes": (8, 16, 32, 64, 128, 256, 512), "rate": 0.03,
        "alpha_interval": (2.0, 5.0),
    },
    "step": {"recipe": RECIPES["step"], "steps": None, "batch_sizes": (8, 64), "rate": 5.0},
    "no alpha": {"alpha": None, "labels": None, "checked": 40, "wrong": 20},
    "noisy labels": {
        "alpha": None, "labels": "noisy", "checked": 400, "wrong": 120, "batch_sizes": (16, 32, 64), "rate": 0.03
    },
    "no training": {"training": False},
    "no training, adam": {"training": False, "optimizer": "adam"},
}  # fmt: skip


@pytest.mark.parametrize("how", PAGES.values(), ids=PAGES)
def test_the_answer_fits_a_screen(ask, world, how):
    world.changes = {"stop_at": 60} if "rate" in how else {}
    page = str(ask(**how))
    assert len(page.splitlines()) <= 24
    assert max(map(len, page.splitlines())) <= 80
    assert page.startswith(("Use ", "? ", "Learning rate: "))
    assert "limits: --all)" in page
    assert "optimizer = " in page


@pytest.mark.parametrize(("optimizer", "far"), [("adam", True), ("momentum", False), ("rmsprop", False)])
def test_a_rate_far_from_common_practice_says_so(optimizer, far, ask):
    said = ask(batch_sizes=(32,), optimizer=optimizer)
    words = "use rates of at most 0.001 (Co-teaching), whatever the noise; this one is 20 times as high"
    page, everything = (" ".join(as_text(advice_page(said, everything=all)).split()) for all in (False, True))
    assert (words in page) == (words in everything) == far
    assert ("Common practice: " in everything) == (optimizer != "rmsprop")
    practice = said.to_dict()["practice"]
    assert (practice is None) == (optimizer == "rmsprop")
    assert practice is None or practice["factor"] == pytest.approx(20 if far else 1)


def test_a_rate_that_did_better_in_the_runs_gained(ask):
    said = ask(batch_sizes=(32,), rate=0.04)
    better = replace(said, yours=(0.04, Estimate(-0.05, -0.08, -0.02, n=3, level=0.9)))
    assert re.search(r"it gained 5(\.0+)? points \[2\.?0*, 8\.?0*\]", " ".join(str(better).split()))


def test_the_page_says_rate_plateau_accuracy_labels_and_cost(ask):
    said = ask(batch_sizes=(32, 64), rate=0.04)
    page = " ".join(str(said).split())
    assert page.startswith(
        "Use learning rate 0.020 [0.013, 0.030], clean labels, uniform noise of α = 3 simulated on top: perceptron on "
        "little, sgd, constant rate, batches of 32, 90 steps."
    )
    assert "On average a rate between 0.0143 and 0.028 costs about one point at most." in page
    assert re.search(
        r"Your rate 0.04: in runs of 30 steps it lost 5(\.0+)? points( \[.*?\])? \(n = 3 seeds\); what it costs after "
        "all 90 steps is not known",
        page,
    )
    assert "Accuracy to expect on clean labels: 80.0 % [77.0, 82.0]; always the commonest class: 36.7 %. " in page
    assert "Twice the labels would add " in page
    assert "Cost: 2.8 full runs, 0 s; n = 20 runs (last stage: 3 seeds), 11 held-out labels." in page
    assert "* 32" in page
    assert "lr=0.02)" in page
    assert repr(said) == str(said)


def test_all_of_it_has_every_run_and_the_whole_loop(ask):
    said = ask(batch_sizes=(32,), alpha_interval=(2.0, 6.0))
    page = as_text(advice_page(said, everything=True))
    words = " ".join(page.split())
    assert "α = 3.0 [2.0, 6.0]" in words
    assert re.search(
        r"400 labels checked by hand, if about 200 .* α is [\d.]+ \[[\d.]+, [\d.]+\] \(95 %, exact\)", words
    )
    assert "carried by the law" in words
    assert re.search(r"30\s+0\.02\s+3\s+80\.1", page)
    assert all(line in page for line in said.snippet.splitlines())
    html = said._repr_html_()
    assert html.count("<table>") == html.count("</table>")
    assert replace(said, network="<b>")._repr_html_().count("&lt;b&gt;") == 1


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)
def test_the_snippet_trains(ask, recipe, little_images):
    data = little_images
    said = ask(alpha=0.0, batch_sizes=(16,), recipe=recipe, steps=None)
    network = nn.Sequential(nn.Flatten(), nn.Linear(64, 3))
    torch.manual_seed(0)
    names = {"train_set": TensorDataset(torch.tensor(data.x_train), torch.tensor(data.y_train)), "network": network}
    exec(compile(said.snippet, "snippet", "exec"), names)
    with torch.no_grad():
        reached = (network(torch.tensor(data.x_test)).argmax(1).numpy() == data.y_test).mean()
    assert reached > 0.5
    options = names["optimizer"].param_groups[0]
    assert options.get("momentum", 0.0) == recipe.momentum_used
    assert options["weight_decay"] == recipe.weight_decay
    if recipe.schedule == "constant" and not recipe.warmup:
        assert options["lr"] == pytest.approx(said.learning_rate, rel=0.01)
    assert ("label_smoothing=0.1" in said.snippet) == bool(recipe.label_smoothing)
    assert ("clip_grad_norm_(network.parameters(), 5.0)" in said.snippet) == (recipe.clip is not None)


@pytest.mark.parametrize(
    ("schedule", "warmup"),
    [("linear", 0.0), ("linear", 0.1), ("cosine", 0.0), ("step", 0.0), ("one_cycle", 0.0), ("cosine", 0.3)],
)
def test_the_snippet_schedules_as_the_runs_do(ask, schedule, warmup, little_images):
    said = ask(alpha=0.0, batch_sizes=(16,), recipe=Recipe(steps=20, schedule=schedule, warmup=warmup), steps=None)
    rates: list[float] = []
    train_set = TensorDataset(torch.tensor(little_images.x_train), torch.tensor(little_images.y_train))
    names = {"train_set": train_set, "network": nn.Sequential(nn.Flatten(), nn.Linear(64, 3)), "rates": rates}
    code = said.snippet.replace(
        "    optimizer.step()", '    rates.append(optimizer.param_groups[0]["lr"])\n    optimizer.step()'
    )
    exec(compile(code, "snippet", "exec"), names)
    expected = said.learning_rate * schedules.multipliers(schedule, 20, warmup=warmup)
    assert rates == pytest.approx(expected.tolist(), rel=0.02, abs=1e-6)


def test_the_figure_has_a_line_per_stage_and_the_interval(ask):
    plots = effbatch.plot(ask(batch_sizes=(32,)))
    assert plots.names == ["learning_rate", "labels"]
    (panel,) = plots["learning_rate"].figure.panels
    assert [s.name for s in panel.series] == ["10 steps", "30 steps", "advised: 0.02", "from: 0.0133", "to: 0.03"]
    scores = panel.series[1]
    assert scores.x == pytest.approx([0.01, 0.02, 0.04, 0.08, 0.16])
    assert scores.y == pytest.approx([75.1, 80.1, 75.1, 60.1, 35.1])
    assert (scores.low[0], scores.high[0]) == pytest.approx((75.0, 75.2))
    assert effbatch.plot(ask(batch_sizes=(32, 64))).names == ["learning_rate", "batch_size", "labels"]


# --- JSON and the command ---


def run(*arguments: str):
    return CliRunner().invoke(main, ["advise", *arguments])


def test_json_has_the_shape_that_was_promised(ask, little_images):
    said = ask(alpha_interval=(2.0, 5.0), batch_sizes=(8, 16)).to_dict()
    assert json.loads(json.dumps(said, allow_nan=False)) == said
    assert said["data"] == {
        "name": "little", "examples": len(little_images.y_train), "shape": [1, 8, 8], "num_classes": 3,
        "read_as": little_images.in_words,
    }  # fmt: skip
    assert said["labels"]["are"] == "clean"
    assert said["labels"]["alpha"] == {"value": 3.0, "interval": [2.0, 5.0], "how": "interval as given", "checked": 0}
    assert {"optimizer": "sgd", "schedule": "constant", "weight_decay": 0.0, "steps": 90}.items() <= said[
        "recipe"
    ].items()
    rate, accuracy = said["learning_rate"], said["accuracy"]
    assert (rate["level"], rate["law"], len(rate["plateau"])) == (0.9, "probe", 2)
    assert rate["interval"][0] < rate["value"] < rate["interval"][1]
    assert (accuracy["value"], accuracy["of"]) == (0.8, "clean labels")
    assert accuracy["majority"] == pytest.approx(np.bincount(little_images.y_train).max() / len(little_images.y_train))
    assert said["stop_at"] is None
    assert said["runs"] == {"runs": 20, "seeds": 3, "labels": 11}
    assert said["cost"]["full_runs"] == pytest.approx(2.8)
    asked = [one for one in said["batch_sizes"] if not one["carried"]]
    assert [one["batch_size"] for one in asked] == [8, 16]
    (chosen,) = (one for one in asked if one["batch_size"] == said["recipe"]["batch_size"])
    assert (chosen["learning_rate"], chosen["accuracy"]) == (rate, accuracy)
    assert chosen["stages"][0]["learning_rates"] == pytest.approx([0.01, 0.02, 0.04, 0.08, 0.16])
    assert {"elasticities", "more", "cleaner", "equal_share", "growth"} == said["labels_pay"].keys()


def test_the_command_takes_what_the_function_does(world, tmp_path):
    recipe = tmp_path / "recipe.toml"
    recipe.write_text('optimizer = "momentum"\nmomentum = 0.8\nschedule = "cosine"\nweight_decay = 5e-4\nsteps = 400\n')
    command = f"perceptron digits --recipe {recipe} --nesterov --batch 8 --alpha 4 --rate 0.02 --effort 1 --json"
    result = run(*command.split())
    assert result.exit_code == 0, result.output
    direct = effbatch.advise(
        "perceptron", "digits", optimizer="momentum", momentum=0.8, nesterov=True, schedule="cosine",
        weight_decay=5e-4, steps=400, batch_sizes=(8,), alpha=4.0, rate=0.02, effort=1.0,
    )  # fmt: skip
    said, expected = json.loads(result.stdout), json.loads(json.dumps(direct.to_dict()))
    for one in (said, expected):
        one["cost"]["seconds"] = 0
    assert said == expected
    assert "the short runs will cost 1 full runs on average" in result.stderr


def test_the_command_shows_a_screen_or_all(world):
    short, whole = (run("perceptron", "digits", "--steps", "90", *all).stdout for all in ((), ("--all",)))
    assert len(short.splitlines()) <= 24 < len(whole.splitlines())
    assert "for x, y in DataLoader" in whole
    assert "for x, y in DataLoader" not in short


# --- refusals ---


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["mlp1", "digits"], "needs a budget, got none: give steps, examples or epochs"),
        (["mlp1", "digits", "--steps", "9", "--examples", "9"], "got steps and examples: leave all but one out"),
        (["mlp1", "digits", "--steps", "9", "--epochs", "9"], "got steps and epochs: leave all but one out"),
        (["mlp1", "digits", "--steps", "9", "--checked", "20"], "needs checked and wrong"),
        (
            ["mlp1", "digits", "--steps", "9", "--alpha", "1", "--checked", "2", "--wrong", "1"],
            "got alpha and checked labels: leave one of them out",
        ),
        (["mlp1", "digits", "--steps", "9", "--from-estimate", "-"], "needs the JSON of an estimate"),
        (["mlp1", "digits", "--steps", "9", "--alpha-interval", "3", "2"], "0 <= low <= high, got 3.0 to 2.0"),
        (["mlp1", "digits", "--steps", "9", "--batch", "0"], "batch size must be at least 1"),
        (["mlp1", "digits", "--steps", "9", "--effort", "31"], "effort must be from 0.5 to 30 .*, got 31.0"),
        (["mlp1", "digits", "--steps", "9", "--rate", "0"], "learning rate must be above 0 .*, got 0.0"),
        (["mlp1", "digits", "--steps", "9", "--seed", "-1"], "seed must be from 0 .*, got -1"),
        (["mlp1", "digits", "--steps", "9", "--rate", "1", "--no-training"], "rate needs real runs, got no training"),
        (["mlp1", "digits", "--steps", "9", "--noise", "structured", "--delta", "0.5"], "got nothing: give alpha"),
        (["mlp9", "digits", "--steps", "9"], "mlp9.* is not known"),
        (["mlp1", "nothing", "--steps", "9"], "data set 'nothing' is not known"),
    ],
)
def test_nonsense_is_refused_in_one_sentence(world, arguments, words):
    result = run(*arguments)
    assert result.exit_code == 2
    assert re.search(words, result.output)
    assert result.output.count("\n") == 1


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("optimiser = 'sgd'", "needs known keys, got 'optimiser' in .*; did you mean 'optimizer'"),
        ("steps = ", "needs to be a TOML file, got .*recipe.toml"),
        ("weight_decay = 'much'", "needs numbers where its fields are numbers"),
        ("steps = 9\nepochs = 1", "got steps and epochs: leave all but one out"),
    ],
    ids=["key", "syntax", "word", "budgets"],
)
def test_a_recipe_that_cannot_be_read_is_refused(world, tmp_path, content, words):
    (tmp_path / "recipe.toml").write_text(content)
    result = run("mlp1", "digits", "--recipe", str(tmp_path / "recipe.toml"))
    assert result.exit_code == 2
    assert re.search(words, result.output)


@pytest.mark.parametrize(
    ("network", "data", "words"),
    [
        (3, "digits", "a name, an nn.Module or a function"),
        (lambda: 3, "digits", "needs to return an nn.Module, got int"),
        ("perceptron", 3, "a name or path, a DataSet, arrays .*, got int"),
        (
            "perceptron",
            (np.zeros((4, 1, 2, 2)), np.zeros(4), np.zeros((4, 1, 2, 2)), np.zeros(4)),
            "2 to 1,000,000 classes, got 1",
        ),
    ],
    ids=["network", "function", "data", "labels"],
)
@pytest.mark.parametrize("training", [True, False])
def test_what_is_neither_network_nor_data_is_refused(network, data, words, training, monkeypatch):
    monkeypatch.setattr("effbatch.probe.runs.price", lambda network, *_, **how: network(0))
    with pytest.raises(InputError, match=words):
        effbatch.advise(network, data, labels="clean", alpha=1.0, steps=5, training=training)


def test_what_has_gone_says_where_it_went():
    with pytest.raises(InputError, match="probe is the default now: leave it out, or give training=False"):
        effbatch.advise("mlp1", "digits", steps=9, probe=True)
    with pytest.raises(InputError, match="the keyword 'efort' is not known; did you mean 'effort'"):
        effbatch.advise("mlp1", "digits", steps=9, efort=1)


def test_importing_effbatch_stays_light():
    code = "import sys, effbatch; from effbatch.cli.advise import command; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
