"""Units trained by a real Dask cluster: the same cube, a killed worker's unit runs again, a loss is a sentence."""

from __future__ import annotations

import io
import logging
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread

import pytest
import xarray as xr
from click.testing import CliRunner

from effbatch.cli import main
from effbatch.core.errors import InputError, RunError
from effbatch.plan import spec
from effbatch.plan.cube import Outcome
from effbatch.sweep import cluster, runner, workers
from effbatch.sweep.hiring import hired
from effbatch.sweep.store import Store

distributed = pytest.importorskip("distributed")
LOCAL = """
import time
from distributed import LocalCluster

if __name__ == "__main__":
    local = LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address="localhost:0")
    print(local.scheduler_address, flush=True)
    time.sleep(600)
"""


@pytest.fixture(scope="module")
def local():
    """A scheduler with two workers, processes of this machine with one thread each."""
    options = {"threads_per_worker": 1, "dashboard_address": "localhost:0", "silence_logs": cluster.SILENT}
    with distributed.LocalCluster(n_workers=2, **options) as local:
        yield local


@pytest.fixture
def crew(local):
    """Those two workers."""
    with hired("cpu", scheduler=local.scheduler_address) as crew:
        yield crew


def test_two_workers_one_of_them_killed_in_mid_unit_give_the_cube_of_one_process(
    tmp_path, long_text, crew, one_thread, monkeypatch
):
    parsed = spec.parse(long_text)
    pids = crew.client.run(os.getpid)
    crew.client.run(draw_on)
    commit, committed, killed = Store.commit, [], []

    def killing(store, key, block):
        committed.append(key)
        if not killed:
            busy = {address: keys for address, keys in crew.client.processing().items() if keys}
            address = next(iter(busy))
            os.kill(pids[address], signal.SIGKILL)
            killed.append((address, busy[address]))
        return commit(store, key, block)

    monkeypatch.setattr(Store, "commit", killing)
    assert crew.at_once == 2
    ours = runner.simulate(parsed, tmp_path / "cluster", workers=crew)
    monkeypatch.setattr(Store, "commit", commit)
    assert killed
    assert len(committed) == len(set(committed)) == 6
    xr.testing.assert_equal(ours, runner.simulate(parsed, tmp_path / "here", device="cpu"))
    assert (ours["outcome"] == int(Outcome.FINISHED)).all()


def draw_on() -> None:
    """Draw random numbers in a thread of its own, as Dask does while units come and go."""

    def draw() -> None:
        while True:
            random.random()
            time.sleep(0.001)

    Thread(target=draw, daemon=True).start()


def test_an_error_of_a_unit_comes_through_as_it_is(tmp_path, spec_text, crew):
    with pytest.raises(InputError, match="network 'no_such' is not known"):
        runner.simulate(spec.parse(spec_text.replace("mlp1", "no_such")), tmp_path, workers=crew)


def test_what_dask_calls_critical_is_no_traceback_of_ours(local):
    heard = io.StringIO()
    handler = logging.StreamHandler(heard)  # pytest leaves Dask without the one it has elsewhere
    logger = logging.getLogger("distributed")
    logger.addHandler(handler)
    try:
        with hired("cpu", scheduler=local.scheduler_address):
            logging.getLogger("distributed.scheduler").critical("Closed comm while trying to write")
    finally:
        logger.removeHandler(handler)
    assert heard.getvalue() == ""


def test_workers_of_another_version_are_refused(tmp_path, spec_text, crew, monkeypatch):
    monkeypatch.setattr(workers, "version", lambda package: "9.9")
    with pytest.raises(RunError, match=r"need the effbatch 9\.9 of the process that drives them, got 0\."):
        runner.simulate(spec.parse(spec_text), tmp_path, workers=crew)


def test_a_unit_that_kills_every_worker_is_given_up_in_one_sentence(tmp_path, spec_text, crew, monkeypatch):
    monkeypatch.setattr(workers, "_train_there", die)
    crew.client.run_on_scheduler(set_allowed_failures, failures=0)
    with pytest.raises(
        RunError, match=r"was given up because every worker that took it died .* finished units are kept"
    ):
        runner.simulate(spec.parse(spec_text), tmp_path, workers=crew)


def die(*_: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def set_allowed_failures(dask_scheduler=None, failures=3):
    dask_scheduler.allowed_failures = failures


@contextmanager
def elsewhere(folder, code: str = LOCAL) -> Iterator[tuple[subprocess.Popen, str]]:
    """A scheduler and a worker in processes of their own, and its address."""
    (folder / "local.py").write_text(code, encoding="utf-8")
    command = [sys.executable, str(folder / "local.py")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            yield process, process.stdout.readline().strip()
        finally:
            process.kill()


def test_workers_without_effbatch_are_told_to_install_it(tmp_path):
    with (
        elsewhere(tmp_path, f"import sys\n\nsys.modules['effbatch'] = None\n{LOCAL}") as (_, address),
        pytest.raises(
            RunError, match=r"the Dask scheduler and its workers need effbatch, got .*: install this version there"
        ),
        hired("cpu", scheduler=address) as crew,
    ):
        crew.environment()


def test_a_lost_scheduler_keeps_the_finished_units_and_ends_with_one_sentence(tmp_path, long_text, monkeypatch, capfd):
    commit = Store.commit

    def losing(store, key, block):
        path = commit(store, key, block)
        scheduler.kill()
        scheduler.wait()
        return path

    monkeypatch.setattr(Store, "commit", losing)
    monkeypatch.setattr(cluster, "CONNECT_SECONDS", 2)
    with (
        elsewhere(tmp_path) as (scheduler, address),
        pytest.raises(RunError, match=r"^the Dask scheduler was lost; finished units are kept"),
        hired("cpu", scheduler=address) as crew,
    ):
        runner.simulate(spec.parse(long_text), tmp_path / "out", workers=crew)
    assert list((tmp_path / "out" / "units").glob("[!.]*.nc"))
    assert capfd.readouterr().err == ""


def test_a_scheduler_that_does_not_answer_is_one_sentence_after_a_bounded_wait(tmp_path, spec_text, monkeypatch):
    monkeypatch.setattr(cluster, "CONNECT_SECONDS", 1)
    (tmp_path / "s.toml").write_text(spec_text, encoding="utf-8")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{free.getsockname()[1]}"
        began = time.monotonic()
        done = CliRunner().invoke(
            main, ["simulate", str(tmp_path / "s.toml"), "--out", str(tmp_path / "out"), "--scheduler", address]
        )
    assert time.monotonic() - began < 20
    assert done.exit_code == 1
    assert f"no Dask scheduler answers at {address}" in done.output


def test_a_scheduler_without_workers_is_one_sentence(monkeypatch):
    monkeypatch.setattr(cluster, "FIRST_WORKER_SECONDS", 0.2)
    with (
        distributed.LocalCluster(n_workers=0, dashboard_address="localhost:0", processes=False) as empty,
        pytest.raises(RunError, match=r"no worker joined .* within 0.2 s; start one with `dask worker"),
        hired(scheduler=empty.scheduler_address),
    ):
        pass


def test_without_dask_the_sentence_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with (
        pytest.raises(InputError, match=r"pip install 'effbatch\[cluster\]'"),
        hired(scheduler="tcp://127.0.0.1:1"),
    ):
        pass
