"""Networks, checkpoints and data sets that a user names: what is accepted, and one sentence for what is not."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from effbatch.errors import InputError
from effbatch.training import datasets
from effbatch.training.loading import load_checkpoint, load_data, load_network

SHAPE = (1, 4, 4)
MODULE = """
import torch
from torch import nn

def make():
    return nn.Sequential(nn.Flatten(), nn.Linear(16, 3))

def seven():
    return 7

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


def arrays(**change: object) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    every = {
        "x_train": rng.standard_normal((6, *SHAPE)),
        "y_train": np.arange(6, dtype=np.int32) % 3,
        "x_test": rng.standard_normal((3, *SHAPE)),
        "y_test": np.arange(3, dtype=np.uint8),
        **change,
    }
    return {name: np.asarray(value) for name, value in every.items() if value is not None}


def test_built_in_names():
    network = load_network("mlp1", SHAPE, 3, seed=4)
    assert network(torch.zeros(2, *SHAPE)).shape == (2, 3)
    assert load_data("digits") is datasets.load("digits")


def test_a_function_of_the_working_directory_gives_a_network_drawn_by_the_seed(my_networks):
    state = torch.random.get_rng_state()
    weights = [load_network(f"{my_networks}:make", SHAPE, 3, seed=seed)[1].weight for seed in (0, 0, 1)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])
    assert torch.equal(torch.random.get_rng_state(), state)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("mlp3", "network 'mlp3' is not known; did you mean"),
        ("no_such_module:make", "raised ModuleNotFoundError: No module named 'no_such_module'"),
        ("my_networks:nothing", "raised AttributeError: .*nothing"),
        ("my_networks:needs_more", "function without arguments .* raised TypeError"),
        ("my_networks:fails", "raised ValueError: no weights"),
        ("my_networks:seven", "needs to return an nn.Module; int came"),
        (":make", "raised ValueError"),
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
        (lambda net: {**net.state_dict(), "9.bias": torch.ones(1)}, "another network: '9.bias' is not in the network$"),
        (lambda net: {"1.bias": torch.ones(64)}, "'1.weight' is missing, and 2 more differences"),
        (lambda net: {**net.state_dict(), "1.bias": torch.ones(3)}, r"'1.bias' has shape \(3,\) instead of \(64,\)"),
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


@pytest.mark.parametrize(("given", "classes"), [(None, 3), (5, 5)])
def test_an_npz_file_is_used_as_it_is(tmp_path, given, classes):
    path = str(tmp_path / "my.npz")
    np.savez(path, **arrays(num_classes=given))
    data, made = load_data(path), arrays()
    np.testing.assert_array_equal(data.x_train, made["x_train"].astype(np.float32))
    np.testing.assert_array_equal(data.y_test, made["y_test"])
    assert (data.num_classes, data.image_shape, data.name) == (classes, SHAPE, "my.npz")
    assert data.x_test.dtype == np.float32
    assert data.y_train.dtype == np.int64


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            {"x_test": None, "y_test": None},
            "needs the arrays x_train, .*; x_test, y_test missing, it has x_train, y_train",
        ),
        ({"x_train": np.full((6, *SHAPE), np.nan)}, "training images of my.npz hold NaN"),
        ({"x_test": np.zeros((3, *SHAPE), np.uint8)}, "x_test of .* must be floating, .*; uint8 came"),
        ({"x_train": np.zeros((6, 16))}, r"needs images \(n, C, H, W\) and n labels; \(6, 16\)"),
        ({"y_train": np.arange(5) % 3}, r"n labels; \(6, 1, 4, 4\) and \(5,\) came"),
        ({"y_test": np.arange(3) - 1}, r"must lie in 0..2; -1..1 came"),
        ({"num_classes": 2}, r"must lie in 0..1; 0..2 came"),
        ({"num_classes": 2.5}, "num_classes of .* must be one whole number; float64"),
        ({"y_train": np.zeros(6, int), "y_test": np.zeros(3, int)}, "at least 2 classes; 1 came"),
        ({"y_train": np.linspace(0, 2, 6)}, r"y_train of .* must be whole numbers, one per image; float64 \(6,\) came"),
        ({"y_train": np.array([None] * 6)}, "not an .npz file of plain arrays: ValueError: Object arrays"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_npz_files_that_cannot_be_used(tmp_path, change, words):
    path = str(tmp_path / "my.npz")
    np.savez(path, **arrays(**change))
    with pytest.raises(InputError, match=words) as error:
        load_data(path)
    assert "\n" not in str(error.value)


def test_what_is_no_npz_file(tmp_path):
    path = tmp_path / "my.npz"
    with pytest.raises(InputError, match="cannot be read: No such file"):
        load_data(str(path))
    for content in (b"nonsense", b"", b"PK\x03\x04broken"):
        path.write_bytes(content)
        with pytest.raises(InputError, match=r"not an \.npz file of plain arrays"):
            load_data(str(path))
    with path.open("wb") as file:
        np.save(file, np.zeros(3))
    with pytest.raises(InputError, match=r"not an \.npz file of plain arrays"):
        load_data(str(path))
    with pytest.raises(InputError, match="data set 'digit' is not known; did you mean 'digits'"):
        load_data("digit")
