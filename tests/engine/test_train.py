"""The ensemble engine against a plain one-network loop: same cell, same data order, same result."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import ClassVar

import numpy as np
import pytest
import torch
from slow_twin import assert_cells_match
from synthetic import unit

from effbatch.core.errors import InputError
from effbatch.engine import train as engine
from effbatch.networks import zoo as networks
from effbatch.plan.cube import Outcome

CPU = torch.device("cpu")
STRUCTURED = {"noise": "structured", "delta": 0.7, "order": "confusion"}
WHITE = {"noise": "foreign", "source": "white"}
CASES = [
    *[{"network": name} for name in ("perceptron", "mlp1", "mlp4", "conv2", "conv6", "resnet18")],
    {"copies": "fixed"},
    {"copies": "expected"},
    {"momentum": 0.9},
    {"schedule": "cosine"},
    {"network": "conv2", "copies": "fixed", "momentum": 0.5, "schedule": "cosine"},
    *[{"copies": copies, **STRUCTURED} for copies in ("fresh", "fixed", "expected")],
    *[{"copies": copies, **WHITE, "alphas": (2.5,)} for copies in ("fresh", "fixed")],
    {"network": "conv2", "noise": "foreign", "source": "digits", "alphas": (0.5,)},
]


def name_of(option) -> str:
    key, value = option
    return "-".join(map(str, value.values())) if isinstance(value, dict) else f"{key}={value}"


@pytest.mark.parametrize("case", CASES, ids=lambda case: "-".join(map(name_of, case.items())))
def test_every_cell_matches_the_plain_loop(case, little_images):
    block = unit(**case)
    assert_cells_match(block, little_images, engine.train(block, little_images, device=CPU))


@pytest.mark.parametrize("network", ["mlp1", "conv2"])
@pytest.mark.parametrize(
    "others",
    [
        {},
        {"alphas": (2.5, 0.0), "learning_rates": (0.3, 0.05), "seeds": (3, 0)},
        {"seeds": (5, 3, 0)},
        {"alphas": (2.5,), "learning_rates": (0.3, 0.1, 0.2)},
    ],
    ids=["as listed", "the other way round", "another seed", "other rates"],
)
def test_a_cell_does_not_depend_on_its_unit(network, others, little_images):
    """Within 1e-5 of its losses after a short run; one member alone is the network itself, so the yardstick."""
    among = unit(network, **others)
    whole = engine.train(among, little_images, device=CPU)
    alone = engine.train(unit(network, alphas=(2.5,), learning_rates=(0.3,), seeds=(3,)), little_images, device=CPU)
    a, r, s = among.alphas.index(2.5), among.learning_rates.index(0.3), among.seeds.index(3)
    np.testing.assert_allclose(alone["test_loss_history"][0, 0, 0], whole["test_loss_history"][a, r, s], rtol=1e-5)
    np.testing.assert_allclose(alone["train_loss_history"][0, 0, 0], whole["train_loss_history"][a, r, s], rtol=1e-5)


@pytest.mark.parametrize("network", ["mlp1", "conv2"])
@pytest.mark.parametrize("members", [1, 3, 100], ids=lambda members: f"parts of {members}")
def test_results_do_not_depend_on_the_number_of_threads(network, members, little_images, monkeypatch):
    monkeypatch.setattr(engine, "members_that_fit", lambda *_: members)
    found = []
    for threads in (1, 2):
        with engine._threads_within(threads):
            found.append(engine.train(unit(network), little_images, device=CPU))
    np.testing.assert_allclose(found[0]["test_loss_history"], found[1]["test_loss_history"], rtol=1e-5)
    np.testing.assert_allclose(found[0]["train_loss_history"], found[1]["train_loss_history"], rtol=1e-5)
    if members < unit().cells:  # as many parts as threads at once, one thread each
        np.testing.assert_array_equal(found[0]["test_loss_history"], found[1]["test_loss_history"])


def test_how_many_labels_are_drawn_at_once_changes_nothing(little_images, monkeypatch):
    cells = unit(steps=23)
    expected = engine.train(cells, little_images, device=CPU)
    monkeypatch.setattr(engine, "BLOCK_LABELS", 1)
    found = engine.train(cells, little_images, device=CPU)
    np.testing.assert_array_equal(found["test_loss_history"], expected["test_loss_history"])
    np.testing.assert_array_equal(found["train_loss_history"], expected["train_loss_history"])


class Counted(engine._Run):
    """Keeps how many cells every part has."""

    cells: ClassVar[list[int]] = []

    def __init__(self, part, *others):
        self.cells.append(part.cells)
        super().__init__(part, *others)


@pytest.mark.parametrize("network", ["mlp1", "conv2"])
@pytest.mark.parametrize("members", [3, 100], ids=lambda members: f"parts of {members}")
def test_cells_asked_for_alone_train_in_the_parts_of_their_unit(network, members, little_images, monkeypatch):
    monkeypatch.setattr(engine, "members_that_fit", lambda *_: members)
    monkeypatch.setattr(engine, "_Run", Counted)
    whole = unit(network)
    whole_axes = (whole.alphas, whole.learning_rates, whole.seeds)
    asked = replace(whole, alphas=(2.5,), learning_rates=(0.3,), whole_axes=whole_axes)
    told = {"steps": 0, "evaluations": 0}
    Counted.cells.clear()

    def tell(what, number):
        told[what] += number

    found = engine.train(
        asked, little_images, device=CPU, on_steps=partial(tell, "steps"), on_evaluations=partial(tell, "evaluations")
    )
    assert sum(Counted.cells) == {3: 4, 100: 8}[members], "two cells asked for, in parts of two, or of all"
    expected = engine.train(whole, little_images, device=CPU)
    np.testing.assert_array_equal(found["test_loss_history"], expected["test_loss_history"][1:, 1:])
    np.testing.assert_array_equal(found["outcome"], expected["outcome"][1:, 1:])
    assert told == {"steps": asked.model_steps, "evaluations": asked.evaluations}
    assert asked.key != replace(asked, whole_axes=None).key


def test_the_same_unit_repeats_bit_for_bit(little_images):
    first, second = (engine.train(unit(), little_images, device=CPU) for _ in range(2))
    np.testing.assert_array_equal(first["test_loss_history"], second["test_loss_history"])


def test_results_do_not_depend_on_how_the_unit_is_cut(little_images, monkeypatch):
    whole = engine.train(unit(), little_images, device=CPU)
    monkeypatch.setattr(engine, "members_that_fit", lambda *_: 3)
    cut = engine.train(unit(), little_images, device=CPU)
    np.testing.assert_allclose(cut["test_loss_history"], whole["test_loss_history"], rtol=1e-5)
    np.testing.assert_allclose(cut["train_loss_history"], whole["train_loss_history"], rtol=1e-5)
    np.testing.assert_array_equal(cut["outcome"], whole["outcome"])


def test_a_unit_that_does_not_fit_the_memory_is_halved(little_images, monkeypatch):
    whole = engine.train(unit(), little_images, device=CPU)
    room, take_steps = 2, engine._Run.steps

    def steps(run, first, last, stopping):
        if first and run.unit.cells > room:
            raise torch.OutOfMemoryError("no memory left")
        take_steps(run, first, last, stopping)

    monkeypatch.setattr(engine._Run, "steps", steps)
    told: list[int] = []
    halved = engine.train(unit(), little_images, device=CPU, on_steps=told.append)
    np.testing.assert_allclose(halved["test_loss_history"], whole["test_loss_history"], rtol=1e-5)
    assert min(told) < 0, "steps that are taken again are taken back first"
    assert sum(told) == unit().model_steps
    room = 0
    with pytest.raises(InputError, match="one network mlp1 with batch size 7 needs more memory than cpu has free"):
        engine.train(unit(), little_images, device=CPU)


def test_a_failing_part_stops_the_others(little_images, monkeypatch):
    monkeypatch.setattr(engine, "members_that_fit", lambda *_: 1)

    def fail(model_steps):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        engine.train(unit(steps=10**6, checkpoints=(4, 10**6)), little_images, device=CPU, on_steps=fail)


def test_a_diverged_member_is_marked_and_leaves_the_others_alone(little_images):
    calm = engine.train(unit(), little_images, device=CPU)
    wild = engine.train(unit(learning_rates=(0.05, 0.3, 1e30)), little_images, device=CPU)
    assert (wild["outcome"][:, 2] == Outcome.DIVERGED).all()
    assert (wild["outcome"][:, :2] == Outcome.FINISHED).all()
    assert np.isnan(wild["test_accuracy_history"][:, 2]).all()
    np.testing.assert_allclose(wild["test_loss_history"][:, :2], calm["test_loss_history"], rtol=1e-5)


def test_images_never_depend_on_how_many_steps_are_drawn_at_once(little_images, monkeypatch):
    whole = engine.train(unit(), little_images, device=CPU)
    monkeypatch.setattr(engine, "BLOCK_LABELS", 1)
    stepwise = engine.train(unit(), little_images, device=CPU)
    np.testing.assert_array_equal(whole["test_loss_history"], stepwise["test_loss_history"])


def test_evaluation_in_chunks_counts_every_test_image(little_images, monkeypatch):
    whole = engine.train(unit(), little_images, device=CPU)
    monkeypatch.setattr(engine, "images_that_fit", lambda *_: 7)
    chunked = engine.train(unit(), little_images, device=CPU)
    np.testing.assert_allclose(chunked["test_accuracy_history"], whole["test_accuracy_history"], atol=1e-6)


@pytest.mark.parametrize("network", ["mlp1", "conv2"])
def test_histories_are_taken_on_some_test_images_and_the_end_on_all(network, little_images):
    chosen = engine.test_order(30, 7)[:7]
    assert len({*engine.test_order(30, 7)}) == 30
    some = replace(little_images, x_test=little_images.x_test[chosen], y_test=little_images.y_test[chosen])
    on_all, on_some = (engine.train(unit(network), images, device=CPU) for images in (little_images, some))
    found = engine.train(unit(network, history_images=7), little_images, device=CPU)
    for name in ("test_accuracy", "test_loss"):
        np.testing.assert_allclose(found[f"{name}_history"], on_some[f"{name}_history"], rtol=1e-5)
        np.testing.assert_allclose(found[name], on_all[name], rtol=1e-5)
        np.testing.assert_array_equal(on_all[name], on_all[f"{name}_history"][..., -1])
    for name in ("train_loss", "train_loss_history", "outcome"):
        np.testing.assert_array_equal(found[name], on_all[name])
    for more in (0, 30, 1000):
        again = engine.train(unit(network, history_images=more), little_images, device=CPU)
        np.testing.assert_array_equal(again["test_loss_history"], on_all["test_loss_history"])


def test_a_loss_that_is_infinite_on_an_image_of_no_history_is_a_diverged_run(little_images):
    last = engine.test_order(30, 7)[-1]
    x_test = little_images.x_test.copy()
    x_test[last] = 3e38
    found = engine.train(unit(history_images=7), replace(little_images, x_test=x_test), device=CPU)
    assert (found["outcome"] == Outcome.DIVERGED).all()
    assert np.isnan(found["test_loss"]).all()
    assert np.isfinite(found["test_loss_history"]).all()


def test_progress_reports_every_model_step(little_images):
    told: list[int] = []
    engine.train(unit(), little_images, device=CPU, on_steps=told.append)
    assert sum(told) == unit().model_steps == 8 * 12


def test_an_unknown_network_is_named_with_its_neighbour():
    with pytest.raises(InputError, match="'mpl1' is not known; did you mean 'mlp1'"):
        networks.build("mpl1", (1, 8, 8), 10, seed=0)


def test_products_are_rounded_to_float32_alone_whatever_the_caller_has_set(little_images, monkeypatch):
    def settings() -> tuple[str, bool]:
        return torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32

    seen = []
    before = settings()
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)
    torch.set_float32_matmul_precision("high")
    try:
        engine.train(unit(), little_images, device=CPU, on_steps=lambda _: seen.append(settings()))
        assert set(seen) == {("highest", False)}
        assert settings() == ("high", True)
    finally:
        torch.set_float32_matmul_precision(before[0])


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without GPU")
def test_a_gpu_that_is_not_there_is_said_so():
    assert engine.pick_device("auto") == CPU
    with pytest.raises(InputError, match="finds no GPU here"):
        engine.pick_device("cuda")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_the_gpu_agrees_with_the_cpu(little_images):
    here, there = (engine.train(unit(), little_images, device=torch.device(name)) for name in ("cpu", "cuda"))
    np.testing.assert_allclose(there["test_loss_history"], here["test_loss_history"], rtol=1e-3)
