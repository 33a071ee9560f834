"""The display of a run: plain lines with done, total, rate and time left; a bar on a terminal."""

from __future__ import annotations

import io
import re

import pytest
from rich.console import Console

from effbatch import progress


def test_plain_lines_count_every_model_step(capsys):
    lines = progress.LineProgress()
    lines.start(1000, 400, "tiny")
    lines.advance(600)
    said = capsys.readouterr().err.splitlines()
    assert said[0] == "tiny: 1,000 model-steps to train, 40% kept from an earlier run"
    assert re.fullmatch(r"tiny: 1,000/1,000 model-steps \(100%\), [\d,]+ per second, 0 s left", said[-1])


def test_no_terminal_means_plain_lines_and_ctrl_c_says_what_is_kept(capsys):
    def stopped():
        with progress.watching() as shown:
            assert isinstance(shown, progress.LineProgress)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stopped()
    assert "finished units are kept" in capsys.readouterr().err


def test_the_bar_shows_done_total_and_rate(monkeypatch):
    screen = io.StringIO()
    monkeypatch.setattr("rich.console.Console", lambda **_: Console(file=screen, force_terminal=True, width=100))
    with progress.LiveProgress() as bar:
        bar.start(2_000_000, 0, "tiny")
        bar.advance(500_000)
    assert "500k/2.0M model-steps" in screen.getvalue()
    assert "25 %" in screen.getvalue()
