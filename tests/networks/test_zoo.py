"""Built-in networks: what they take, how large they are, and that training them side by side changes nothing."""

from __future__ import annotations

import hashlib
import time
from threading import Event, Thread

import pytest
import torch
from torch import nn

from effbatch.engine.stacking import StackedNetwork
from effbatch.networks import zoo
from effbatch.networks.untouched import draw_from, process_untouched

CPU = torch.device("cpu")
ONE_BY_ONE = ("resnet8bn",)  # BatchNorm has buffers
SHAPES = [(1, 8, 8), (1, 14, 14), (3, 32, 32), (1, 5, 3)]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("name", zoo.NETWORKS)
def test_every_network_takes_every_image_and_stacks_but_for_batch_norm(name, shape):
    nets = [zoo.build(name, shape, 7, seed=seed) for seed in (0, 1)]
    images = torch.randn(3, *shape, generator=torch.Generator().manual_seed(0))
    assert nets[0](images).shape == (3, 7)
    if name in ONE_BY_ONE:
        with pytest.raises(KeyError, match="BatchNorm2d"):
            StackedNetwork(nets, 2, CPU)(images.unsqueeze(1))
        return
    with torch.no_grad():
        stacked = StackedNetwork(nets, 2, CPU)(images.unsqueeze(1))  # shared by all
        for seed, net in enumerate(nets):
            logits = net(images)
            assert logits.shape == (3, 7)
            for member in range(2):
                torch.testing.assert_close(stacked[seed, member].T, logits, rtol=1e-4, atol=1e-5)


def weighted_layers(name: str) -> int:
    """Convolutions and linear layers on the way from image to logits, shortcuts not counted."""
    layers = zoo.build(name, (1, 28, 28), 10, seed=0).modules()
    return sum(isinstance(m, nn.Linear) or (isinstance(m, nn.Conv2d) and m.kernel_size == (3, 3)) for m in layers)


@pytest.mark.parametrize(
    ("name", "layers"),
    [
        *[("perceptron", 1), ("mlp1", 2), ("mlp2ln", 3), ("mlp4", 5), ("conv2", 3), ("conv4", 5), ("conv6", 7)],
        *[("resnet8bn", 8), ("resnet8gn", 8), ("resnet18", 18)],
    ],
)
def test_a_network_is_as_deep_as_its_name_says(name, layers):
    assert weighted_layers(name) == layers


def test_the_images_of_a_batch_stay_independent():
    net = zoo.build("resnet18", (1, 8, 8), 10, seed=0)
    images = torch.randn(4, 1, 8, 8)
    torch.testing.assert_close(net(images)[:1], net(images[:1]), rtol=1e-4, atol=1e-5)


FIRST_WEIGHTS = {  # SHA-256 of names, shapes and values, as version 0.1 drew them
    "perceptron": "94e18c0f5b6950f1",
    "mlp1": "7ae2098ba72ba9c9",
    "mlp2": "c16cf10877f38824",
    "mlp4": "8d06a2a48e98aad6",
    "conv2": "27b064a7df66a041",
    "conv4": "a5846f1c010a4579",
    "conv6": "38fb9213570ff1ac",
    "resnet18": "89e62bea2181f326",
}


@pytest.mark.parametrize("name", FIRST_WEIGHTS)
def test_a_seed_draws_the_weights_that_it_always_drew(name):
    digest = hashlib.sha256()
    for parameter, weight in zoo.build(name, (3, 5, 7), 4, seed=3).state_dict().items():
        digest.update(f"{parameter}{tuple(weight.shape)}".encode() + weight.numpy().tobytes())
    assert digest.hexdigest()[:16] == FIRST_WEIGHTS[name]


def test_a_file_with_networks_is_all_that_a_new_one_needs(tmp_path, monkeypatch):
    (tmp_path / "widest.py").write_text(
        "from torch import nn\n"
        "def wide(shape, classes): return nn.Sequential(nn.Flatten(), nn.Linear(shape[1] * shape[2], classes))\n"
        "NETWORKS = (wide,)\n"
    )
    monkeypatch.setattr(zoo.builtin, "__path__", [*zoo.builtin.__path__, str(tmp_path)])
    found = zoo._discover()
    assert found.keys() == {*zoo.NETWORKS, "wide"}
    assert found["wide"]((1, 4, 4), 3)(torch.zeros(2, 1, 4, 4)).shape == (2, 3)


def build(there: Event, now: Event, done: Event) -> None:
    there.set()
    now.wait()
    zoo.drawn(lambda: done.set() or time.sleep(0.1), seed=1)


def leave(there: Event, now: Event, done: Event) -> None:
    with process_untouched():
        there.set()
        now.wait()
    done.set()


def seed(there: Event, now: Event, done: Event) -> None:
    there.set()
    now.wait()
    draw_from(1)
    done.set()


@pytest.mark.parametrize("meanwhile", [build, leave, seed])
def test_weights_are_those_of_the_seed_whatever_another_thread_does_meanwhile(meanwhile):
    """Units may train in several threads of one process, which share PyTorch's random numbers."""
    events = there, now, done = Event(), Event(), Event()

    def make() -> nn.Module:
        first = nn.Linear(3, 3)
        now.set()
        done.wait(0.3)  # not set where the other thread waits, as it should
        return nn.Sequential(first, nn.Linear(3, 3))

    torch.manual_seed(7)
    other = Thread(target=meanwhile, args=events)
    other.start()
    there.wait()
    weights = list(zoo.drawn(make, seed=0).parameters())
    other.join()
    alone = zoo.drawn(lambda: nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3)), seed=0)
    assert all(map(torch.equal, weights, alone.parameters()))
