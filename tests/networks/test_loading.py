"""Networks and checkpoints that a user names: what is accepted, and one sentence for what is not."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from effbatch.core.errors import InputError
from effbatch.networks.checkpoint import load_checkpoint
from effbatch.networks.loading import load_network

SHAPE = (1, 4, 4)
MODULE = """
import torch
from torch import nn

def make():
    return nn.Sequential(nn.Flatten(), nn.Linear(16, 3))

def seven():
    return 7

class Pair(nn.Module):
    def __init__(self):
        super().__init__()
        self.last = nn.LazyLinear(3)
    def forward(self, x):
        return self.last(x.flatten(1)), x

def needs_more(size):
    return nn.Linear(size, size)

def fails():
    raise ValueError("no weights\\nat all")
"""


@pytest.fixture
def my_networks(tmp_path, monkeypatch) -> str:
    """Name of a module in the working directory."""
    (tmp_path / "my_networks.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", [path for path in __import__("sys").path if path])
    monkeypatch.delitem(__import__("sys").modules, "my_networks", raising=False)
    return "my_networks"


def test_built_in_names():
    network = load_network("mlp1", SHAPE, 3, seed=4)
    assert network(torch.zeros(2, *SHAPE)).shape == (2, 3)


@pytest.mark.parametrize("factor", [0.0, 3.0])
@pytest.mark.parametrize("name", ["mlp2", "resnet8gn", "own"])
def test_the_last_layer_alone_starts_larger(name, factor, my_networks):
    name = f"{my_networks}:make" if name == "own" else name
    plain, scaled = (load_network(name, SHAPE, 3, seed=4, last_layer=f).state_dict() for f in (1.0, factor))
    *others, weight, bias = plain
    assert all(torch.equal(scaled[key], plain[key]) for key in others)
    assert all(torch.equal(scaled[key], factor * plain[key]) for key in (weight, bias))


def test_a_function_of_the_working_directory_gives_a_network_drawn_by_the_seed(my_networks):
    state = torch.random.get_rng_state()
    weights = [load_network(f"{my_networks}:make", SHAPE, 3, seed=seed)[1].weight for seed in (0, 0, 1)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])
    assert torch.equal(torch.random.get_rng_state(), state)


def test_a_file_is_a_module_too(my_networks, tmp_path):
    by_name = load_network(f"{my_networks}:make", SHAPE, 3, seed=0)
    (tmp_path / "deeper").mkdir()
    (tmp_path / "deeper" / "my_networks.py").write_text(MODULE.replace("nn.Flatten(),", "nn.Flatten(), nn.Tanh(),"))
    for path in ("my_networks.py", f"{tmp_path}/my_networks.py", "./my_networks.py"):
        network = load_network(f"{path}:make", SHAPE, 3, seed=0)
        assert torch.equal(network[1].weight, by_name[1].weight)
    assert isinstance(load_network("deeper/my_networks.py:make", SHAPE, 3, seed=0)[1], nn.Tanh), "not the other one"


def test_a_network_that_returns_more_than_logits_gives_logits_and_takes_checkpoints(my_networks, tmp_path):
    first, second = (load_network(f"{my_networks}:Pair", SHAPE, 3, seed=seed) for seed in (0, 1))
    images = torch.randn(2, *SHAPE)
    assert first(images).shape == (2, 3)
    torch.save({f"last.{name}": w for name, w in first.undressed.last.state_dict().items()}, tmp_path / "weights.pt")
    load_checkpoint(second, tmp_path / "weights.pt")
    torch.testing.assert_close(first(images), second(images))


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("mlp3", "network 'mlp3' is not known; did you mean"),
        ("no_such_module:make", "raised ModuleNotFoundError: No module named 'no_such_module'"),
        ("my_networks:nothing", "needs a function of my_networks, got 'nothing': known: .*needs_more"),
        ("my_networks:fail", "needs a function of my_networks, got 'fail': did you mean 'fails'"),
        ("my_networks:needs_more", "function without arguments .* raised TypeError"),
        ("my_networks:fails", "raised ValueError: no weights"),
        ("my_networks:seven", "needs to return an nn.Module, got int"),
        (":make", "raised ValueError"),
        ("no_such.py:make", "raised FileNotFoundError: .*no_such.py"),
        ("my_networks.py", "got 'my_networks.py': write my_networks.py:make_net, with the name of the function"),
        ("my_networks.make", "got 'my_networks.make': write my_networks:make, with the name of the function"),
    ],
)
def test_networks_that_cannot_be_made(my_networks, name, words):
    with pytest.raises(InputError, match=words) as error:
        load_network(name, SHAPE, 3, seed=0)
    assert "\n" not in str(error.value)


def test_a_checkpoint_comes_back(tmp_path):
    saved, other = (load_network("mlp1", SHAPE, 3, seed=seed) for seed in (0, 1))
    torch.save(saved.state_dict(), tmp_path / "weights.pt")
    load_checkpoint(other, tmp_path / "weights.pt")
    assert all(torch.equal(a, b) for a, b in zip(saved.parameters(), other.parameters(), strict=True))


class Bomb:
    """Runs code when it is unpickled."""

    def __reduce__(self):
        return (pytest.fail, ("the checkpoint ran code",))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (lambda net: net, "not a file of weights alone"),
        (lambda net: Bomb(), "not a file of weights alone"),
        (lambda net: b"nonsense", "not a file of weights alone"),
        (lambda net: {"epoch": 3}, "needs to be a dictionary of tensors by parameter name"),
        (
            lambda net: {**net.state_dict(), "9.bias": torch.ones(1)},
            r'another network: Unexpected key\(s\) in state_dict: "9.bias": give the network',
        ),
        (
            lambda net: {"1.bias": torch.ones(64)},
            r'another network: Missing key\(s\) in state_dict: "1.weight", "3.weight"',
        ),
        (
            lambda net: {**net.state_dict(), "1.bias": torch.ones(3)},
            r"size mismatch for 1.bias: .* torch.Size\(\[3\]\) from checkpoint, .* torch.Size\(\[64\]\)",
        ),
    ],
    ids=["module", "code", "nonsense", "no-tensors", "one-too-many", "missing", "shape"],
)
def test_checkpoints_that_do_not_fit(tmp_path, content, words):
    network = load_network("mlp1", SHAPE, 3, seed=0)
    made, path = content(network), tmp_path / "weights.pt"
    if isinstance(made, bytes):
        path.write_bytes(made)
    else:
        torch.save(made, path)
    with pytest.raises(InputError, match=words) as error:
        load_checkpoint(network, path)
    assert "\n" not in str(error.value)


def test_a_checkpoint_that_is_not_there(tmp_path):
    for path in (tmp_path / "none.pt", tmp_path):
        with pytest.raises(InputError, match=r"the checkpoint .* cannot be read"):
            load_checkpoint(nn.Linear(1, 1), path)
