"""`advise` answers for networks that raise, return NaN, exhaust memory, keep state or draw numbers, or says why not."""

from __future__ import annotations

import os
import random
import re
import sys

import numpy as np
import pytest
import torch
from torch import nn

import effbatch
from effbatch.core.errors import EffbatchError
from effbatch.data.dataset import DataSet
from effbatch.networks.untouched import draw_from, process_untouched
from effbatch.probe import runs

THREADS = torch.get_num_threads()
SEEDS = range(5 if os.environ.get("EFFBATCH_TORTURE") == "1" else 1)
ALLOCATOR = "DefaultCPUAllocator: can't allocate memory: you tried to allocate 4000000000000000 bytes."
CALLS = [0]  # of all networks of a test


class Odd(nn.Module):
    """A softmax regression that does something odd."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(16, 8), nn.BatchNorm1d(8), nn.Linear(8, 3))
        self.layers[1].weight.data.mul_(random.uniform(0.9, 1.1) * float(np.random.uniform(0.9, 1.1)))  # noqa: NPY002
        self.calls = 0

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        CALLS[0] += 1
        self.calls += self.training
        return self.odd(self.layers(images))

    def odd(self, z: torch.Tensor) -> torch.Tensor:
        return z


class Raises(Odd):
    def odd(self, z):
        if self.calls > 20:
            raise ValueError("my layer is tired\nand so am I")
        return z


class Exits(Odd):
    def odd(self, z):
        return sys.exit(3) if self.calls > 20 else z


class IsNaN(Odd):
    def odd(self, z):
        return z * np.nan


class BecomesNaN(Odd):
    def odd(self, z):
        return z * np.nan if self.calls > 1 else z


class IsFullOnGPU(Odd):
    def odd(self, z):
        if self.calls > 1:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return z


class IsFull(Odd):
    def odd(self, z):
        if self.calls > 1:
            raise MemoryError
        return z


class IsFullOnCPU(Odd):
    def odd(self, z):
        if self.calls > 1:
            raise RuntimeError(ALLOCATOR)
        return z


class Counts(Odd):
    def odd(self, z):
        return z * (1 + 0.01 * (CALLS[0] % 7))


class Draws(Odd):
    def odd(self, z):
        return z + 0.1 * torch.randn_like(z)


class DrawsFromNumPy(Odd):
    def odd(self, z):
        return z + 0.1 * np.random.randn()  # noqa: NPY002


class DrawsFromPython(nn.Module):
    """Only while it trains, and without buffers: it could train side by side."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(16, 3)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        z = self.layer(images.flatten(1))
        return z * random.uniform(0.5, 1.5) if self.training else z


class IsDouble(Odd):
    def __init__(self) -> None:
        torch.set_default_dtype(torch.float64)
        super().__init__()


class Freezes(Odd):
    def __init__(self) -> None:
        super().__init__()
        self.layers[1].weight.requires_grad_(False)
        self.layers[2].eval()


REFUSED = {
    Raises: "raised ValueError: my layer is tired: mend it and ask again",
    Exits: "raised SystemExit: 3: mend it and ask again",
    IsNaN: "finite logits are needed",
    **dict.fromkeys((IsFullOnGPU, IsFull, IsFullOnCPU), "needs more memory than cpu has free; lower the batch size"),
}
ANSWERED = (Odd, Counts, Draws, DrawsFromNumPy, DrawsFromPython, IsDouble, Freezes)


@pytest.fixture(scope="module")
def images() -> DataSet:
    """Three classes of noisy 4×4 images, 400 to train on."""
    rng = np.random.default_rng(3)
    patterns, y = rng.normal(size=(3, 1, 4, 4)), np.arange(400) % 3
    x = (patterns[y] + rng.normal(size=(400, 1, 4, 4))).astype(np.float32)
    return DataSet(
        name="some", x_train=x, y_train=y, x_test=x[:30], y_test=y[:30], num_classes=3, source="made in the tests"
    )


def ask(images: DataSet, network, **how) -> dict:
    """The answer as JSON holds it, but for the time that it took."""
    usual = {"labels": "clean", "alpha": 1.0, "steps": 40, "batch_sizes": (8,), "effort": 0.5, "device": "cpu"}
    said = effbatch.advise(network, images, **usual | {"tell": lambda sentence: None} | how).to_dict()
    del said["cost"]["seconds"]
    return said


def process() -> list:
    """Random states and PyTorch's settings of this process."""
    name, words, *position = np.random.get_state()  # noqa: NPY002
    return [
        torch.random.get_rng_state().tolist(),
        (name, words.tolist(), position),
        random.getstate(),
        torch.get_default_dtype(),
        torch.is_grad_enabled(),
        torch.get_num_threads(),
        torch.get_float32_matmul_precision(),
    ]


def inside(network: nn.Module) -> list:
    """All that a module holds: weights and buffers, bit by bit, gradients, modes and plain attributes."""
    return [
        {name: (w.dtype, w.numpy().tobytes()) for name, w in network.state_dict().items()},
        [(w.requires_grad, w.grad) for w in network.parameters()],
        [
            (m.training, {k: v for k, v in vars(m).items() if isinstance(v, int | float | str)})
            for m in network.modules()
        ],
    ]


@pytest.fixture(autouse=True)
def _same_process_after():
    CALLS[0] = 0
    default, before = torch.get_default_dtype(), process()
    yield
    after = process()
    torch.set_default_dtype(default)
    assert after == before


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("kind", [*REFUSED, *ANSWERED, BecomesNaN], ids=lambda kind: kind.__name__)
def test_module_and_process_stay_as_they_were_to_the_bit(kind, seed, images):
    with process_untouched():
        network = kind()
    before = inside(network)
    if kind in REFUSED:
        with pytest.raises(EffbatchError, match=re.escape(REFUSED[kind])) as refused:
            ask(images, network, seed=seed)
        assert "\n" not in str(refused.value)
    else:
        said = ask(images, network, seed=seed)
        assert (said["learning_rate"]["value"] is None) == (kind is BecomesNaN)
    assert inside(network) == before


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("kind", [Odd, Draws, DrawsFromNumPy, DrawsFromPython], ids=lambda kind: kind.__name__)
def test_the_same_question_has_the_same_answer_whatever_was_drawn_before(kind, seed, threads, images):
    torch.set_num_threads(threads)
    try:
        first = ask(images, kind, seed=seed)
        with process_untouched():
            draw_from(1)
            assert ask(images, kind, seed=seed) == first
    finally:
        torch.set_num_threads(THREADS)


@pytest.mark.parametrize("kind", [Counts, Draws], ids=lambda kind: kind.__name__)
def test_what_is_kept_gives_the_same_answer_even_where_the_network_keeps_state(kind, images, tmp_path):
    first = ask(images, kind, out=tmp_path)
    CALLS[0] += 3
    assert ask(images, kind, out=tmp_path) == first


def test_a_network_that_is_mended_goes_on_from_the_runs_before(images, tmp_path, monkeypatch):
    whole = ask(images, Odd)
    trained: list[int] = []
    train_unit = runs.train_unit

    def failing(unit, *given, **options):
        if unit.steps > 1 + runs.TIMED:  # less is a price
            if trained:
                raise ValueError("not today")
            trained.append(unit.steps)
        return train_unit(unit, *given, **options)

    with monkeypatch.context() as today:
        today.setattr(runs, "train_unit", failing)
        with pytest.raises(EffbatchError, match="raised ValueError: not today"):
            ask(images, Odd, out=tmp_path)
    assert len(list(tmp_path.glob("*.run"))) == 1
    assert ask(images, Odd, out=tmp_path) == whole


def test_a_process_in_double_precision_gets_an_answer_and_keeps_it(images):
    torch.set_default_dtype(torch.float64)
    try:
        assert ask(images, Odd)["learning_rate"]["value"] > 0
        assert torch.get_default_dtype() == torch.float64
    finally:
        torch.set_default_dtype(torch.float32)
