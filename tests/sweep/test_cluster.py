"""Units trained by a real Dask cluster: the same cube, a killed worker's unit runs again, a loss is a sentence."""

from __future__ import annotations

import io
import logging
import os
import signal
import socket
import subprocess
import sys
import time

import pytest
import torch
import xarray as xr
from click.testing import CliRunner

from effbatch.cli import main
from effbatch.core.errors import InputError, RunError
from effbatch.data import datasets
from effbatch.plan import spec
from effbatch.plan import units as cells
from effbatch.plan.cube import Outcome
from effbatch.sweep import cluster, runner
from effbatch.sweep.store import Store

pytest.importorskip("distributed")


@pytest.fixture(scope="module")
def crew():
    """A local cluster of two processes."""
    with cluster.hired("cpu", processes=2) as workers:
        yield workers


@pytest.fixture
def long_text(spec_text):
    """Six units of some tenths of a second."""
    text = spec_text.replace("batch_size = [8]", "batch_size = [2, 4, 6, 8, 10, 12]").replace(
        "steps = 20", "steps = 300"
    )
    return text


@pytest.fixture
def one_thread():
    """As many threads here as a worker has."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def test_two_workers_one_of_them_killed_in_mid_unit_give_the_cube_of_one_process(
    tmp_path, long_text, crew, one_thread, monkeypatch
):
    parsed = spec.parse(long_text)
    pids = crew.client.run(os.getpid)
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
    watcher = Watcher()
    ours = runner.simulate(parsed, tmp_path / "cluster", workers=crew, progress=watcher)
    monkeypatch.setattr(Store, "commit", commit)
    assert killed
    assert len(committed) == len(set(committed)) == 6
    xr.testing.assert_equal(ours, runner.simulate(parsed, tmp_path / "here", device="cpu"))
    assert (ours["outcome"] == int(Outcome.FINISHED)).all()
    assert watcher.model_steps == ours.attrs["model_steps"]  # no step of the unit that ran twice is told twice
    assert watcher.evaluations == ours["outcome"].size * ours.sizes["checkpoint"]
    assert len(watcher.seconds) > 6  # units report on the way
    assert min(watcher.seconds) > 0


class Watcher(runner.Silent):
    """Adds up what it is told."""

    def __init__(self):
        self.model_steps, self.evaluations, self.seconds = 0, 0, []

    def advance(self, unit, model_steps, evaluations, seconds):
        self.model_steps += model_steps
        self.evaluations += evaluations
        self.seconds.append(seconds)


def test_an_adaptive_sweep_half_done_here_is_ended_by_the_cluster(tmp_path, spec_text, crew, one_thread, monkeypatch):
    rates = "{ start = 0.1, stop = 0.4, factor = 2, refine = 1 }"
    parsed = spec.parse(spec_text.replace("[0.1, 0.4]", rates))
    whole = runner.simulate(parsed, tmp_path / "here", device="cpu")
    assert whole.attrs["rounds"] >= 2
    _, *later = sorted((tmp_path / "here" / "units").iterdir(), key=lambda path: path.stat().st_mtime_ns)
    assert later
    for path in later:
        path.unlink()
    kept = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "here" / "units").iterdir()}
    assert kept
    xr.testing.assert_equal(runner.simulate(parsed, tmp_path / "here", workers=crew), whole)
    assert kept.items() <= {p.name: p.stat().st_mtime_ns for p in (tmp_path / "here" / "units").iterdir()}.items()


def test_an_error_of_a_unit_comes_through_as_it_is(tmp_path, spec_text, crew):
    with pytest.raises(InputError, match="network 'no_such' is not known"):
        runner.simulate(spec.parse(spec_text.replace("mlp1", "no_such")), tmp_path, workers=crew)


def test_a_look_is_taken_by_a_worker(crew, spec_text):
    (one, *_) = cells.units(spec.parse(spec_text), {"digits": len(datasets.load("digits").x_train)})
    assert min(crew.pace(one)) > 0


def test_what_dask_calls_critical_is_no_traceback_of_ours(crew):
    heard = io.StringIO()
    handler = logging.StreamHandler(heard)  # pytest leaves Dask without the one it has elsewhere
    logger = logging.getLogger("distributed")
    logger.addHandler(handler)
    try:
        with cluster.hired("cpu", scheduler=crew.client.scheduler.address):
            logging.getLogger("distributed.scheduler").critical("Closed comm while trying to write")
    finally:
        logger.removeHandler(handler)
    assert heard.getvalue() == ""


def test_each_local_worker_sees_one_gpu(crew):
    """The pinning itself; no GPU was there to train on."""
    crew.client.register_plugin(cluster.local_worker(gpus=2))
    seen = crew.client.run(os.getenv, "CUDA_VISIBLE_DEVICES")
    assert sorted(seen.values()) == ["0", "1"]


def test_workers_of_another_version_are_refused(crew, monkeypatch):
    monkeypatch.setattr(cluster, "version", lambda package: "9.9")
    with pytest.raises(RunError, match=r"need the effbatch 9\.9 of this process; they have 0\."):
        cluster.DaskWorkers(crew.client, "cpu")


def test_a_unit_that_kills_every_worker_is_given_up_in_one_sentence(tmp_path, spec_text, crew, monkeypatch):
    monkeypatch.setattr(cluster, "_train_there", die)
    crew.client.run_on_scheduler(set_allowed_failures, failures=0)
    with pytest.raises(
        RunError, match=r"was given up because every worker that took it died .* finished units are kept"
    ):
        runner.simulate(spec.parse(spec_text), tmp_path, workers=crew)


def die(unit, device, topic):
    os.kill(os.getpid(), signal.SIGKILL)


def set_allowed_failures(dask_scheduler=None, failures=3):
    dask_scheduler.allowed_failures = failures


def test_a_lost_scheduler_keeps_the_finished_units_and_ends_with_one_sentence(tmp_path, long_text, monkeypatch, capfd):
    code = (
        "import time\nfrom distributed import LocalCluster\n\nif __name__ == '__main__':\n"
        "    local = LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address='localhost:0')\n"
        "    print(local.scheduler_address, flush=True)\n    time.sleep(600)"
    )
    (tmp_path / "local.py").write_text(code)
    command = [sys.executable, str(tmp_path / "local.py")]
    scheduler = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    address = scheduler.stdout.readline().strip()
    commit = Store.commit

    def losing(store, key, block):
        path = commit(store, key, block)
        scheduler.kill()
        scheduler.communicate()
        return path

    monkeypatch.setattr(Store, "commit", losing)
    monkeypatch.setattr(cluster, "CONNECT_SECONDS", 2)
    with (
        pytest.raises(RunError, match=r"^the Dask scheduler was lost; finished units are kept"),
        cluster.hired("cpu", scheduler=address) as workers,
    ):
        runner.simulate(spec.parse(long_text), tmp_path / "out", workers=workers)
    assert list((tmp_path / "out" / "units").glob("[!.]*.nc"))
    assert capfd.readouterr().err == ""


def test_ctrl_c_keeps_the_finished_units_and_leaves_no_worker_behind(tmp_path, long_text):
    (tmp_path / "s.toml").write_text(long_text.replace("steps = 300", "steps = 700"), encoding="utf-8")
    command = [sys.executable, "-m", "effbatch", "simulate", str(tmp_path / "s.toml"), "--out", str(tmp_path / "out")]
    run = subprocess.Popen(
        [*command, "--workers", "1"], stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    units = tmp_path / "out" / "units"
    wait_for(lambda: units.exists() and list(units.glob("[!.]*.nc")))
    os.killpg(run.pid, signal.SIGINT)  # a terminal sends it to the workers too
    _, said = run.communicate(timeout=60)
    assert run.returncode == 1
    assert "stopped; finished units are kept" in said
    assert "Traceback" not in said, said
    wait_for(lambda: not alive(run.pid), seconds=10)


def alive(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def wait_for(condition, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


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
    from distributed import LocalCluster

    monkeypatch.setattr(cluster, "FIRST_WORKER_SECONDS", 0.2)
    with (
        LocalCluster(n_workers=0, dashboard_address="localhost:0", processes=False) as empty,
        pytest.raises(RunError, match=r"no worker joined .* within 0.2 s; start one with `dask worker"),
        cluster.hired(scheduler=empty.scheduler_address),
    ):
        pass


def test_without_dask_the_sentence_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(InputError, match=r"run: pip install 'effbatch\[cluster\]'"), cluster.hired(processes=2):
        pass


def test_both_kinds_of_workers_at_once_are_refused():
    with pytest.raises(InputError, match="both came"), cluster.hired(processes=2, scheduler="tcp://127.0.0.1:1"):
        pass
