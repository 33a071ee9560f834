"""`effbatch measure`: its JSON against the function, what it prints at two widths, and its refusals."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from torch import nn

from effbatch.cli import main
from effbatch.cli.measure import announce_gradients
from effbatch.core import announced
from effbatch.core.errors import InputError
from effbatch.core.formats import estimate_text
from effbatch.data import datasets
from effbatch.measure.gradients import measure_moments
from effbatch.networks import zoo

MODULE = """
from torch import nn

def normed():
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 10))

def narrow():
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 9))
"""


def run(*arguments: object, code: int = 0, width: int = 80) -> str:
    runner = CliRunner(env={"COLUMNS": str(width), "NO_COLOR": "1"})
    result = runner.invoke(main, ["measure", *map(str, arguments)], catch_exceptions=False)
    assert result.exit_code == code, result.output
    return result.output


def measured(seed: int = 0, **options: object):
    digits = datasets.load("digits")
    network = zoo.build("perceptron", digits.image_shape, 10, seed=seed)
    return measure_moments(network, digits.x_train, digits.y_train, num_classes=10, seed=seed, **options)


@pytest.fixture
def my_networks(tmp_path, monkeypatch):
    (tmp_path / "networks_of_mine.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    return "networks_of_mine"


def test_json_is_what_the_function_measures():
    said = json.loads(
        run(
            "perceptron",
            "digits",
            "--examples",
            300,
            "--seed",
            3,
            "--alpha",
            0,
            "--alpha",
            7.5,
            "--batch",
            64,
            "--json",
        )
    )
    moments = measured(seed=3, max_examples=300)
    assert (said["n"], said["confidence"], said["num_classes"], said["noise"]) == (300, 0.95, 10, {"kind": "uniform"})
    for name, number in moments.numbers().items():
        assert said["moments"][name]["value"] == pytest.approx(number.value, rel=1e-5)
        assert said["moments"][name]["interval"] == pytest.approx(number.interval, rel=1e-4)
        assert said["moments"][name]["n"] == 300
    clean, noisy = said["at_alpha"]
    assert (clean["alpha"], noisy["alpha"], noisy["batch_size"]) == (0, 7.5, 64)
    for key, number in (
        ("mean_norm_squared", moments.mean_norm_squared(7.5)),
        ("noise_scale", moments.noise_scale(7.5)),
        ("effective_batch_size", moments.effective_batch_size(7.5, 64)),
    ):
        assert noisy[key]["value"] == pytest.approx(number.value, rel=1e-4)
        assert noisy[key]["interval"] == pytest.approx(number.interval, rel=1e-3)
        assert noisy[key]["reason"] is None
    assert said["overhead"]["seconds"] > 0
    assert said["overhead"]["epochs"] > 0
    assert said["remarks"] == []
    assert "layers" not in said


def test_what_it_cannot_tell_is_null_with_the_reason():
    said = json.loads(run("mlp2", "digits", "--examples", 20, "--json", "--alpha", 0))
    scale = said["at_alpha"][0]["noise_scale"]
    assert scale["value"] is None
    assert scale["interval"][0] > 0
    assert scale["interval"][1] is None
    assert scale["reason"].startswith("cannot tell at n = 20 examples: the 95 % interval of ‖G_0‖² reaches zero")
    text = run("mlp2", "digits", "--examples", 20, "--alpha", 0)
    assert f"cannot tell (at least {scale['interval'][0]:.3g})" in text
    assert "Cannot tell at n = 20 examples" in text


def test_layers_sum_to_the_network():
    said = json.loads(run("mlp1", "digits", "--examples", 50, "--per-layer", "--json"))
    for name, number in said["moments"].items():
        assert sum(layer[name]["value"] for layer in said["layers"].values()) == pytest.approx(number["value"])
    assert "By layer" in run("mlp1", "digits", "--examples", 50, "--per-layer")


def test_a_checkpoint_is_what_is_measured(tmp_path):
    network = zoo.build("perceptron", (1, 8, 8), 10, seed=9)
    path = tmp_path / "weights.pt"
    torch.save(network.state_dict(), path)
    said = json.loads(run("perceptron", "digits", "--checkpoint", path, "--json"))
    assert said["checkpoint"] == str(path)
    value = said["moments"]["clean_norm_squared"]["value"]
    assert value == pytest.approx(measured(seed=9).estimate.clean_norm_squared, rel=1e-5)
    assert value != pytest.approx(measured(seed=0).estimate.clean_norm_squared, rel=1e-3)
    assert f"at {path}" in " ".join(run("perceptron", "digits", "--checkpoint", path, width=300).split())


def test_any_noise_matrix(tmp_path):
    matrix = np.random.default_rng(0).dirichlet(np.ones(10), size=10)
    np.savetxt(tmp_path / "N.csv", matrix, delimiter=",")
    said = json.loads(run("perceptron", "digits", "--matrix", tmp_path / "N.csv", "--json"))
    expected = measured(noise_matrix=matrix).estimate
    assert said["moments"]["noisy_second_moment"]["value"] == pytest.approx(expected.noisy_second_moment, rel=1e-5)
    assert said["noise"]["kind"] == "matrix"


def test_own_network_and_data_and_what_batch_norm_does(my_networks, tmp_path):
    digits = datasets.load("digits")
    np.savez(
        tmp_path / "mine.npz",
        x_train=digits.x_train[:90],
        y_train=digits.y_train[:90],
        x_test=digits.x_test[:10],
        y_test=digits.y_test[:10],
    )
    said = json.loads(run(f"{my_networks}:normed", "mine.npz", "--batch", 10, "--json"))
    assert said["n"] == 9
    assert "measured on 9 disjoint batches of 10 examples" in said["remarks"][0]
    text = " ".join(run(f"{my_networks}:normed", "mine.npz", "--batch", 10).split())
    assert "n = 9 batches of 10 training examples" in text
    assert "The examples of a batch change each other's gradients" in text
    text = " ".join(run(f"{my_networks}:normed", "mine.npz", "--evaluation").split())
    assert "n = 90 training examples" in text
    assert "Evaluation mode, as asked for: dropout was off and BatchNorm used its running statistics" in text


@pytest.mark.parametrize("width", [50, 80])
def test_text_has_every_number_and_nothing_is_cut(width):
    text = run("perceptron", "digits", "--alpha", 0, "--alpha", 10, width=width)
    assert max(len(line.rstrip()) for line in text.splitlines()) <= width
    assert "…" not in text
    words, moments = " ".join(text.split()), measured()
    scale, batch = (
        estimate_text(one, n=False) for one in (moments.noise_scale(10), moments.effective_batch_size(10, 128))
    )
    assert words.startswith(
        f"At α = 10, added to labels taken to be clean: noise scale {scale}; a batch of 128 counts as {batch} clean "
    )
    assert "(perceptron on digits, at initialisation). If yours are noisy, `effbatch estimate` tells their α, " in words
    assert "`effbatch advise --labels noisy` a rate for them. n = 1,297 training examples" in words
    for number in (*moments.numbers().values(), moments.noise_scale(10), moments.effective_batch_size(10, 128)):
        assert number.interval is not None
        assert estimate_text(number, n=False) in words
    assert "epochs of training gradients" in words


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["mlp1", "digit"], "data set 'digit' is not known; did you mean 'digits'"),
        (["mlp7", "digits"], "network 'mlp7' is not known"),
        (["no_such_module:make", "digits"], "No module named 'no_such_module'"),
        (["networks_of_mine:narrow", "digits"], "return 10 logits per example, got shape (1297, 9)"),
        (["mlp1", "none.npz"], "data file none.npz cannot be read"),
        (["mlp1", "bad.npz"], "training examples of bad.npz hold NaN"),
        (["mlp1", "digits", "--checkpoint", "none.pt"], "checkpoint none.pt cannot be read"),
        (["mlp1", "digits", "--matrix", "none.csv"], "matrix file none.csv cannot be read"),
        (["mlp1", "digits", "--matrix", "small.csv"], "noise matrix of 10 classes is needed, got one of 2"),
        (["mlp1", "digits", "--examples", 2], "at least 3 examples"),
        (["mlp1", "digits", "--examples", 30, "--alpha", -1], "labels per clean label), got -1.0"),
        (["mlp1", "digits", "--examples", 30, "--batch", 0], "the batch size must be at least 1"),
    ],
)
def test_refusals_are_one_sentence_and_exit_with_2(my_networks, tmp_path, arguments, words):
    np.savetxt(tmp_path / "small.csv", np.eye(2), delimiter=",")
    x, y = np.full((4, 1, 8, 8), np.nan), np.arange(4)
    np.savez(tmp_path / "bad.npz", x_train=x, y_train=y, x_test=x, y_test=y)
    said = run(*arguments, code=2)
    assert said.startswith("effbatch: ")
    assert words in said
    assert len(said.splitlines()) == 1


def test_help_says_that_it_runs_code():
    assert "this runs its code" in " ".join(run("--help").split())


def test_what_may_take_long_or_much_memory_is_said_before(capsys, monkeypatch):
    monkeypatch.setattr(announced, "free_memory", lambda: 1e10)
    network, x = zoo.build("perceptron", (8,), 60, seed=0), np.zeros((4, 8), np.float32)  # 540 weights
    announce_gradients(network, x, 20, 60)
    assert capsys.readouterr().err == ""
    announce_gradients(network, x, 400_000, 60)
    assert "62 gradients of each of 400,000 examples, about 13 s on one CPU core; " in capsys.readouterr().err
    many = zoo.build("perceptron", (8,), 2_000_000, seed=0)  # 18 gradients each, of 18 million weights
    announce_gradients(many, x, 20, 2_000_000)
    assert "18 gradients of each of 20 examples, about 3.89 GB of memory; --examples" in capsys.readouterr().err
    monkeypatch.setattr(announced, "free_memory", lambda: 4e9)
    with pytest.raises(InputError, match=r"would need about 3.89 GB of memory, got 4 GB free: --examples N measures"):
        announce_gradients(many, x, 20, 2_000_000)


class Recurrent(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed, self.gru, self.out = nn.Embedding(12, 4), nn.GRU(4, 4, batch_first=True), nn.Linear(4, 3)

    def forward(self, x):
        return self.out(self.gru(self.embed(x))[0].mean(1))


def test_a_recurrent_network_whose_examples_go_one_by_one_is_announced(capsys):
    x = np.zeros((4, 9), np.int64)
    announce_gradients(Recurrent(), x, 1_000_000, 3)
    assert "5 gradients of each of 1,000,000 examples, about " in capsys.readouterr().err
    announce_gradients(nn.Sequential(nn.Embedding(12, 4), nn.Flatten(), nn.Linear(36, 3)), x, 1_000_000, 3)
    assert capsys.readouterr().err == ""
