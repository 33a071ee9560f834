"""Which networks are chains of dense layers with ReLU that start as PyTorch's do."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from effbatch.networks import zoo
from effbatch.networks.relu_chain import chain_depth

SHAPE = (1, 8, 8)
IMAGES = torch.randn(8, *SHAPE, generator=torch.Generator().manual_seed(0))


class Own(nn.Module):
    """Three layers whose activation stands in `forward`; with `skip`, the second adds what it was given."""

    def __init__(self, activation=F.relu, *, skip=False, centred=False) -> None:
        super().__init__()
        self.first, self.second, self.last = nn.Linear(64, 32), nn.Linear(32, 32), nn.Linear(32, 10)
        self.activation, self.skip, self.centred = activation, skip, centred

    def forward(self, x):
        x = x.flatten(1) - 0.5 * self.centred
        x = self.activation(self.first(x))
        x = self.activation(self.second(x) + self.skip * x)
        return self.last(x)


def stack(*between, scale=1.0, start=None) -> nn.Sequential:
    network = nn.Sequential(nn.Flatten(), nn.Linear(64, 32), *between, nn.Linear(32, 10))
    with torch.no_grad():
        network[-1].weight.mul_(scale)
        if start is not None:
            start(network[1].weight)
    return network


@pytest.mark.parametrize(("name", "depth"), [("perceptron", 1), ("mlp1", 2), ("mlp2", 3), ("mlp4", 5)])
@pytest.mark.parametrize("seed", range(3))
def test_built_in_networks_are_counted(name, depth, seed):
    assert chain_depth(zoo.build(name, SHAPE, 10, seed=seed), IMAGES) == depth


@pytest.mark.parametrize("seed", range(20))
def test_small_last_layers_scatter_and_are_still_those_of_pytorch(seed):
    torch.manual_seed(seed)
    assert chain_depth(nn.Sequential(nn.Flatten(), nn.Linear(64, 8), nn.ReLU(), nn.Linear(8, 2)), IMAGES) == 2


@pytest.mark.parametrize("relu", [F.relu, torch.relu, lambda x: x.clamp(min=0)])
def test_a_relu_inside_of_forward_counts(relu):
    assert chain_depth(Own(relu), IMAGES) == 3


def test_a_relu_in_place_counts_and_the_network_stays_as_it_was():
    network = stack(nn.ReLU(inplace=True)).eval()
    before, state = network(IMAGES), torch.random.get_rng_state()
    assert chain_depth(network, IMAGES) == 2
    assert not network.training
    assert torch.equal(network(IMAGES), before)
    assert torch.equal(torch.random.get_rng_state(), state)


def frozen() -> nn.Module:
    network = stack(nn.ReLU())
    network[1].weight.requires_grad_(False)
    return network


def trained() -> nn.Module:
    network = stack(nn.ReLU())
    optimizer = torch.optim.SGD(network.parameters(), lr=0.5)
    for _ in range(20):
        optimizer.zero_grad()
        F.cross_entropy(network(IMAGES), torch.arange(8)).backward()
        optimizer.step()
    return network


def tied() -> nn.Module:
    network = stack(nn.ReLU(), nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU())
    network[5].weight = network[3].weight
    return network


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda: Own(torch.tanh), id="tanh"),
        pytest.param(lambda: Own(F.leaky_relu), id="leaky"),
        pytest.param(lambda: Own(skip=True), id="skip"),
        pytest.param(lambda: Own(centred=True), id="centred"),
        pytest.param(lambda: stack(), id="linear"),
        pytest.param(lambda: stack(nn.GELU()), id="gelu"),
        pytest.param(lambda: stack(nn.LayerNorm(32), nn.ReLU()), id="layer-norm"),
        pytest.param(lambda: stack(nn.BatchNorm1d(32), nn.ReLU()), id="batch-norm"),
        pytest.param(lambda: stack(nn.ReLU(), nn.Dropout()).eval(), id="dropout-that-is-off"),
        pytest.param(lambda: nn.Sequential(stack(nn.ReLU()), nn.Softmax(1)), id="softmax"),
        pytest.param(lambda: zoo.build("conv2", SHAPE, 10, seed=0), id="convolution"),
        pytest.param(lambda: stack(nn.ReLU(), scale=0.0), id="last-layer-at-zero"),
        pytest.param(lambda: stack(nn.ReLU(), scale=0.8), id="smaller"),
        pytest.param(lambda: stack(nn.ReLU(), start=nn.init.kaiming_uniform_), id="he"),
        pytest.param(lambda: stack(nn.ReLU(), start=nn.init.xavier_uniform_), id="xavier"),
        pytest.param(lambda: stack(nn.ReLU(), start=nn.init.orthogonal_), id="orthogonal"),
        pytest.param(frozen, id="frozen"),
        pytest.param(trained, id="trained"),
        pytest.param(tied, id="tied"),
    ],
)
def test_other_networks_and_starts_are_none(make):
    torch.manual_seed(0)
    assert chain_depth(make(), IMAGES) is None
