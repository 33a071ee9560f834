"""The display of a run: plain lines or a bar, and a time left that is right within a third after the first minute."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console
from synthetic import unit

from effbatch.plan.units import Unit, log_spaced_steps
from effbatch.show import progress
from effbatch.sweep.runner import in_turn

RECORDED = Path(__file__).parents[2] / "benchmarks" / "results" / "throughput.json"


def ten_cells(steps: int) -> Unit:
    return unit(steps=steps, checkpoints=(steps,), alphas=(2.5,), seeds=tuple(range(5)))


def test_plain_lines_say_what_is_done_and_left(capsys, monkeypatch):
    moment = 0.0
    monkeypatch.setattr(progress.time, "monotonic", lambda: moment)
    lines = progress.LineProgress()
    lines.start("tiny", [ten_cells(steps=60)], kept=[ten_cells(steps=40)], at_once=1)
    for _ in range(4):
        moment += 5.0
        lines.advance(ten_cells(steps=60), 0.25, 5.0)
    assert capsys.readouterr().err.splitlines() == [
        "tiny: 7,000 labelled copies to train on, 40% kept from an earlier run",
        "tiny: 70% done, 10 s left",
        "tiny: 100% done, 0 s left",
    ]


def test_no_terminal_means_plain_lines_and_ctrl_c_says_what_is_kept(capsys):
    def stopped():
        with progress.watching() as shown:
            assert isinstance(shown, progress.LineProgress)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stopped()
    assert "finished units are kept" in capsys.readouterr().err


@pytest.mark.parametrize("width", [50, 80])
def test_the_bar_cuts_nothing_in_a_narrow_terminal(monkeypatch, width):
    screen = io.StringIO()
    monkeypatch.setattr("rich.console.Console", lambda **_: Console(file=screen, force_terminal=True, width=width))
    with progress.LiveProgress() as bar:
        bar.start("noise_source-fashion-mnist-14", [ten_cells(steps=200_000)], kept=[], at_once=1)
        bar.advance(ten_cells(steps=200_000), 0.25, 10.0)
    shown = " ".join(screen.getvalue().split())
    assert "…" not in shown
    assert "noise_source-fashion-mnist-14" in shown
    assert "25 % 30 s left" in shown
    assert ("━" in shown) == (width >= 80)


# --- the time left ---


def sized(network: str, batch_size: int, steps: int, cells: int) -> Unit:
    few = {"alphas": (0.0,), "learning_rates": (0.1,), "seeds": tuple(range(cells))}
    return unit(network, batch_size=batch_size, steps=steps, checkpoints=log_spaced_steps(steps, 10), **few)


def sweep(networks: Sequence[str], batch_sizes: Sequence[int], units: int, steps: int, cells: int) -> list[Unit]:
    """Batch by batch, as a spec lists them; the last unit of each has fewer seeds."""
    return [
        sized(network, batch_size, steps, cells if i < units - 1 else cells // 3)
        for network in networks
        for batch_size in batch_sizes
        for i in range(units)
    ]


def cheap_rows(unit: Unit) -> float:
    """Seconds per model-step: overhead shared by the cells, a part per cell, a part per copy."""
    factor = {"perceptron": 0.2, "mlp1": 1.0, "mlp2": 1.7}[unit.train.network]
    return factor * (4.6e-4 / unit.cells + 2e-5 + 3.7e-6 * unit.batch_size)


def wide_products(unit: Unit) -> float:
    """Large batches gain: 128 costs 8 times 8, not 16 times."""
    return 4e-5 * unit.batch_size**0.75 * (1 + 20 / unit.cells)


def recorded(unit: Unit) -> float:
    """As benchmarks/throughput.py found them; between its rows on straight lines of the logarithms."""
    by_batch: dict[int, list[tuple[int, float]]] = {}
    for row in json.loads(RECORDED.read_text(encoding="utf-8"))["rows"]:
        if row["network"] == unit.train.network:
            speed = row["model_steps_per_second"]["effbatch"]
            by_batch.setdefault(row["batch_size"], []).append((row["members"], -np.log(speed)))
    members = [np.interp(np.log(unit.cells), np.log(m), s) for m, s in (zip(*own) for own in by_batch.values())]  # noqa: B905
    return float(np.exp(np.interp(np.log(unit.batch_size), np.log(list(by_batch)), members)))


def reports(unit: Unit, pace: float, evaluation: float, rng: np.random.Generator) -> Iterator[tuple[float, float]]:
    """(share, seconds) as a unit reports them: blocks of steps, evaluations, which cost `evaluation` images each."""
    steps = unit.steps * unit.batch_size
    whole, done = steps + len(unit.checkpoints) * 500 / 3, 0
    for checkpoint in unit.checkpoints:
        ends = np.unique(np.linspace(done, checkpoint, 6).round().astype(int))
        for block in np.diff(ends):
            yield block * unit.batch_size / whole, block * unit.cells * pace * rng.uniform(0.9, 1.1)
        yield 500 / 3 / whole, unit.cells * evaluation * 500 / 3 * pace / unit.batch_size
        done = checkpoint


def said(
    work: Sequence[Unit],
    pace: Callable[[Unit], float],
    *,
    workers: int = 1,
    evaluation: float = 1.0,
    whole_units: bool = False,
) -> list[tuple[float, float | None, float]]:
    """(moment, seconds left as said, as they come to be) of every report of a simulated sweep.

    An evaluated image costs `evaluation` times a third of a labelled copy; `whole_units` report only when they end.
    """
    rng = np.random.default_rng(0)
    free = np.zeros(workers)
    events = []
    for one in in_turn(work):
        who = int(free.argmin())
        told = list(reports(one, pace(one), evaluation, rng))
        if whole_units:
            told = [(1.0, sum(seconds for _, seconds in told))]
        for share, seconds in told:
            free[who] += seconds
            events.append((free[who], one, share, seconds))
    events.sort(key=lambda event: event[0])
    moment = 0.0
    left, lines = progress.TimeLeft(lambda: moment), []
    left.start(work, at_once=workers)
    for moment, *report in events:
        left.advance(*report)
        lines.append((moment, left.seconds(), events[-1][0] - moment))
    return lines


THREE = sweep(["mlp1"], [8, 32, 128], units=5, steps=4000, cells=200)
FIVE = sweep(["mlp1"], [2, 8, 32, 128, 512], units=3, steps=3000, cells=400)
NETWORKS = sweep(["perceptron", "mlp1", "mlp2"], [8, 128], units=4, steps=1000, cells=300)
CONVOLUTIONS = sweep(["mlp1", "mlp2", "conv2"], [8, 32, 128], units=2, steps=1000, cells=60)
SMALL = sweep(["mlp1"], [8, 64], units=8, steps=6000, cells=6) + sweep(["mlp1"], [8], 4, 6000, 300)


def worst(lines: Sequence[tuple[float, float | None, float]], least: float) -> float:
    """Greatest error from the first minute on, while at least so many seconds are left, as a factor."""
    factors = [line / true for moment, line, true in lines if moment >= 60 and true >= least]
    assert factors
    return max(max(factors), 1 / min(factors))


@pytest.mark.parametrize(
    ("work", "pace"),
    [
        pytest.param(THREE, cheap_rows, id="batch sizes"),
        pytest.param(THREE, wide_products, id="batch sizes-wide products"),
        pytest.param(THREE, recorded, id="batch sizes-recorded"),
        pytest.param(FIVE, cheap_rows, id="long units"),
        pytest.param(NETWORKS, cheap_rows, id="networks"),
        pytest.param(CONVOLUTIONS, recorded, id="networks-recorded"),
        pytest.param(SMALL, cheap_rows, id="small ensembles"),
    ],
)
@pytest.mark.parametrize("how", [{}, {"evaluation": 2.0}, {"evaluation": 0.5}], ids=str)
def test_within_a_third_from_the_first_minute_on(work, pace, how):
    lines = said(work, pace, **how)
    assert worst(lines, least=lines[-1][0] / 10) < 4 / 3


@pytest.mark.parametrize("pace", [cheap_rows, recorded])
def test_two_workers_that_tell_of_whole_units_until_one_stands_idle(pace):
    longest = max(one.model_steps * pace(one) for one in THREE)
    assert worst(said(THREE, pace, workers=2, whole_units=True), least=longest) < 4 / 3


def test_an_average_over_copies_is_far_off():
    """Where small batches come first, by as much as their copies cost more."""
    short, long = sized("mlp1", 2, 4000, 200), sized("mlp1", 512, 4000, 200)
    copies = [one.model_steps * one.batch_size for one in (short, long)]
    average = copies[1] * short.model_steps * cheap_rows(short) / copies[0]
    true = long.model_steps * cheap_rows(long)
    left = progress.TimeLeft(lambda: short.model_steps * cheap_rows(short))
    left.start([short, long], at_once=1)
    left.began = 0.0
    left.advance(short, 1.0, left.clock())
    assert average / true > 3
    assert left.seconds() == pytest.approx(true, rel=1 / 3)


def test_the_first_seconds_tell_nothing():
    moment = 0.0
    left, one = progress.TimeLeft(lambda: moment), sized("mlp1", 8, 100, 10)
    left.start([one], at_once=1)
    moment = 1.0
    left.advance(one, 0.1, 1.0)
    assert left.seconds() is None
    moment = 9.0
    left.advance(one, 0.8, 8.0)
    assert left.seconds() == pytest.approx(1.0)


def test_a_network_that_was_not_timed_leaves_the_time_unknown():
    left = progress.TimeLeft(lambda: 0.0)
    one, other = sized("mlp1", 8, 100, 10), sized("mlp2", 8, 100, 10)
    left.start([one, other], at_once=1)
    assert left.seconds() is None
    left.advance(one, 0.5, 10.0)
    assert left.seconds() is None


def test_what_was_timed_holds_in_the_next_round():
    left, one = progress.TimeLeft(lambda: 0.0), sized("mlp1", 8, 100, 10)
    left.start([one], at_once=1)
    left.advance(one, 1.0, 10.0)
    left.start([one, one, one], at_once=1)
    assert left.seconds() == pytest.approx(30.0)


def test_steps_that_are_undone_are_left_again():
    left, one = progress.TimeLeft(lambda: 0.0), sized("mlp1", 8, 100, 10)
    left.start([one], at_once=1)
    for share, seconds in ((0.5, 10.0), (-0.5, 0.0), (0.25, 10.0)):
        left.advance(one, share, seconds)
    assert left.seconds() == pytest.approx(0.75 * 80.0)


def test_the_shortest_of_every_network_comes_first_then_the_longest_and_none_is_lost():
    work = sweep(["mlp1", "mlp2"], [8, 32, 128], units=4, steps=10, cells=9)
    order = in_turn(work)
    assert sorted(map(id, order)) == sorted(map(id, work))
    assert {(one.train.network, one.batch_size, one.cells) for one in order[:2]} == {("mlp1", 8, 3), ("mlp2", 8, 3)}
    assert [one.batch_size for one in order[2:8]] == [128] * 6
    assert order[-1].batch_size == 8
