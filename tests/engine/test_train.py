"""The ensemble engine against a plain one-network loop: same cell, same data order, same result."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace
from typing import ClassVar

import numpy as np
import pytest
import torch
from slow_twin import assert_cells_match
from synthetic import unit

from effbatch.core.errors import InputError
from effbatch.engine.device import pick_device, threads_within
from effbatch.engine.ensembles import TOGETHER
from effbatch.engine.evaluation import evaluation_order
from effbatch.engine.members import Members
from effbatch.engine.parts import joined, pieces
from effbatch.engine.train import take_turns, train_unit
from effbatch.networks import zoo
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
    *[{"copies": copies, "label_smoothing": 0.2} for copies in ("fresh", "fixed", "expected")],
    {"label_smoothing": 0.2, **STRUCTURED},
    *[{"loss": loss, "copies": copies} for loss in ("forward", "gce") for copies in ("fresh", "fixed")],
    {"loss": "forward", "momentum": 0.9, **STRUCTURED},
    {"loss": "gce", "network": "conv2", "clip": 0.5},
    *[{"last_layer": 0.0, "network": network} for network in ("mlp1", "conv2", "resnet8gn")],
    {"clip": 0.5},
    {"network": "conv2", "clip": 0.5, "momentum": 0.9, "label_smoothing": 0.1},
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
    assert_cells_match(block, little_images, train_unit(block, little_images, device=CPU))


@pytest.mark.parametrize("network", ["mlp1", "conv2", "resnet8bn"])
def test_training_in_bfloat16_ends_near_that_in_float32(network, little_images):
    block = replace(unit(network=network, learning_rates=(0.01, 0.02)), steps=10, checkpoints=(10,))
    exact, rough = (
        train_unit(replace(block, train=replace(block.train, precision=p)), little_images, device=CPU)
        for p in ("float32", "bfloat16")
    )
    np.testing.assert_allclose(rough["test_loss"], exact["test_loss"], rtol=0.05)
    assert not np.array_equal(rough["test_loss"], exact["test_loss"])


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
    whole = train_unit(among, little_images, device=CPU)
    alone = train_unit(unit(network, alphas=(2.5,), learning_rates=(0.3,), seeds=(3,)), little_images, device=CPU)
    a, r, s = among.alphas.index(2.5), among.learning_rates.index(0.3), among.seeds.index(3)
    np.testing.assert_allclose(alone["test_loss_history"][0, 0, 0], whole["test_loss_history"][a, r, s], rtol=1e-5)
    np.testing.assert_allclose(alone["train_loss_history"][0, 0, 0], whole["train_loss_history"][a, r, s], rtol=1e-5)


@pytest.mark.parametrize("network", ["mlp1", "conv2"])
@pytest.mark.parametrize("members", [1, 3, 100], ids=lambda members: f"parts of {members}")
def test_results_do_not_depend_on_the_number_of_threads(network, members, little_images, monkeypatch):
    monkeypatch.setattr("effbatch.engine.train.members_that_fit", lambda *_, **__: members)
    found = []
    for threads in (1, 2):
        with threads_within(threads):
            found.append(train_unit(unit(network), little_images, device=CPU))
    np.testing.assert_allclose(found[0]["test_loss_history"], found[1]["test_loss_history"], rtol=1e-5)
    np.testing.assert_allclose(found[0]["train_loss_history"], found[1]["train_loss_history"], rtol=1e-5)
    if members < unit().cells:  # as many parts as threads at once, one thread each
        np.testing.assert_array_equal(found[0]["test_loss_history"], found[1]["test_loss_history"])


def test_how_many_labels_are_drawn_at_once_changes_nothing(little_images, monkeypatch):
    cells = unit(steps=23)
    expected = train_unit(cells, little_images, device=CPU)
    monkeypatch.setattr("effbatch.engine.members.BLOCK_LABELS", 1)
    found = train_unit(cells, little_images, device=CPU)
    np.testing.assert_array_equal(found["test_loss_history"], expected["test_loss_history"])
    np.testing.assert_array_equal(found["train_loss_history"], expected["train_loss_history"])


class Counted(Members):
    """Keeps how many cells every part has."""

    cells: ClassVar[list[int]] = []

    def __init__(self, part, *others, **named):
        self.cells.append(part.cells)
        super().__init__(part, *others, **named)


@pytest.mark.parametrize("network", ["mlp1", "conv2"])
@pytest.mark.parametrize("members", [3, 100], ids=lambda members: f"parts of {members}")
def test_cells_asked_for_alone_train_in_the_parts_of_their_unit(network, members, little_images, monkeypatch):
    monkeypatch.setattr("effbatch.engine.train.members_that_fit", lambda *_, **__: members)
    monkeypatch.setattr("effbatch.engine.train.Members", Counted)
    whole = unit(network)
    whole_axes = (whole.alphas, whole.learning_rates, whole.seeds)
    asked = replace(whole, alphas=(2.5,), learning_rates=(0.3,), whole_axes=whole_axes)
    told: list[float] = []
    Counted.cells.clear()
    found = train_unit(asked, little_images, device=CPU, on_progress=told.append)
    assert sum(Counted.cells) == {3: 4, 100: 8}[members], "two cells asked for, in parts of two, or of all"
    expected = train_unit(whole, little_images, device=CPU)
    np.testing.assert_array_equal(found["test_loss_history"], expected["test_loss_history"][1:, 1:])
    np.testing.assert_array_equal(found["outcome"], expected["outcome"][1:, 1:])
    assert sum(told) == pytest.approx(1)
    assert asked.key != replace(asked, whole_axes=None).key


@pytest.mark.parametrize(("network", "expected"), [("conv2", [2, 2]), ("mlp1", [4])])
def test_members_that_take_turns_are_shared_out_evenly_however_few(network, expected, little_images, monkeypatch):
    """Four of them on two threads are two parts of two; side by side they are one part."""
    monkeypatch.setitem(TOGETHER, "float32", 1)
    monkeypatch.setattr("effbatch.engine.train.Members", Counted)
    Counted.cells.clear()
    with threads_within(2):
        train_unit(unit(network, seeds=(3,)), little_images, device=CPU)
    assert Counted.cells == expected


@pytest.mark.parametrize("network", ["conv2", "resnet8bn"])
def test_pieces_of_members_that_take_turns_have_the_numbers_of_their_unit_bit_for_bit(
    network, little_images, monkeypatch
):
    monkeypatch.setitem(TOGETHER, "float32", 1)
    whole = unit(network, seeds=(0, 3, 4), learning_rates=(0.05, 0.1, 0.3))
    assert take_turns(whole, little_images, CPU)
    cut = pieces(whole)
    assert [piece.cells for piece in cut] == [6, 6, 6]
    assert {piece.whole.key for piece in cut} == {whole.key}
    monkeypatch.setattr("effbatch.engine.train.Members", Counted)
    Counted.cells.clear()
    found = joined(whole, [(piece, train_unit(piece, little_images, device=CPU)) for piece in cut])
    assert sum(Counted.cells) == 18, "each run once"
    for name, values in train_unit(whole, little_images, device=CPU).items():
        np.testing.assert_array_equal(found[name], values, err_msg=name)


def test_dense_networks_and_narrow_ones_train_side_by_side(little_images, monkeypatch):
    assert not take_turns(unit("conv2"), little_images, CPU)
    monkeypatch.setitem(TOGETHER, "float32", 1)
    assert not take_turns(unit("mlp1"), little_images, CPU)


def test_threads_that_are_left_over_are_shared_by_the_parts(little_images, monkeypatch):
    """Two runs of a large network on five threads have two each."""
    threads: list[int] = []
    monkeypatch.setitem(TOGETHER, "float32", 1)
    monkeypatch.setattr("effbatch.engine.train.WIDE", 1)
    monkeypatch.setattr("effbatch.engine.train.threads_within", lambda n: (threads.append(n), nullcontext())[1])
    with threads_within(5):
        train_unit(unit("conv2", alphas=(0.0,), seeds=(3,)), little_images, device=CPU)
    assert threads == [2]


def test_the_same_unit_repeats_bit_for_bit(little_images):
    first, second = (train_unit(unit(), little_images, device=CPU) for _ in range(2))
    np.testing.assert_array_equal(first["test_loss_history"], second["test_loss_history"])


def test_results_do_not_depend_on_how_the_unit_is_cut(little_images, monkeypatch):
    whole = train_unit(unit(), little_images, device=CPU)
    monkeypatch.setattr("effbatch.engine.train.members_that_fit", lambda *_, **__: 3)
    cut = train_unit(unit(), little_images, device=CPU)
    np.testing.assert_allclose(cut["test_loss_history"], whole["test_loss_history"], rtol=1e-5)
    np.testing.assert_allclose(cut["train_loss_history"], whole["train_loss_history"], rtol=1e-5)
    np.testing.assert_array_equal(cut["outcome"], whole["outcome"])


def test_a_unit_that_does_not_fit_the_memory_is_halved(little_images, monkeypatch):
    whole = train_unit(unit(), little_images, device=CPU)
    room, take_steps = 2, Members.steps

    def steps(run, first, last, stopping):
        if first and run.unit.cells > room:
            raise torch.OutOfMemoryError("no memory left")
        take_steps(run, first, last, stopping)

    monkeypatch.setattr(Members, "steps", steps)
    told: list[float] = []
    halved = train_unit(unit(), little_images, device=CPU, on_progress=told.append)
    np.testing.assert_allclose(halved["test_loss_history"], whole["test_loss_history"], rtol=1e-5)
    assert min(told) < 0, "steps that are taken again are taken back first"
    assert sum(told) == pytest.approx(1)
    room = 0
    with pytest.raises(InputError, match="one network mlp1 with batch size 7 needs more memory than cpu has free"):
        train_unit(unit(), little_images, device=CPU)


def test_a_failing_part_stops_the_others(little_images, monkeypatch):
    monkeypatch.setattr("effbatch.engine.train.members_that_fit", lambda *_, **__: 1)

    def fail(share):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_unit(unit(steps=10**6, checkpoints=(4, 10**6)), little_images, device=CPU, on_progress=fail)


def test_a_diverged_member_is_marked_and_leaves_the_others_alone(little_images):
    calm = train_unit(unit(), little_images, device=CPU)
    wild = train_unit(unit(learning_rates=(0.05, 0.3, 1e30)), little_images, device=CPU)
    assert (wild["outcome"][:, 2] == Outcome.DIVERGED).all()
    assert (wild["outcome"][:, :2] == Outcome.FINISHED).all()
    assert np.isnan(wild["test_accuracy_history"][:, 2]).all()
    np.testing.assert_allclose(wild["test_loss_history"][:, :2], calm["test_loss_history"], rtol=1e-5)


def test_images_never_depend_on_how_many_steps_are_drawn_at_once(little_images, monkeypatch):
    whole = train_unit(unit(), little_images, device=CPU)
    monkeypatch.setattr("effbatch.engine.members.BLOCK_LABELS", 1)
    stepwise = train_unit(unit(), little_images, device=CPU)
    np.testing.assert_array_equal(whole["test_loss_history"], stepwise["test_loss_history"])


def test_evaluation_in_chunks_counts_every_test_image(little_images, monkeypatch):
    whole = train_unit(unit(), little_images, device=CPU)
    monkeypatch.setattr("effbatch.engine.members.images_that_fit", lambda *_: 7)
    chunked = train_unit(unit(), little_images, device=CPU)
    np.testing.assert_allclose(chunked["test_accuracy_history"], whole["test_accuracy_history"], atol=1e-6)


@pytest.mark.parametrize(("network", "together"), [("resnet8bn", False), ("conv2", True)])
def test_members_that_take_turns_see_as_many_test_images_as_the_caches_hold_of_one(
    network, together, little_images, monkeypatch
):
    block, asked = unit(network=network), []
    monkeypatch.setattr("effbatch.engine.members.images_that_fit", lambda _, members, __: asked.append(members) or 7)
    train_unit(block, little_images, device=CPU)
    assert block.cells > 1
    assert asked == [block.cells if together else 1]


@pytest.mark.parametrize("network", ["mlp1", "conv2"])
def test_histories_are_taken_on_some_test_images_and_the_end_on_all(network, little_images):
    chosen = evaluation_order(30, 7)[:7]
    assert len({*evaluation_order(30, 7)}) == 30
    some = replace(little_images, x_test=little_images.x_test[chosen], y_test=little_images.y_test[chosen])
    on_all, on_some = (train_unit(unit(network), images, device=CPU) for images in (little_images, some))
    found = train_unit(unit(network, history_images=7), little_images, device=CPU)
    for name in ("test_accuracy", "test_loss"):
        np.testing.assert_allclose(found[f"{name}_history"], on_some[f"{name}_history"], rtol=1e-5)
        np.testing.assert_allclose(found[name], on_all[name], rtol=1e-5)
        np.testing.assert_array_equal(on_all[name], on_all[f"{name}_history"][..., -1])
    for name in ("train_loss", "train_loss_history", "outcome"):
        np.testing.assert_array_equal(found[name], on_all[name])
    for more in (0, 30, 1000):
        again = train_unit(unit(network, history_images=more), little_images, device=CPU)
        np.testing.assert_array_equal(again["test_loss_history"], on_all["test_loss_history"])


def test_a_loss_that_is_infinite_on_an_image_of_no_history_is_a_diverged_run(little_images):
    last = evaluation_order(30, 7)[-1]
    x_test = little_images.x_test.copy()
    x_test[last] = 3e38
    found = train_unit(unit(history_images=7), replace(little_images, x_test=x_test), device=CPU)
    assert (found["outcome"] == Outcome.DIVERGED).all()
    assert np.isnan(found["test_loss"]).all()
    assert np.isfinite(found["test_loss_history"]).all()


@pytest.mark.parametrize("history_images", [0, 7], ids=["all test images", "seven test images"])
def test_progress_tells_of_steps_and_evaluations_by_what_they_cost(history_images, little_images, monkeypatch):
    """Twelve steps of seven images, two evaluations, and where those saw only seven of 30 images one on all."""
    monkeypatch.setattr("effbatch.engine.train.members_that_fit", lambda *_, **__: 100)
    told: list[float] = []
    with threads_within(1):
        train_unit(unit(history_images=history_images), little_images, device=CPU, on_progress=told.append)
    seen = history_images or 30
    copies = [4 * 7, seen / 3, 8 * 7, seen / 3, 30 / 3 if history_images else 0]
    assert told == pytest.approx([c / sum(copies) for c in copies])


def test_an_unknown_network_is_named_with_its_neighbour():
    with pytest.raises(InputError, match="'mpl1' is not known; did you mean 'mlp1'"):
        zoo.build("mpl1", (1, 8, 8), 10, seed=0)


def test_products_are_rounded_to_float32_alone_whatever_the_caller_has_set(little_images, monkeypatch):
    def settings() -> tuple[str, bool]:
        return torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32

    seen = []
    before = settings()
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)
    torch.set_float32_matmul_precision("high")
    try:
        train_unit(unit(), little_images, device=CPU, on_progress=lambda _: seen.append(settings()))
        assert set(seen) == {("highest", False)}
        assert settings() == ("high", True)
    finally:
        torch.set_float32_matmul_precision(before[0])


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without GPU")
def test_a_gpu_that_is_not_there_is_said_so():
    assert pick_device("auto") == CPU
    with pytest.raises(InputError, match="finds no GPU here"):
        pick_device("cuda")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_the_gpu_agrees_with_the_cpu(little_images):
    here, there = (train_unit(unit(), little_images, device=torch.device(name)) for name in ("cpu", "cuda"))
    np.testing.assert_allclose(there["test_loss_history"], here["test_loss_history"], rtol=1e-3)
