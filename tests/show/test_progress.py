"""The display of a run: plain lines with done, total, rate and time left; a bar on a terminal."""

from __future__ import annotations

import io
import re

import pytest
from rich.console import Console
from synthetic import unit

from effbatch.show import progress


def ten_cells(steps):
    return unit(steps=steps, checkpoints=(steps,), alphas=(2.5,), seeds=tuple(range(5)))


def test_plain_lines_count_every_model_step(capsys):
    lines = progress.LineProgress()
    lines.start("tiny", [ten_cells(steps=60)], kept=[ten_cells(steps=40)])
    lines.advance(ten_cells(steps=60), 600, 10, 1.0)
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
        bar.start("tiny", [ten_cells(steps=200_000)], kept=[])
        bar.advance(ten_cells(steps=200_000), 500_000, 2, 10.0)
    shown = " ".join(screen.getvalue().split())
    assert "500k/2.0M model-steps" in shown
    assert "25 %" in shown
    assert re.search(r"[\d.]+M/s, 0 s left", shown)


@pytest.mark.parametrize("width", [50, 80, 120])
def test_the_display_cuts_nothing_in_a_narrow_terminal(monkeypatch, width):
    screen = io.StringIO()
    monkeypatch.setattr("rich.console.Console", lambda **_: Console(file=screen, force_terminal=True, width=width))
    with progress.LiveProgress() as bar:
        bar.start("noise_source-fashion-mnist-14", [ten_cells(steps=200_000)], kept=[])
        bar.advance(ten_cells(steps=200_000), 500_000, 2, 10.0)
    shown = screen.getvalue()
    assert "…" not in shown
    assert "noise_source-fashion-mnist-14" in shown
    assert "0 s left" in shown
    assert ("model-steps" in shown, "━" in shown) == (width >= 80, width >= 110)


@pytest.mark.parametrize(
    ("seconds", "said"), [(None, "unknown time"), (42.4, "42 s"), (600, "10 min"), (9000, "2.5 h")]
)
def test_durations_are_said_as_people_say_them(seconds, said):
    assert progress.duration(seconds) == said
