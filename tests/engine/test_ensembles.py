"""Networks of the user's own: each finds its way of training, and gives what the plain loop gives."""

from __future__ import annotations

import random
import sys
import time
from dataclasses import replace
from functools import partial, partialmethod
from threading import Event, Thread

import numpy as np
import pytest
import torch
from slow_twin import assert_cells_match, train_cell
from synthetic import unit
from torch import nn

from effbatch.core.errors import InputError
from effbatch.engine import ensembles
from effbatch.engine.dense import DenseNetwork
from effbatch.engine.ensembles import TOGETHER, SequentialMembers, VectorisedNetwork, ensemble
from effbatch.engine.stacking import StackedNetwork
from effbatch.engine.train import train_unit
from effbatch.networks import zoo
from effbatch.networks.loading import load_network
from effbatch.networks.untouched import draw_from, random_states
from effbatch.networks.zoo import drawn

CPU = torch.device("cpu")
six_steps = partial(unit, steps=6, checkpoints=(6,))
OWN = """
import random

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

def layers():
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(inplace=False), nn.Flatten(), nn.Linear(144, 3))

class Scaled(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner, self.scale = nn.Linear(64, 3), nn.Parameter(torch.ones(3))
    def forward(self, x):
        return self.inner(x.flatten(1)).tanh() * self.scale

class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.once, self.last = nn.Linear(64, 64), nn.Linear(64, 3)
    def forward(self, x):
        return self.last(self.once(self.once(x.flatten(1)).tanh()).tanh())

class Frozen(nn.Module):
    def __init__(self):
        super().__init__()
        self.fixed, self.last = nn.Linear(64, 32).requires_grad_(False), nn.Linear(32, 3)
    def forward(self, x):
        return self.last(self.fixed(x.flatten(1)).relu())

def dense():
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 5), nn.Tanh(), nn.Linear(5, 3))

def last_axis():  # no Flatten in front: Linear acts on the width of the image
    return nn.Sequential(nn.Linear(8, 2), nn.Flatten(), nn.Linear(16, 3))

def repeated():
    layer = nn.Linear(64, 64)
    return nn.Sequential(nn.Flatten(), layer, nn.ReLU(), layer, nn.Linear(64, 3))

def batch_norm():
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(144, 3))

def dropout():
    return nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(64, 3))

class Pair(nn.Module):
    def __init__(self):
        super().__init__()
        self.last, self.other = nn.Linear(64, 3), nn.Linear(64, 7)
    def forward(self, x):
        x = x.flatten(1)
        return self.last(x), self.other(x)

class Recurrent(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer, self.last = nn.GRU(8, 5, batch_first=True), nn.Linear(5, 3)
    def forward(self, x):
        return {"logits": self.last(self.layer(x[:, 0])[0][:, -1])}

def attention():
    return Attention(nn.TransformerEncoderLayer(8, 2, 8, dropout=0.0, batch_first=True))

class Attention(nn.Module):
    def __init__(self, layer):
        super().__init__()
        self.layer, self.last = layer, nn.Linear(8, 3)
    def forward(self, x):
        return self.last(self.layer(x[:, 0]).mean(1))

class DropPath(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.last = nn.Linear(64, 64), nn.Linear(64, 3)
    def forward(self, x):
        x = x.flatten(1)
        kept = (torch.rand(len(x), 1) < 0.5) / 0.5 if self.training else 1.0
        return self.last(x + kept * self.first(x))

class FunctionalDropout(nn.Module):
    def __init__(self):
        super().__init__()
        self.last = nn.Linear(64, 3)
    def forward(self, x):
        return self.last(F.dropout(x.flatten(1), 0.5, training=self.training))

class Drawn(nn.Module):
    def __init__(self):
        super().__init__()
        self.last = nn.Linear(64, 3)
    def forward(self, x):
        return self.last(x.flatten(1)) * ((random.random() if self.training else 0.5) + 0.5)

def hooked():
    net = dense()
    net[2].register_forward_hook(lambda tanh, _, h: h + (np.random.rand() if tanh.training else 0))
    return net

class OneLogit(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.last = nn.Linear(64, 5), nn.Linear(5, 1)
    def forward(self, x):
        return self.last(self.first(x).sin()).squeeze(1)

def too_many():
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 4))

def other_images():
    return nn.Sequential(nn.Flatten(), nn.Linear(63, 3))
"""
WAYS = {
    "dense": DenseNetwork,
    "layers": StackedNetwork,
    "Scaled": VectorisedNetwork,
    "Tied": VectorisedNetwork,
    "Frozen": SequentialMembers,
    "last_axis": VectorisedNetwork,
    "repeated": VectorisedNetwork,
    "batch_norm": SequentialMembers,
    "dropout": SequentialMembers,
    "Pair": VectorisedNetwork,
    "Recurrent": SequentialMembers,
    "attention": SequentialMembers,
    "DropPath": SequentialMembers,
    "FunctionalDropout": SequentialMembers,
    "Drawn": SequentialMembers,
    "hooked": SequentialMembers,
}
RANDOM = ("dropout", "DropPath", "FunctionalDropout", "Drawn", "hooked")


@pytest.fixture
def own(tmp_path, monkeypatch) -> str:
    (tmp_path / "networks_of_a_user.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path)
    yield "networks_of_a_user"
    sys.modules.pop("networks_of_a_user", None)


@pytest.mark.parametrize("name", WAYS)
def test_a_network_finds_its_way(name, own, little_images):
    net = load_network(f"{own}:{name}", little_images.image_shape, 3, seed=0)
    images = torch.as_tensor(little_images.x_test[:4])
    found = ensemble([net], 2, CPU, seeds=[0], images=images, num_classes=3)
    assert type(found) is WAYS[name]


def test_a_network_is_tried_while_no_part_draws_its_numbers(little_images):
    """Parts train in threads of one process; networks that draw had other numbers where one was tried meanwhile."""
    drew = Event()

    class Noise(nn.Module):
        def __init__(self):
            super().__init__()
            self.last = nn.Linear(64, 3)

        def forward(self, x):
            noise = torch.rand(3)
            drew.set()
            time.sleep(0.1)
            return self.last(x.flatten(1)) + noise

    images = torch.as_tensor(little_images.x_test[:4])
    other = Thread(target=partial(ensemble, [Noise()], 2, CPU, seeds=[0], images=images, num_classes=3))
    with random_states:
        draw_from(1)
        other.start()
        drew.wait(0.3)  # not set where the other thread waits, as it should
        drawn = torch.rand(3)
    other.join()
    draw_from(1)
    assert torch.equal(torch.rand(3), drawn)


@pytest.mark.parametrize("name", WAYS)
def test_a_network_finds_the_same_way_while_another_thread_draws_numbers(name, own, little_images, monkeypatch):
    """As Dask's does in its workers. A unit that took another way had other last digits."""
    drew = set()

    def call(self, *arguments, way, **options):
        if way not in drew:
            drew.add(way)
            for draw in (random.random, np.random.rand):
                thread = Thread(target=draw)
                thread.start()
                thread.join()
        return way.__call__(self, *arguments, **options)

    for way in (DenseNetwork, StackedNetwork, VectorisedNetwork):
        drawing = type(way.__name__, (way,), {"__call__": partialmethod(call, way=way)})
        monkeypatch.setattr(ensembles, way.__name__, drawing)
    net = load_network(f"{own}:{name}", little_images.image_shape, 3, seed=0)
    images = torch.as_tensor(little_images.x_test[:4])
    found = ensemble([net], 2, CPU, seeds=[0], images=images, num_classes=3)
    assert isinstance(found, WAYS[name])
    assert drew or WAYS[name] is SequentialMembers


@pytest.mark.parametrize("name", zoo.NETWORKS)
def test_built_in_networks_train_side_by_side_but_for_batch_norm(name, little_images):
    net = zoo.build(name, little_images.image_shape, 3, seed=0)
    images = torch.as_tensor(little_images.x_test[:4])
    ways = {"resnet8bn": SequentialMembers, "mlp2ln": StackedNetwork}
    way = ways.get(name, DenseNetwork if name.startswith(("perceptron", "mlp")) else StackedNetwork)
    assert type(ensemble([net], 2, CPU, seeds=[0], images=images, num_classes=3)) is way


@pytest.mark.parametrize("name", WAYS)
def test_one_member_alone_is_trained_as_it_is(name, own, little_images):
    net = load_network(f"{own}:{name}", little_images.image_shape, 3, seed=0)
    images = torch.as_tensor(little_images.x_test[:4])
    alone = ensemble([net], 1, CPU, seeds=[0], images=images, num_classes=3)
    if WAYS[name] is DenseNetwork:
        assert type(alone) is DenseNetwork, "which is the fastest, for one member too"
    else:
        assert type(alone) is SequentialMembers
        assert (alone.seeds is None) == (WAYS[name] is not SequentialMembers), "random layers alone need the seed"
    torch.testing.assert_close(alone(images.unsqueeze(1), training=False)[0, 0].T, net.eval()(images))


@pytest.mark.parametrize("name", WAYS)
def test_members_too_large_for_the_caches_take_turns(name, own, little_images):
    net = load_network(f"{own}:{name}", little_images.image_shape, 3, seed=0)
    images = torch.as_tensor(little_images.x_test[:4])
    for precision, most in TOGETHER.items():
        options = {"seeds": [0], "images": images, "num_classes": 3, "precision": precision}
        few, many = (ensemble([net], 2, CPU, outputs=outputs, **options) for outputs in (most, most + 1))
        few, many = (getattr(one, "within", one) for one in (few, many))
        if precision == "float32":
            assert type(few) is WAYS[name]
        assert type(many) is (DenseNetwork if type(few) is DenseNetwork else SequentialMembers)


@pytest.mark.parametrize("name", sorted(WAYS.keys() - set(RANDOM)))
def test_in_bfloat16_weights_gradients_and_logits_stay_in_single_precision(name, own, little_images):
    """Products have 8 bits: logits and gradients are those of float32 to a few percent, and not to seven digits."""
    nets = [load_network(f"{own}:{name}", little_images.image_shape, 3, seed=0)]
    images = torch.as_tensor(little_images.x_test[:32]).unsqueeze(1)
    slope, found = torch.randn(1, 2, 3, len(images), generator=torch.Generator().manual_seed(2)), []
    for precision in ("float32", "bfloat16"):
        made = ensemble(nets, 2, CPU, seeds=[0], images=images[:4, 0], num_classes=3, precision=precision)
        logits = made(images)
        found.append([logits.detach().clone(), *(g.clone() for g in made.gradients(logits, slope))])
        assert {w.dtype for w in made.parameters} == {torch.float32}
    assert {values.dtype for values in found[1]} == {torch.float32}
    for of in (slice(1), slice(1, None)):  # logits, and gradients of all weights together: some are mere rounding
        exact, rough = (torch.cat([values.flatten() for values in one[of]]) for one in found)
        assert 1e-5 < float((exact - rough).norm() / exact.norm()) < 0.05


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_one_member_alone_matches_the_plain_loop(momentum, own, little_images):
    for name in ("mlp1", "conv4", f"{own}:Tied"):
        cell = six_steps(name, alphas=(2.5,), learning_rates=(0.3,), seeds=(3,))
        cell = replace(cell, train=replace(cell.train, momentum=momentum))
        trained = train_unit(cell, little_images, device=CPU)
        assert trained["test_loss"].item() == pytest.approx(train_cell(cell, little_images, 2.5, 0.3, 3)[1], rel=1e-5)


@pytest.mark.parametrize("networks", [1, 2])
@pytest.mark.parametrize("way", [StackedNetwork, VectorisedNetwork, SequentialMembers])
def test_every_way_starts_from_the_network_itself_and_has_its_gradients(way, networks, own):
    __import__(own)
    nets = [sys.modules[own].layers() for _ in range(networks)]
    together = way(nets, 2, CPU)
    images, slope = torch.randn(5, 1, 1, 8, 8), torch.randn(networks, 2, 3, 5)
    gradients = together.gradients(together(images), slope)
    for s, net in enumerate(nets):
        for m in range(2):
            expected = torch.autograd.grad(net(images[:, 0]), list(net.parameters()), slope[s, m].T)
            for stacked, weight, g, e in zip(together.parameters, net.parameters(), gradients, expected, strict=True):
                assert torch.equal(stacked[s, m], weight), "bit for bit"
                torch.testing.assert_close(g[s, m], e, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", WAYS)
def test_a_member_alone_has_the_logits_of_the_ensemble(name, own, little_images):
    images = torch.as_tensor(little_images.x_test[:4])
    nets = [load_network(f"{own}:{name}", little_images.image_shape, 3, seed=seed) for seed in range(2)]
    together = ensemble(nets, 3, CPU, seeds=[0, 1], images=images, num_classes=3)
    with torch.no_grad():
        for w in together.parameters:
            w += 0.3 * torch.randn(w.shape)
        logits = together(images.unsqueeze(1).expand(-1, 2, -1, -1, -1), training=False)
        for s, m in np.ndindex(2, 3):
            torch.testing.assert_close(together.member(s, m).eval()(images), logits[s, m].T, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", [name for name in WAYS if name not in RANDOM])
def test_every_cell_matches_the_plain_loop(name, own, little_images):
    block = six_steps(f"{own}:{name}")
    assert_cells_match(block, little_images, train_unit(block, little_images, device=CPU))


@pytest.mark.parametrize("name", RANDOM)
def test_random_layers_draw_from_the_seed_alone(name, own, little_images):
    name = f"{own}:{name}"
    whole = train_unit(six_steps(name), little_images, device=CPU)
    again = train_unit(six_steps(name), little_images, device=CPU)
    np.testing.assert_array_equal(whole["train_loss_history"], again["train_loss_history"])
    alone = train_unit(six_steps(name, alphas=(2.5,), seeds=(3,)), little_images, device=CPU)
    np.testing.assert_allclose(alone["train_loss_history"][0, :, 0], whole["train_loss_history"][1, :, 1], rtol=1e-5)


def test_dropout_is_on_in_training_and_off_in_evaluation():
    net = nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(64, 3))
    together = SequentialMembers([net], 2, CPU, [0])
    images = torch.randn(5, 1, 1, 8, 8)
    state = torch.random.get_rng_state()
    first, second = together(images), together(images)
    assert (first[0, 0] == first[0, 1]).all(), "members of a seed draw alike"
    assert (first != second).any()
    torch.testing.assert_close(together(images, training=False)[0, 0].T, net.eval()(images[:, 0]))
    assert (torch.random.get_rng_state() == state).all(), "the caller's random numbers are left alone"


@pytest.mark.parametrize(
    ("name", "message"), [("too_many", "3 logits per example, got shape"), ("other_images", "take examples of shape")]
)
def test_a_network_that_does_not_fit_the_data_is_said_so(name, message, own, little_images):
    with pytest.raises(InputError, match=message):
        train_unit(six_steps(f"{own}:{name}"), little_images, device=CPU)


def test_one_logit_for_two_classes_of_features_trains(own, little_images):
    def of_two(x, y):
        return x.reshape(len(x), -1)[y < 2], y[y < 2]

    x_train, y_train = of_two(little_images.x_train, little_images.y_train)
    x_test, y_test = of_two(little_images.x_test, little_images.y_test)
    data = replace(little_images, x_train=x_train, y_train=y_train, x_test=x_test, y_test=y_test, num_classes=2)
    block = six_steps(f"{own}:OneLogit")
    block = replace(block, data=replace(block.data, clean_examples=None))
    assert_cells_match(block, data, train_unit(block, data, device=CPU))


def test_networks_that_are_given_are_dressed_too(own, little_images):
    __import__(own)
    block = six_steps(f"{own}:Pair", seeds=(3,))
    given = {3: drawn(sys.modules[own].Pair, seed=3)}
    by_name, as_given = (train_unit(block, little_images, device=CPU, networks=n) for n in (None, given))
    np.testing.assert_array_equal(by_name["test_loss"], as_given["test_loss"])
