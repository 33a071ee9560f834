"""Images, labels and networks that cannot be used are refused in one sentence; every number of an answer is finite."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from bad_input import answered, refused, run
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from effbatch.core.errors import InputError
from effbatch.data.datasets import as_dataset

RNG = np.random.default_rng(3)
X = RNG.normal(size=(40, 1, 6, 6)).astype(np.float32)
Y = np.arange(40) % 3
GOOD = {"x_train": X, "y_train": Y, "x_test": X[:20], "y_test": Y[:20]}


def changed(array: np.ndarray, value: float) -> np.ndarray:
    array = array.copy()
    array.flat[0] = value
    return array


BAD_DATA = {
    "NaN": ({"x_train": changed(X, np.nan)}, "training examples of bad.npz hold NaN or infinite numbers"),
    "infinite": ({"x_test": changed(X[:20], np.inf)}, "test examples of bad.npz hold NaN or infinite numbers"),
    "beyond float32": ({"x_train": X.astype(float) * 1e300}, "hold NaN or infinite numbers"),
    "huge": ({"x_train": X * np.float32(1e30)}, "numbers of bad.npz must lie within ±1,000,000"),
    "constant": ({"x_train": np.ones_like(X)}, "training examples of bad.npz are constant"),
    "no pixels": (
        {"x_train": X[:, :, :0], "x_test": X[:20, :, :0]},
        "need at least one number, got shape (40, 1, 0, 6)",
    ),
    "bytes in one half": ({"x_train": X.astype(np.uint8)}, "need one type in both halves, got uint8 and float32"),
    "features in one half": (
        {"x_train": X.reshape(40, -1)},
        "x_test of bad.npz needs 2 dimensions like x_train, got 4",
    ),
    "five dimensions": ({"x_train": X[None], "x_test": X[None]}, "needs features (n, d) or images (n, H, W)"),
    "other size": ({"x_test": X[:20, :, :5]}, "need one shape, got (1, 6, 6) and (1, 5, 6)"),
    "varying shapes": ({"x_train": np.array([X[0], X[0, 0]], dtype=object)}, "objects would have to be unpickled"),
    "no test set": (
        {"x_test": X[:0], "y_test": Y[:0]},
        "y_test of bad.npz needs at least one label, got none",
    ),
    "fewer labels": ({"y_train": Y[:9]}, "got 40 examples and 9 labels"),
    "negative label": (
        {"y_train": Y - 1},
        "labels of bad.npz hold -1 beside 0 to 2, which may be a class or mark a missing label",
    ),
    "num_classes 10^12": ({"num_classes": np.array(10**12)}, "needs from 2 to 1,000,000 classes, got 1000000000000"),
    "label 2^63": (
        {"y_train": changed(Y.astype(np.uint64), 2**63)},
        "needs labels below 2^63, got 9223372036854775808",
    ),
    "fractions as labels": (
        {"y_train": Y + 0.5},
        "y_train of bad.npz needs whole numbers or words, got fractions or NaN",
    ),
    "words in one half": ({"y_train": Y.astype(str)}, "need one type in both halves, got <U21 and int64"),
    "one class": ({"y_train": Y * 0}, "needs training examples of at least 2 classes; all are of class 0"),
    "too few classes": ({"num_classes": np.array(2)}, "training labels of bad.npz must lie in 0..1, got 0..2"),
    "classes below 0": ({"num_classes": np.array(-1)}, "needs from 2 to 1,000,000 classes, got -1"),
}
MEASURE = ("measure", "perceptron", "bad.npz", "--json")
ASK = ("advise", "perceptron", "bad.npz", "--batch", "8", "--labels", "clean", "--json", "--no-training")
ADVISE = (*ASK, "--steps", "20")
KNOWN = (*ADVISE, "--alpha", "2")
PROBED = (*ASK[:-1], "--steps", "40", "--effort", "0.5")


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(("arrays", "sentence"), BAD_DATA.values(), ids=list(BAD_DATA))
def test_bad_data_are_named(arrays, sentence):
    np.savez("bad.npz", **(GOOD | arrays))
    for command in (MEASURE, ADVISE, KNOWN):
        assert sentence in refused(*command)


ODD_DATA = {
    "more classes than images": {"y_train": np.arange(40) % 39, "y_test": np.arange(20)},
    "two images of a class": {"x_train": X[:4], "y_train": Y[:4]},
    "one pixel": {"x_train": X[:, :, :1, :1], "x_test": X[:20, :, :1, :1]},
    "one class in the test set": {"y_test": Y[:20] * 0},
    "half precision": {"x_train": X.astype(np.float16)},
    "features": {"x_train": X.reshape(40, -1), "x_test": X[:20].reshape(20, -1)},
    "floating labels": {"y_train": Y.astype(float)},
    "label 10^12": {"y_train": changed(Y, 10**12)},
}


@pytest.mark.parametrize("arrays", ODD_DATA.values(), ids=list(ODD_DATA))
def test_odd_data_get_finite_answers(arrays):
    np.savez("bad.npz", **(GOOD | arrays))
    for command in (MEASURE, ADVISE, KNOWN, PROBED):
        answered(*command)


@pytest.mark.parametrize("alpha", ["0", "1e6", "1e15", "-1", "nan"])
def test_any_alpha_gets_a_finite_answer(alpha):
    np.savez("bad.npz", **GOOD)
    for command in (MEASURE, ADVISE):
        answered(*command, "--alpha", alpha)


@pytest.mark.parametrize("value", ["-1", "0", "1", "1000000000000000", "9" * 30])
@pytest.mark.parametrize("option", ["--batch", "--examples", "--seed"])
def test_whole_numbers_of_measure(option, value):
    np.savez("bad.npz", **GOOD)
    answered(*MEASURE, option, value)


@pytest.mark.parametrize("value", ["-1", "0", "1", "1000000000000000", "9" * 30])
@pytest.mark.parametrize("option", ["--batch", "--checked", "--wrong"])
def test_whole_numbers_of_advise(option, value):
    np.savez("bad.npz", **GOOD)
    answered(*ADVISE, option, value)
    answered(*ASK, "--examples", value)


def test_four_images_are_needed_to_hold_one_out():
    np.savez("bad.npz", **(GOOD | {"x_train": X[:3], "y_train": Y[:3]}))
    assert "bad.npz needs at least 4 training examples, to hold one out, got 3" in refused(*ADVISE)


def test_ten_thousand_classes_are_too_many_for_the_kernel():
    np.savez("bad.npz", **(GOOD | {"num_classes": np.array(10_000)}))
    assert "the kernel of this network would take" in answered(*ADVISE)["accuracy"]["reason"]


NETWORKS = """
import torch
from torch import nn

class Odd(nn.Module):
    def __init__(self, forward):
        super().__init__()
        self.layer, self.odd = nn.Linear(36, 3), forward
    def forward(self, x):
        return self.odd(self.layer(x.flatten(1)))

def fail(y):
    raise KeyError("in forward")

def raises(): raise ValueError("one\\ntwo")
def leaves(): raise SystemExit(0)
def nothing(): return None
def argument(needed): return needed
def narrow(): return nn.Sequential(nn.Flatten(), nn.Linear(7, 3))
def wide(): return nn.Sequential(nn.Flatten(), nn.Linear(36, 5))
def picture(): return nn.Conv2d(1, 3, 3)
def bare(): return nn.Flatten()
def words(): return Odd(lambda y: ("logits", y))
def total(): return Odd(lambda y: y.sum())
def argmax(): return Odd(lambda y: y.argmax(1))
def cut(): return Odd(lambda y: y.detach())
def inner(): return Odd(fail)
def nan(): return Odd(lambda y: y * float("nan"))
value = 3
"""
BAD_NETWORKS = {
    "raises": "calling it raised ValueError: one",
    "leaves": "calling it raised SystemExit: 0",
    "nothing": "needs to return an nn.Module, got NoneType",
    "argument": "missing 1 required positional argument",
    "missing": "needs a function of odd_networks, got 'missing': known: Odd, fail",
    "value": "needs to be a function, got int",
    "narrow": "needs to take examples of shape (1, 6, 6); it refused them (mat1 and mat2",
    "wide": "needs to return 3 logits per example, got shape",
    "picture": "needs to return 3 logits per example, got shape",
    "argmax": "needs to return 3 logits per example, got shape",
    "bare": "needs at least one parameter with requires_grad=True, got none",
    "words": "needs to return 3 logits per example, as a tensor, first in a tuple",
    "total": "got one number for all examples",
    "cut": "logits that its weights can be trained by; these are detached",
    "inner": "it refused them ('in forward')",
    "nan": "finite logits are needed",
}


@pytest.mark.parametrize(("function", "sentence"), BAD_NETWORKS.items(), ids=list(BAD_NETWORKS))
def test_bad_networks_are_named(function, sentence, folder, spec_text, monkeypatch):
    monkeypatch.syspath_prepend(folder)
    monkeypatch.delitem(sys.modules, "odd_networks", raising=False)
    (folder / "odd_networks.py").write_text(NETWORKS)
    np.savez("bad.npz", **GOOD)
    network = f"odd_networks:{function}"
    assert sentence in refused("measure", network, "bad.npz")
    assert sentence in refused("advise", network, "bad.npz", "--steps", "20", "--batch", "8", "--no-training")
    spec = (
        spec_text.replace('"mlp1"', f'"{network}"').replace('"digits"', '"bad.npz"').replace("clean_examples = 100", "")
    )
    (folder / "spec.toml").write_text(spec)
    result = run("simulate", "spec.toml", "--out", "out")
    assert result.exit_code == 2
    assert sentence in result.stderr.splitlines()[-1]  # above it the display of the run


CHECKPOINTS = {
    "complex": {"1.weight": torch.zeros(3, 36, dtype=torch.complex64), "1.bias": torch.zeros(3)},
    "sparse": {"1.weight": torch.zeros(3, 36).to_sparse(), "1.bias": torch.zeros(3)},
    "without numbers": {"1.weight": torch.empty(3, 36, device="meta"), "1.bias": torch.zeros(3)},
    "NaN": {"1.weight": torch.full((3, 36), torch.nan), "1.bias": torch.zeros(3)},
    "numbers as names": {1: torch.zeros(3), "1.bias": torch.zeros(3)},
    "a list": [torch.zeros(3)],
}


@pytest.mark.parametrize("weights", CHECKPOINTS.values(), ids=list(CHECKPOINTS))
def test_bad_checkpoints_are_named(weights):
    np.savez("bad.npz", **GOOD)
    torch.save(weights, "weights.pt")
    refused(*MEASURE, "--checkpoint", "weights.pt")


floating = st.floats(width=32) | st.sampled_from([0.0, 1e30, np.nan, np.inf])


@given(
    arrays(np.float32, array_shapes(min_dims=3, max_dims=5, min_side=0, max_side=4), elements=floating),
    arrays(st.sampled_from([np.int64, np.uint8, np.float32, bool]), array_shapes(min_dims=1, max_dims=2, max_side=4)),
)
def test_any_arrays_are_a_data_set_or_refused(images, labels):
    try:
        data = as_dataset((images, labels, images, labels))
    except InputError:
        return
    assert np.isfinite(data.x_train).all()
    assert data.num_classes >= 2
    assert len(data.x_train) == len(data.y_train) > 0
