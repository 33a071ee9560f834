"""Ctrl-C while units train: the block ends first, and no signal is lost."""

from __future__ import annotations

import signal

import pytest

from effbatch.training.stopping import unit_by_unit


def test_a_signal_after_the_last_unit_is_not_lost(capfd):
    with pytest.raises(KeyboardInterrupt), unit_by_unit() as stopping:
        assert not stopping()
        signal.raise_signal(signal.SIGINT)
        assert stopping()
    assert "stopping when the unit in training is finished" in capfd.readouterr().err
    assert signal.getsignal(signal.SIGINT) == signal.default_int_handler


def test_a_second_signal_stops_at_once():
    with pytest.raises(KeyboardInterrupt), unit_by_unit():
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
        pytest.fail("the second one was ignored")


def test_without_a_signal_the_block_ends_as_usual():
    with unit_by_unit() as stopping:
        pass
    assert not stopping()
