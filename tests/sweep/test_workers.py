"""Units trained by processes of this machine: the same cube, a killed one's unit runs again, none stays behind."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
import xarray as xr

from effbatch.core.errors import InputError, RunError
from effbatch.plan import spec
from effbatch.plan.cube import Outcome
from effbatch.sweep import processes, runner, workers
from effbatch.sweep.hiring import hired
from effbatch.sweep.processes import LocalProcesses
from effbatch.sweep.store import Store


@pytest.fixture(scope="module")
def crew():
    """Two processes."""
    with hired("cpu", processes=2) as crew:
        yield crew


def test_two_workers_one_of_them_killed_in_mid_unit_give_the_cube_of_one_process(
    tmp_path, long_text, crew, one_thread, monkeypatch
):
    parsed = spec.parse(long_text)
    commit, committed, killed = Store.commit, [], []

    def killing(store, key, block):
        committed.append(key)
        if not killed:
            killed.append(multiprocessing.active_children()[-1])
            killed[0].kill()
        return commit(store, key, block)

    monkeypatch.setattr(Store, "commit", killing)
    watcher = Watcher()
    ours = runner.simulate(parsed, tmp_path / "cluster", workers=crew, progress=watcher)
    monkeypatch.setattr(Store, "commit", commit)
    assert killed
    assert len(committed) == len(set(committed)) == 6
    xr.testing.assert_equal(ours, runner.simulate(parsed, tmp_path / "here", device="cpu"))
    assert (ours["outcome"] == int(Outcome.FINISHED)).all()
    assert watcher.shares == [1.0] * 6  # a unit that ran twice is told once
    assert watcher.at_once == 2
    assert sum(watcher.seconds) == pytest.approx(ours.attrs["train_seconds"])


class Watcher(runner.Silent):
    """Keeps what it is told."""

    def __init__(self):
        self.shares, self.seconds = [], []

    def start(self, what, waiting, *, kept, at_once):
        self.at_once = at_once

    def advance(self, unit, share, seconds):
        self.shares.append(share)
        self.seconds.append(seconds)


def test_one_process_tells_of_shares_of_its_units(tmp_path, spec_text):
    watcher = Watcher()
    cube = runner.simulate(spec.parse(spec_text), tmp_path, device="cpu", progress=watcher)
    assert watcher.at_once == 1
    assert len(watcher.shares) > 3
    assert sum(watcher.shares) == pytest.approx(1)
    assert 0 < sum(watcher.seconds) <= cube.attrs["train_seconds"]


def test_any_executor_will_do(tmp_path, long_text, one_thread):
    parsed = spec.parse(long_text)
    with ThreadPoolExecutor(2) as pool:
        ours = runner.simulate(parsed, tmp_path / "thread", workers=workers.OnExecutor(pool, "cpu"))
    xr.testing.assert_equal(ours, runner.simulate(parsed, tmp_path / "here", device="cpu"))


def test_an_adaptive_sweep_half_done_here_is_ended_by_workers(tmp_path, spec_text, crew, one_thread):
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


def test_a_process_has_one_thread_and_one_of_several_gpus(monkeypatch):
    """The pinning itself; no GPU was there to train on."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,5")
    with LocalProcesses(2, "cpu") as two:
        found = {two.executor.submit(seen).result() for _ in range(20)}
    assert {gpu for gpu, _ in found} <= {"3", "5"}
    assert {threads for _, threads in found} == {1}


def seen() -> tuple[str | None, int]:
    return os.environ.get("CUDA_VISIBLE_DEVICES"), torch.get_num_threads()


def test_workers_of_another_version_are_refused(tmp_path, spec_text, crew, monkeypatch):
    monkeypatch.setattr(workers, "version", lambda package: "9.9")
    with pytest.raises(RunError, match=r"need the effbatch 9\.9 of the process that drives them, got 0\."):
        runner.simulate(spec.parse(spec_text), tmp_path, workers=crew)


def test_units_that_kill_every_worker_are_given_up_in_one_sentence(tmp_path, spec_text, monkeypatch):
    monkeypatch.setattr(workers, "_train_there", die)
    monkeypatch.setattr(processes, "DEATHS", 2)
    with (
        LocalProcesses(1, "cpu") as one,
        pytest.raises(RunError, match=r"died 2 times without finishing any of the 1 units left .* units are kept"),
    ):
        runner.simulate(spec.parse(spec_text), tmp_path, workers=one)


def die(*_: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def test_ctrl_c_keeps_the_finished_units_and_leaves_no_worker_behind(tmp_path, long_text):
    run = one_worker(tmp_path, long_text.replace("steps = 300", "steps = 700"))
    units = tmp_path / "out" / "units"
    wait_for(lambda: units.exists() and list(units.glob("[!.]*.nc")))
    os.killpg(run.pid, signal.SIGINT)  # a terminal sends it to the workers too
    _, said = run.communicate(timeout=60)
    assert run.returncode == 1
    assert "stopped; finished units are kept" in said
    assert "Traceback" not in said, said
    wait_for(lambda: not alive(run.pid), seconds=10)


def test_a_second_ctrl_c_ends_workers_in_mid_unit(tmp_path, long_text):
    """The first may come while the process of the worker is starting."""
    run = one_worker(tmp_path, long_text.replace("steps = 300", "steps = 1000000"))
    assert any("labelled copies to train on" in line for line in run.stderr)
    time.sleep(0.3)
    os.killpg(run.pid, signal.SIGINT)
    assert any("once more stops at once" in line for line in run.stderr)
    os.killpg(run.pid, signal.SIGINT)
    _, said = run.communicate(timeout=60)
    assert run.returncode == 1
    assert "stopped; finished units are kept" in said
    assert "Traceback" not in said, said
    wait_for(lambda: not alive(run.pid), seconds=10)


def one_worker(folder, text) -> subprocess.Popen:
    (folder / "s.toml").write_text(text, encoding="utf-8")
    command = [sys.executable, "-m", "effbatch", "simulate", str(folder / "s.toml"), "--out", str(folder / "out")]
    pipes = {"stderr": subprocess.PIPE, "stdout": subprocess.PIPE}
    return subprocess.Popen([*command, "--workers", "1"], **pipes, text=True, start_new_session=True)


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


def test_both_kinds_of_workers_at_once_are_refused():
    with pytest.raises(InputError, match="got both"), hired(processes=2, scheduler="tcp://127.0.0.1:1"):
        pass
