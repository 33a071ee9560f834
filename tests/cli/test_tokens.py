"""Tokens go through measurement, theory, probe and sweeps as whole numbers, into networks of the user's own."""

from __future__ import annotations

import json

import numpy as np
import pytest
from click.testing import CliRunner, Result

from effbatch.cli import main
from effbatch.engine.images import Images

NETWORKS = """
from torch import nn


class Words(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding, self.head = nn.Embedding(20, 4), nn.Linear(4, 2)

    def forward(self, tokens):
        assert not tokens.is_floating_point()
        return self.head(self.embedding(tokens).mean(-2))


def flat():
    return nn.Sequential(nn.Embedding(20, 4), nn.Flatten(), nn.Linear(24, 2))
"""


def cli(*arguments: str, code: int = 0) -> Result:
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == code, result.output
    return result


@pytest.fixture
def here(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    y = np.arange(200) % 2
    words = rng.integers(0, 10, (200, 6)) + 10 * y[:, None]  # a class has words of its own
    np.savez(tmp_path / "words.npz", tokens=words, labels=y)
    np.savez(tmp_path / "whole.npz", x=words, y=y)
    (tmp_path / "word_nets.py").write_text(NETWORKS)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("network", ["Words", "flat"])
def test_measure_reads_tokens_that_are_said_to_be_that(here, network):
    answers = [
        cli("measure", f"word_nets:{network}", *data, "--json").stdout
        for data in (["words.npz"], ["whole.npz", "--tokens"])
    ]
    first, second = map(json.loads, answers)
    assert first["moments"] == second["moments"]
    assert "sequences of 6 tokens, vocabulary 20" in first["read_as"]
    refused = cli("measure", f"word_nets:{network}", "whole.npz", code=2)
    assert "may be features or tokens: say which with --features or --tokens" in refused.stderr


def test_advise_probes_a_network_of_tokens(here):
    said = cli("advise", "word_nets:Words", "words.npz", "--labels", "clean", "--alpha", "1", "--steps", "20")
    assert "sequences of 6 tokens, vocabulary 20" in " ".join(said.stdout.split())


def test_a_sweep_learns_from_tokens(here):
    (here / "words.toml").write_text(
        """
        [simulation]
        name = "words"
        [data]
        dataset = "words.npz"
        [train]
        network = "word_nets:Words"
        budget = { steps = 100 }
        [grid]
        alpha = [0]
        batch_size = [16]
        learning_rate = [1.0]
        seed = 2
        """
    )
    said = cli("simulate", "words.toml", "--out", "sweep").stdout
    assert "words.npz: 160 to train on, 40 to test, sequences of 6 tokens, vocabulary 20" in " ".join(said.split())
    import xarray as xr

    with xr.open_dataset(here / "sweep" / "cube.nc") as cube:
        assert float(cube["test_accuracy"].min()) > 0.9


def test_a_batch_of_tokens_stays_whole():
    import torch

    tokens = torch.arange(12).view(4, 3)
    batch = Images(tokens, (3,), channels_last=True).batch(torch.tensor([2, 0]))
    assert batch.tolist() == [[[6, 7, 8]], [[0, 1, 2]]]
    assert batch.dtype == torch.int64
