"""The time left of sweeps with a simulated clock: right within 20 % from the first minute on; an average is not."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise

import numpy as np
import pytest
from synthetic import unit

from effbatch.plan.units import Unit, log_spaced_steps
from effbatch.show.time_left import TimeLeft
from effbatch.sweep.runner import in_turn

BLOCKS = 5  # reports between two evaluations
SET_UP, COLD = 0.05, 0.15  # seconds before the first step of a unit, and more for its first block


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


def reports(unit: Unit, pace: float, evaluation: float, rng: np.random.Generator) -> Iterator[tuple[int, int, float]]:
    """Model-steps, cells evaluated and seconds as a unit reports them; seconds of steps scatter by a tenth."""
    yield 0, 0, SET_UP
    cold = COLD
    for before, checkpoint in pairwise((0, *unit.checkpoints)):
        ends = np.unique(np.linspace(before, checkpoint, BLOCKS + 1).round().astype(int))
        for steps in np.diff(ends):
            model_steps = int(steps) * unit.cells
            yield model_steps, 0, cold + model_steps * pace * rng.uniform(0.9, 1.1)
            cold = 0.0
        yield 0, unit.cells, evaluation * unit.cells


def shown(
    work: Sequence[Unit],
    pace: Callable[[Unit], float],
    *,
    workers: int = 1,
    idle: float = 0.0,
    evaluation: float = 5e-4,
) -> list[tuple[float, float | None, float, float]]:
    """(moment, seconds left as said, as an average over all model-steps would say, as they come to be) by report.

    `idle` is the share of every worker's time that is not training; `evaluation` the seconds of one, per cell. Looks
    scatter by a tenth, and all seem a third faster than what comes.
    """
    rng, clock = np.random.default_rng(0), 0.0
    time_left = TimeLeft(lambda: clock)
    time_left.start(work)
    while (wanted := time_left.wanted()) is not None:
        time_left.look(wanted, *(of / 1.3 * rng.uniform(0.9, 1.1) for of in (pace(wanted), evaluation)))
    free = np.zeros(workers)
    events = []
    for one in work:
        who = int(free.argmin())
        for *done, seconds in reports(one, pace(one), evaluation, rng):
            free[who] += seconds / (1 - idle)
            events.append((free[who], one, *done, seconds))
    events.sort(key=lambda event: event[0])
    total, done = sum(one.model_steps for one in work), 0
    said = []
    for clock, *report in events:
        time_left.advance(*report)
        done += report[1]
        said.append((clock, time_left.seconds(), clock * (total - done) / max(done, 1), events[-1][0] - clock))
    return said


def worst(said: Sequence[tuple[float, float | None, float, float]], last: float = 5.0) -> float:
    """Greatest relative error from the first minute on, while more than `last` seconds are left."""
    errors = [abs(s / true - 1) for moment, s, _, true in said if moment >= 60 and true > last]
    assert errors
    return max(errors)


SWEEPS = {
    "three batch sizes": sweep(["mlp1"], [8, 32, 128], units=5, steps=4000, cells=200),
    "five batch sizes, long units": sweep(["mlp1"], [2, 8, 32, 128, 512], units=3, steps=3000, cells=400),
    "three networks": sweep(["perceptron", "mlp1", "mlp2"], [8, 128], units=4, steps=1000, cells=300),
    "small ensembles": sweep(["mlp1"], [8, 64], units=8, steps=6000, cells=6) + sweep(["mlp1"], [8], 4, 6000, 300),
}


@pytest.mark.parametrize("name", SWEEPS)
@pytest.mark.parametrize("pace", [cheap_rows, wide_products])
@pytest.mark.parametrize("how", [{}, {"idle": 0.2}, {"evaluation": 0.005}], ids=str)
def test_within_20_percent_from_the_first_minute_on(name, pace, how):
    assert worst(shown(in_turn(SWEEPS[name]), pace, **how)) < 0.2


def test_two_workers_until_one_stands_idle():
    work = in_turn(SWEEPS["three batch sizes"])
    last = max(one.model_steps * cheap_rows(one) for one in work)
    assert worst(shown(work, cheap_rows, workers=2), last) < 0.2


@pytest.mark.parametrize("name", ["three batch sizes", "three networks"])
def test_a_batch_size_that_begins_makes_the_time_left_jump_by_less_than_a_fifth(name):
    """Its first steps are cold, and as many evaluations fall among them as among all the rest."""
    said = [s for _, s, _, true in shown(in_turn(SWEEPS[name]), cheap_rows) if s is not None and true > 60]
    assert max(max(a, b) / min(a, b) for a, b in pairwise(said[50:])) < 1.2


def test_an_average_over_model_steps_is_far_off_in_the_order_of_the_spec():
    said = shown(SWEEPS["three batch sizes"], cheap_rows)
    _, first, average, true = next(line for line in said if line[0] >= 60)
    assert abs(average / true - 1) > 0.5
    assert first == pytest.approx(true, rel=0.2)


def test_without_looks_copies_of_a_network_cost_the_same():
    left = TimeLeft(lambda: 10.0)
    left.start([sized("mlp1", 8, 100, 10), sized("mlp1", 32, 100, 10)])
    left.last, left.on_clock = 0.0, 0.0
    left.advance(sized("mlp1", 8, 100, 10), 1000, 0, 9.0)
    left.advance(sized("mlp1", 8, 100, 10), 0, 100, 1.0)
    assert left.seconds() == pytest.approx(4 * 9.0 + 1.0)


def test_looks_are_taken_at_every_batch_size_of_a_long_round_only():
    def seen(work: Sequence[Unit], seconds: float) -> list[tuple[str, int, int]]:
        left, kinds = TimeLeft(), []
        left.start(work)
        while (wanted := left.wanted()) is not None:
            kinds.append((wanted.train.network, wanted.batch_size, wanted.cells))
            left.look(wanted, seconds, seconds)
        return kinds

    work = sweep(["mlp1", "mlp2"], [8, 32], units=3, steps=2000, cells=30)
    every = {(network, B, cells) for network in ("mlp1", "mlp2") for B in (8, 32) for cells in (30, 10)}
    assert len(seen(work, 1e-3)) == len(every)
    assert set(seen(work, 1e-3)) == every
    assert [network for network, *_ in seen(work, 1e-6)] == ["mlp1", "mlp2"]  # a second or two in all
    assert seen(work[:1], 1e-3) == []


def test_a_look_holds_in_the_next_sweep_too():
    left = TimeLeft()
    work = [sized("mlp1", 8, 20_000, 30), sized("mlp1", 16, 20_000, 30)]
    left.start(work)
    for one in work:
        left.look(one, 1.0, 1.0)
    left.start([sized("mlp1", 16, 20_000, 10)])
    assert left.wanted() is None


def test_the_first_seconds_tell_nothing():
    left = TimeLeft(iter([0.0, 1.0, 3.0]).__next__)
    one = sized("mlp1", 8, 100, 10)
    left.start([one])
    left.advance(one, 100, 10, 1.0)
    assert left.seconds() is None
    left.advance(one, 800, 80, 2.0)
    assert left.seconds() == pytest.approx(3 * 0.1 / 0.9)


def test_a_network_that_was_not_timed_leaves_the_time_unknown():
    left = TimeLeft(lambda: 0.0)
    one, other = sized("mlp1", 8, 100, 10), sized("mlp2", 8, 100, 10)
    left.start([one, other])
    assert left.seconds() is None
    left.advance(one, 500, 50, 10.0)
    assert left.seconds() is None


def test_what_was_timed_holds_in_the_next_round():
    moments = iter([0.0, 10.0, 10.0, 11.0])
    left = TimeLeft(lambda: next(moments))
    one = sized("mlp1", 8, 100, 10)
    left.start([one])
    left.advance(one, 1000, 100, 10.0)
    left.start([one, one, one])
    assert left.seconds() == pytest.approx(30.0)


def test_every_kind_has_its_turn_the_longest_first_and_none_is_lost():
    work = sweep(["mlp1", "mlp2"], [8, 32, 128], units=4, steps=10, cells=9)
    order = in_turn(work)
    assert sorted(map(id, order)) == sorted(map(id, work))
    assert len({(one.train.network, one.batch_size) for one in order[:6]}) == 6
    assert [one.batch_size for one in order[:6]] == [128, 128, 32, 32, 8, 8]
    assert order[-1].batch_size == 8
