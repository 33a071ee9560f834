"""What a notebook shows of an answer: its numbers with intervals and n, escaped, in three lines of Python."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

import effbatch
from effbatch.claims import Judgement, Verdict
from effbatch.core.estimate import Estimate, exact
from effbatch.core.figures import Number, Table
from effbatch.core.formats import estimate_text
from effbatch.core.pages import Page
from effbatch.show.notebook import as_html


def test_a_prediction_shows_rate_reason_and_every_law_that_applies():
    answer = effbatch.predict(alpha=50, batch_size=128)
    html = answer._repr_html_()
    assert "Multiply your best clean-label learning rate at B = 128" in html
    assert "Law square_root_clean_count: " in html
    assert all((f"<td>{name}</td>" in html) == law.applies for name, law in answer.learning_rate.items())


def test_a_tracker_shows_what_it_measured_and_says_where_it_cannot_tell():
    rng = np.random.default_rng(0)
    network = nn.Sequential(nn.Flatten(), nn.Linear(4, 3))
    tracker = effbatch.NoiseScaleTracker(network, alpha=1.0, every=1, batches=1)
    assert repr(tracker) == "<NoiseScaleTracker: 0 steps, 0 measurements>"
    tracker.step(torch.tensor(rng.normal(size=(8, 4)), dtype=torch.float32), torch.tensor(rng.integers(3, size=8)))
    (record,) = tracker.history
    scale = estimate_text(record.noise_scale, n=False)
    assert scale in repr(tracker)
    assert f"<td>{scale}</td>" in tracker._repr_html_()
    assert "<td>8</td>" in tracker._repr_html_()


def test_a_verdict_shows_its_numbers():
    numbers = [Number("error", Estimate(0.5, 0.4, 0.7, n=9)), Number("goal", exact(0.3))]
    verdict = Judgement(verdict=Verdict.REFUTED, finding="a < b", numbers=numbers)
    html = verdict._repr_html_()
    assert "REFUTED: a &lt; b" in html
    assert "<td>error</td><td>0.50</td><td>[0.40, 0.70]</td><td>9</td>" in html
    assert "<td>goal</td><td>0.3</td><td>exact</td><td>–</td>" in html
    assert str(verdict).startswith("REFUTED: a < b")


def test_cells_of_a_table_are_escaped():
    html = as_html(Page("x", [Table("t", "", ["<b>"], [["a&b"]])]))
    assert "<th>&lt;b&gt;</th>" in html
    assert "<td>a&amp;b</td>" in html
