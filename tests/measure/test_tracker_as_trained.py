"""The tracker against gradients of really trained batches: modes, losses, batches of any kind; training goes on."""

from __future__ import annotations

import math
import random
import warnings

import numpy as np
import pytest
import torch
from torch import nn
from torch.func import functional_call, grad, vmap
from torch.nn import functional as F

from effbatch.measure.tracker import NoiseScaleTracker
from effbatch.measure.trained import Trained, seen

K, B = 3, 16
ALL = {"every": 1, "overhead": math.inf}


def drawn_images(n: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    rng = np.random.default_rng(seed)
    y = rng.choice(K, size=n, p=[0.8, 0.15, 0.05])
    return torch.tensor(rng.normal(size=(n, 4)) + 1.5 * np.eye(K, 4)[y], dtype=torch.float32), torch.tensor(y)


def network(*middle: nn.Module, classes: int = K) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 6), *middle, nn.Tanh(), nn.Linear(6, classes))


def truth(net: nn.Module, loss, labels=lambda y: y, *, batches: int = 2000, size: int = B) -> tuple[float, float]:
    """‖G‖² and trΣ of one copy: B times the variance of gradients of batches that are really trained."""
    x, y = drawn_images(batches * size, seed=99)
    x, y = x.view(batches, size, -1), torch.stack([labels(some) for some in y.view(batches, size)])
    if all(type(layer) in (nn.Linear, nn.Tanh) for layer in net) and not isinstance(loss, nn.MultiMarginLoss):

        def loss_at(weights, x, y):
            return loss(functional_call(net, weights, (x,)), y)

        weights = {name: w.detach() for name, w in net.named_parameters()}
        of_weights = vmap(grad(loss_at), (None, 0, 0))(weights, x, y).values()
        g = torch.cat([one.flatten(1) for one in of_weights], 1).double()
    else:  # what draws random numbers, keeps statistics or has no rule for batches
        losses = (loss(net(images), given) for images, given in zip(x, y, strict=True))
        rows = [torch.autograd.grad(one, list(net.parameters())) for one in losses]
        g = torch.stack([torch.cat([one.flatten() for one in row]) for row in rows]).double()
    trace = float(size * g.var(0).sum())
    return float(g.mean(0) @ g.mean(0)) - trace / size / batches, trace


weight = torch.tensor([0.2, 1.0, 5.0])
weighted = nn.CrossEntropyLoss(weight=weight)
CASES = {
    "plain": ((), None, False),
    "dropout": ((nn.Dropout(0.5),), None, False),
    "BatchNorm": ((nn.BatchNorm1d(6),), None, True),
    "BatchNorm and dropout": ((nn.BatchNorm1d(6), nn.Dropout(0.3)), None, True),
    "class weights": ((), weighted, False),
    "class weights by hand": ((), lambda z, y: F.cross_entropy(z, y, weight=weight), True),
    "weights and smoothing": ((), nn.CrossEntropyLoss(weight=weight, label_smoothing=0.3), False),
    "another loss": ((), nn.MultiMarginLoss(), False),
    "a sum": ((), nn.CrossEntropyLoss(reduction="sum"), True),
}


@pytest.mark.parametrize("name", CASES)
def test_it_measures_what_is_trained(name):
    middle, loss, whole = CASES[name]
    net = network(*middle)
    x, y = drawn_images(300 * B)
    tracker = NoiseScaleTracker(net, loss=loss, batches=300, **ALL)
    for i in range(300):
        tracker.step(x[i * B : i * B + B], y[i * B : i * B + B])
    assert tracker.reason is None
    record = tracker.history[0]
    norm, trace = truth(net, loss or F.cross_entropy)
    assert record.noise_scale.n == (300 if whole else 300 * B)
    for found, right in ((record.norm_squared, norm), (record.covariance_trace, trace)):
        low, high = found.interval
        assert abs(found.value - right) < (high - low) / 2 * 1.5, (found, right)
        assert high - low < right
    low, high = record.noise_scale.interval
    assert low < trace / norm < high
    if middle or loss is weighted:  # what was measured before is another number
        net.eval()
        wrong_norm, wrong_trace = truth(net, F.cross_entropy, batches=600)
        assert not low < wrong_trace / wrong_norm < high


@pytest.mark.parametrize(
    ("loss", "first"),
    [(None, 0), (weighted, 5), (nn.CrossEntropyLoss(ignore_index=2), 0)],
    ids=["plain", "weighted, later", "2"],
)
def test_labels_that_the_loss_ignores_count_for_nothing(loss, first):
    mark = getattr(loss, "ignore_index", -100)
    x, y = drawn_images(300 * B)
    unknown = torch.rand(len(y), generator=torch.Generator().manual_seed(1)) < 0.3
    unknown[: first * B] = False
    y = torch.where(unknown, mark, y)
    tracker = NoiseScaleTracker(network(), loss=loss, batches=300, alpha=None if loss else 1.0, **ALL)
    for i in range(300):
        tracker.step(x[i * B : i * B + B], y[i * B : i * B + B])
    record = tracker.history[0]

    def drawn(labels):
        return torch.where(torch.rand(len(labels), generator=drawing) < 0.3, mark, labels)

    drawing = torch.Generator().manual_seed(2)
    norm, trace = truth(network(), loss or F.cross_entropy, drawn)
    assert (tracker.reason, record.noise_scale.n) == (None, 300 * B)
    for found, right in ((record.norm_squared, norm), (record.covariance_trace, trace)):
        low, high = found.interval
        assert abs(found.value - right) < (high - low) / 2 * 1.5, (found, right)
        assert high - low < right


def test_where_most_labels_are_ignored_batches_are_measured_whole_or_none():
    x, y = drawn_images(8 * B)
    most = torch.where(torch.arange(len(y)) % 4 > 0, -100, y)
    for first, n in ((most[:B], 8), (y[:B], None)):
        tracker = NoiseScaleTracker(network(), batches=8, **ALL)
        for i in range(8):
            with warnings.catch_warnings(record=True):
                tracker.step(x[i * B : i * B + B], first if i == 0 else most[i * B : i * B + B])
        assert [record.noise_scale.n for record in tracker.history] == ([] if n is None else [n])
        assert ("the loss ignores most labels" in str(tracker.reason)) == (n is None)


@pytest.mark.parametrize("shape", [(-1,), (-1, 1)])
def test_binary_losses_take_logits_and_labels_as_they_come(shape):
    class One(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = network(classes=1)

        def forward(self, x):
            return self.inner(x).reshape(shape)

    x, y = drawn_images(1000)
    labels = (y > 0).float().reshape(shape)
    net = One()
    records = []
    for loss, given in ((nn.BCEWithLogitsLoss(), labels), (None, labels), (None, labels.flatten().long())):
        tracker = NoiseScaleTracker(net, loss=loss, alpha=0.3, batches=1, images=1000, **ALL)
        tracker.step(x, given)
        records.append(tracker.history[0])
    for record in records[1:]:
        assert record.noise_scale.value == pytest.approx(records[0].noise_scale.value, rel=1e-4)
        assert record.effective_batch_size.interval == pytest.approx(records[0].effective_batch_size.interval, rel=1e-3)
    assert records[0].effective_batch_size.interval[0] > 0


def test_the_effective_batch_of_batch_norm_is_told_and_that_of_class_weights_is_not():
    x, y = drawn_images(200 * B)
    found = {}
    for name, (middle, loss) in {"norm": ((nn.BatchNorm1d(6),), None), "weights": ((), weighted)}.items():
        tracker = NoiseScaleTracker(network(*middle), loss=loss, alpha=0.5, batches=200, **ALL)
        for i in range(200):
            tracker.step(x[i * B : i * B + B], y[i * B : i * B + B])
        found[name] = tracker.history[0].effective_batch_size
    assert 0 < found["norm"].value < B
    assert found["weights"].value is None
    assert "a loss that is a plain mean over labels" in found["weights"].reason


class Words(nn.Module):
    """A classifier of tokens as Hugging Face writes them."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.words, self.drop, self.last = nn.Embedding(20, 6), nn.Dropout(0.1), nn.Linear(6, K)

    def forward(self, input_ids, attention_mask=None, *, scale=1.0, labels=None):
        h = self.words(input_ids) * attention_mask[..., None]
        return {"hidden": h, "logits": scale * self.last(self.drop(h.sum(1) / attention_mask.sum(1, keepdim=True)))}


def words(n: int, length: int = 7) -> dict:
    draw = torch.Generator().manual_seed(n)
    ids = torch.randint(0, 20, (n, length), generator=draw)
    mask = (torch.rand(n, length, generator=draw) < 0.7).long()
    mask[:, 0] = 1
    return {"input_ids": ids, "attention_mask": mask, "labels": ids[:, 0] % K}


def test_batches_come_as_mappings_pairs_or_arrays():
    net = Words().eval()
    batch = words(40)
    values = []
    for given in (
        (batch,),
        ({k: v for k, v in batch.items() if k != "labels"}, batch["labels"]),
        ({**{k: v for k, v in batch.items() if k != "labels"}, "y": batch["labels"], "scale": 1.0},),
        ({k: v.numpy() for k, v in batch.items()},),
    ):
        tracker = NoiseScaleTracker(net, batches=1, **ALL)
        tracker.step(*given)
        assert tracker.reason is None
        values.append(tracker.history[0].noise_scale.interval)
    assert all(value == pytest.approx(values[0]) for value in values)
    plain, (x, y) = network(), drawn_images(40)
    for given in ((x, y), ((x, y),), ([x, y],), (x.numpy(), y.numpy()), ({"label": y, "input": x},)):
        tracker = NoiseScaleTracker(plain, batches=1, **ALL)
        tracker.step(*given)
        assert tracker.reason is None
        assert tracker.history[0].noise_scale.n == 40


def test_sequences_of_many_lengths_are_measured_together():
    tracker = NoiseScaleTracker(Words(), batches=3, **ALL)
    for length in (5, 7, 9):
        tracker.step(words(16, length))
    assert tracker.history[0].noise_scale.n == 48


@pytest.mark.parametrize("size", [1, 2, 4])
def test_accumulated_micro_batches_are_one_batch(size):
    net, (x, y) = network(), drawn_images(32)
    whole = NoiseScaleTracker(net, batches=1, **ALL)
    whole.step(x, y)
    parts = NoiseScaleTracker(net, batches=1, accumulate=32 // size, **ALL)
    for i in range(0, 32, size):
        assert parts.history == []
        parts.step(x[i : i + size], y[i : i + size])
    assert parts.steps == 1
    record, right = parts.history[0], whole.history[0]
    assert (record.batch_size, record.step, record.noise_scale.n) == (32, 1, 32)
    assert record.norm_squared.value == pytest.approx(right.norm_squared.value, rel=1e-4)
    assert record.covariance_trace.interval == pytest.approx(right.covariance_trace.interval, rel=1e-4)


def test_small_batches_without_accumulation_are_gathered():
    net, (x, y) = network(), drawn_images(64)
    tracker = NoiseScaleTracker(net, batches=2, **ALL)
    for i in range(40):
        tracker.step(x[i : i + 1], y[i : i + 1])
    assert (tracker.history[0].step, tracker.history[0].batch_size, tracker.history[0].noise_scale.n) == (32, 1, 32)


def test_micro_batches_of_batch_norm_and_of_class_weights_are_measured_as_they_are_trained():
    x, y = drawn_images(4 * 400)
    for middle, loss in (((nn.BatchNorm1d(6),), F.cross_entropy), ((), weighted)):
        net = network(*middle)
        tracker = NoiseScaleTracker(net, loss=loss, accumulate=4, batches=100, **ALL)
        for i in range(400):
            tracker.step(x[4 * i : 4 * i + 4], y[4 * i : 4 * i + 4])
        record = tracker.history[0]
        assert (record.batch_size, record.noise_scale.n, record.step) == (16, 400, 100)
        _, trace = truth(net, loss, size=4)
        low, high = record.covariance_trace.interval
        assert abs(record.covariance_trace.value - trace) < (high - low) / 2 * 1.5


def test_several_batches_are_measured_at_the_weights_of_the_first():
    (x, y), net = drawn_images(96), network()
    together = NoiseScaleTracker(net, batches=1, images=96, **ALL)
    together.step(x, y)
    tracker = NoiseScaleTracker(net, batches=3, **ALL)
    for i in range(3):
        tracker.step(x[32 * i : 32 * i + 32], y[32 * i : 32 * i + 32])
        with torch.no_grad():
            for w in net.parameters():
                w += 1
    assert tracker.history[0].norm_squared.value == pytest.approx(together.history[0].norm_squared.value, rel=1e-4)


# --- training goes on ---


class Busy(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = network(nn.BatchNorm1d(6), nn.Dropout(0.3))
        self.calls = 0

    def forward(self, x):
        self.calls += 1
        return self.inner(x * (1 + 0.01 * random.random())) * (1 + 0.01 * np.random.rand())  # noqa: NPY002


def trained(make, batch_of, tracker_of=None, loss=F.cross_entropy) -> tuple[dict, tuple]:
    """State after 20 steps, and of the random generators."""
    torch.manual_seed(1)
    random.seed(1)
    np.random.seed(1)  # noqa: NPY002
    net = make()
    tracker = tracker_of(net) if tracker_of else None
    optimizer = torch.optim.SGD(net.parameters(), 0.1, momentum=0.9)
    for i in range(20):
        batch = batch_of(i)
        if tracker:
            tracker.step(batch)
        output = net(**{k: v for k, v in batch.items() if k != "labels"}) if isinstance(batch, dict) else net(batch[0])
        z = output["logits"] if isinstance(output, dict) else output
        loss(z, batch["labels"] if isinstance(batch, dict) else batch[1]).backward()
        if tracker and i % 2:
            tracker.step(batch)  # between backward and the update
        optimizer.step()
        optimizer.zero_grad()
    state = {**net.state_dict(), "calls": torch.tensor(getattr(net, "calls", 0))}
    state |= {f"training of {name}": torch.tensor(module.training) for name, module in net.named_modules()}
    return state, (torch.get_rng_state(), random.random(), np.random.rand()), tracker  # noqa: NPY002


def pairs(i: int) -> tuple[torch.Tensor, torch.Tensor]:
    return drawn_images(B, seed=i)


@pytest.mark.parametrize("make", [network, Busy, Words], ids=["plain", "busy", "tokens"])
def test_training_is_what_it_was_bit_for_bit(make):
    batch_of = (lambda i: words(B, 5 + i % 3)) if make is Words else pairs
    without, states, _ = trained(make, batch_of)
    with_it, after, tracker = trained(make, batch_of, lambda net: NoiseScaleTracker(net, alpha=1.0, batches=2, **ALL))
    assert len(tracker.history) > 1
    assert with_it.keys() == without.keys()
    assert all(torch.equal(value, without[name]) for name, value in with_it.items())
    assert torch.equal(after[0], states[0])
    assert after[1:] == states[1:]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"loss": lambda z, y: 1 / 0}, "ZeroDivisionError"),
        ({"network": nn.Linear(7, 3)}, "take the batch and return its logits"),
        ({"network": nn.Sequential(nn.LazyLinear(3))}, "lazy ones: they get them in the first step"),
        ({"loss": lambda z, y: z.sum().detach()}, ""),
    ],
)
def test_what_fails_is_warned_of_once_and_training_goes_on(options, words):
    without, states, _ = trained(Busy, pairs)
    make = lambda net: NoiseScaleTracker(**{"network": net, **options, **ALL})  # noqa: E731
    with pytest.warns(UserWarning, match=f"the noise scale is not measured: .*{words}") as caught:
        with_it, after, tracker = trained(Busy, pairs, make)
    assert len(caught) == 1
    assert words in tracker.reason
    assert tracker.history == []
    assert words in repr(tracker)
    assert all(torch.equal(value, without[name]) for name, value in with_it.items())
    assert torch.equal(after[0], states[0])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        NoiseScaleTracker(nn.Linear(7, 3), **ALL).step(*pairs(0))


@pytest.mark.parametrize(
    ("batch", "words"),
    [
        (({"input": torch.ones(5, 4)},), "a batch needs labels under one of labels, label, y"),
        ((torch.ones(5, 4),), "a batch needs to be .images, labels. or a mapping, got Tensor"),
        ((torch.ones(5, 4), torch.ones(4).long()), r"one label is needed for each image, got labels of shape \(4,\)"),
        (
            (torch.ones(5, 4), torch.ones(5, 2).long()),
            r"one class for each image, got labels torch.int64 of shape \(5, 2\)",
        ),
        ((torch.ones(2, 4), torch.ones(2).long()), ""),
    ],
)
def test_batches_that_cannot_be_measured_say_why(batch, words):
    tracker = NoiseScaleTracker(network(), batches=1, **ALL)
    if not words:  # too few so far
        tracker.step(*batch)
        assert tracker.reason == "1 kept so far, and a measurement needs more batches"
        return
    with pytest.warns(UserWarning, match=words):
        tracker.step(*batch)


def test_a_measurement_after_a_failure_takes_the_reason_away():
    net, (x, y) = network(), drawn_images(20)
    tracker = NoiseScaleTracker(net, batches=1, **ALL)
    with pytest.warns(UserWarning, match="not measured"):
        tracker.step(x[:, :3], y)
    assert tracker.reason
    tracker.step(x, y)
    assert (tracker.reason, len(tracker.history)) == (None, 1)


def test_classes_beyond_many_are_drawn():
    torch.manual_seed(0)
    x, y = torch.randn(60, 8), torch.arange(60) % 3
    first = Trained(nn.Linear(8, 300), seen(nn.Linear(8, 300), x, y), None, 1.0)
    found = first.moments([seen(nn.Linear(8, 300), x, y)], 60, seed=0)
    assert found.estimate.noisy_second_moment > 0
    assert first._batch(seen(nn.Linear(1, 1), x, y), torch.ones(60), 0).counts.shape == (60, 16)


def test_a_loop_that_ends_too_soon_for_batch_norm_says_so():
    tracker = NoiseScaleTracker(network(nn.BatchNorm1d(6)), batches=1, **ALL)
    for i in range(8):
        assert tracker.history == []
        assert i == 0 or f"{i} kept so far" in tracker.reason
        assert i == 0 or "change each other" in tracker.reason
        tracker.step(*pairs(i))
    assert (tracker.reason, tracker.history[0].noise_scale.n) == (None, 8)


def test_failures_keep_to_the_overhead_too():
    calls = []

    def loss(z, y):
        calls.append(1)
        raise ValueError("no loss")

    tracker = NoiseScaleTracker(network(), loss=loss, every=1, overhead=1e-9)
    with pytest.warns(UserWarning, match="no loss"):
        tracker.step(*pairs(0))
    for i in range(10):
        tracker.step(*pairs(i))
    assert len(calls) == 1
