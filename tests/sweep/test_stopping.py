"""Ctrl-C while units train: the block ends first, and no signal is lost."""

from __future__ import annotations

import signal

from effbatch.sweep.stopping import unit_by_unit


def train(signals: int) -> list[str]:
    """What a block comes to that gets so many signals."""
    told = []
    try:
        with unit_by_unit() as stopping:
            for _ in range(signals):
                signal.raise_signal(signal.SIGINT)
                told.append("goes on")
            told.append("asked to stop" if stopping() else "not asked")
    except KeyboardInterrupt:
        told.append("stopped")
    return told


def test_a_signal_after_the_last_unit_is_not_lost(capfd):
    assert train(1) == ["goes on", "asked to stop", "stopped"]
    assert "stopping when the unit in training is finished" in capfd.readouterr().err
    assert signal.getsignal(signal.SIGINT) == signal.default_int_handler


def test_a_second_signal_stops_at_once():
    assert train(2) == ["goes on", "stopped"]


def test_without_a_signal_the_block_ends_as_usual():
    assert train(0) == ["not asked"]
