"""A Dask cluster -> workers that train units: processes of this machine, or whatever stands behind a scheduler.

The driver commits. A worker only returns arrays, so that it shares no disk with the driver; a unit whose worker died is
trained again by another one, and a unit is the same work wherever it runs.
"""

from __future__ import annotations

import logging
import os
import signal
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import torch
import xarray as xr

from effbatch.core.errors import InputError, RunError
from effbatch.engine import train as engine
from effbatch.plan.units import Unit
from effbatch.sweep.pace import Pace, pace_of
from effbatch.sweep.provenance import environment
from effbatch.sweep.workers import Advance, InProcess, Workers, train_unit

if TYPE_CHECKING:
    from distributed import Client, WorkerPlugin

CONNECT_SECONDS = 10
FIRST_WORKER_SECONDS = 60
SILENT = logging.CRITICAL + 1  # a scheduler calls it critical that its client leaves while it still has news
KEPT = "finished units are kept, and the same command goes on from there"
LOST = f"the Dask scheduler was lost; {KEPT}"


@contextmanager
def hired(device: str = "auto", *, scheduler: str | None = None, processes: int | None = None) -> Iterator[Workers]:
    """Workers for the time of a run: those of the Dask `scheduler` at an address, or so many local `processes`.

    Without either, this process. Raises InputError where Dask is not installed or both came, RunError where the
    scheduler cannot be reached, has no workers, or is lost on the way.
    """
    if scheduler is None and processes is None:
        yield InProcess(device)
        return
    if scheduler is not None and processes is not None:
        raise InputError("units are trained either by --workers or by --scheduler; both came: leave one out")
    try:
        import distributed
    except ImportError as error:
        raise InputError(
            "--workers and --scheduler need Dask, which is not installed; run: pip install 'effbatch[cluster]'"
        ) from error
    for handler in logging.getLogger("distributed").handlers:  # what matters of its log is said in one sentence below
        handler.setLevel(SILENT)
    if scheduler is not None:
        with _connected(scheduler) as client:
            yield DaskWorkers(client, device)
        return
    options = {"threads_per_worker": 1, "memory_limit": 0, "dashboard_address": "localhost:0"}
    with (
        distributed.LocalCluster(n_workers=processes, silence_logs=SILENT, **options) as local,
        _connected(local.scheduler_address) as client,
    ):
        client.register_plugin(local_worker(torch.cuda.device_count()))
        yield DaskWorkers(client, device)


class DaskWorkers:
    """The workers that a Dask client reaches."""

    def __init__(self, client: Client, device: str = "auto") -> None:
        self.client, self.device = client, device
        try:
            found = list(client.run(_environment_there, device).values())
        except (ImportError, AttributeError) as error:
            raise RunError(
                f"the Dask workers cannot import effbatch ({error}); install this version there too"
            ) from error
        except OSError as error:
            raise RunError(LOST) from error
        versions = sorted({facts["versions"]["effbatch"] for facts in found})
        if versions != [version("effbatch")]:
            raise RunError(
                f"the Dask workers need the effbatch {version('effbatch')} of this process; they have "
                f"{', '.join(versions)}: install the same version there",
                versions=versions,
            )
        self.facts = {**found[0], "device": "; ".join(sorted({facts["device"] for facts in found}))}

    def environment(self) -> dict[str, Any]:
        return self.facts

    def pace(self, unit: Unit) -> Pace:
        with _told_in_one_sentence(unit):
            return self.client.submit(_pace_there, unit, self.device, pure=False).result()

    def train(self, work: Sequence[Unit], advance: Advance) -> Iterator[tuple[Unit, xr.Dataset]]:
        from distributed import as_completed

        topic = f"effbatch-{self.client.id}"
        reports: deque[tuple[str, int, int, float]] = deque()
        self.client.subscribe_topic(topic, lambda event: reports.append(event[1]))
        unit_of = {self.client.submit(_train_there, unit, self.device, topic, pure=False): unit for unit in work}
        tell = told_once(work, advance)
        for future in as_completed(list(unit_of)):
            unit = unit_of.pop(future)
            with _told_in_one_sentence(unit):
                block = future.result()
            yield unit, block
            while reports:
                tell(*reports.popleft())
            tell(unit.key, unit.model_steps, unit.evaluations, block.attrs["seconds"])


@contextmanager
def _told_in_one_sentence(unit: Unit) -> Iterator[None]:
    """RunError for what Dask raises where a unit cannot be trained there."""
    from distributed import CancelledError
    from distributed.scheduler import KilledWorker

    try:
        yield
    except KilledWorker as error:
        raise RunError(
            f"unit {unit.key} was given up because every worker that took it died (out of memory?); {KEPT}",
            unit=unit.key,
        ) from error
    except (CancelledError, OSError) as error:
        raise RunError(LOST) from error


def _environment_there(device: str) -> dict[str, Any]:
    return environment(engine.pick_device(device))


def _pace_there(unit: Unit, device: str) -> Pace:
    return pace_of(unit, engine.pick_device(device))


def _train_there(unit: Unit, device: str, topic: str) -> xr.Dataset:
    """What a worker does; it reports as (unit's key, model-steps, evaluations, seconds) under a topic of the driver."""
    from distributed import get_worker

    worker = get_worker()
    return train_unit(unit, engine.pick_device(device), lambda unit, *done: worker.log_event(topic, (unit.key, *done)))


def told_once(work: Sequence[Unit], advance: Advance) -> Callable[[str, int, int, float], None]:
    """Advance by the unit's key, with nothing told twice: a unit may be trained again, or end untold."""
    units = {unit.key: unit for unit in work}
    left = {unit.key: (unit.model_steps, unit.evaluations) for unit in work}

    def tell(key: str, model_steps: int, evaluations: int, seconds: float) -> None:
        steps_left, evaluations_left = left.get(key, (0, 0))
        new, looked = min(model_steps, steps_left), min(evaluations, evaluations_left)
        if new or looked:
            left[key] = steps_left - new, evaluations_left - looked
            advance(units[key], new, looked, seconds * (new + looked) / (model_steps + evaluations))

    return tell


@contextmanager
def _connected(address: str) -> Iterator[Client]:
    """A client of the scheduler at an address that has at least one worker; every wait is bounded."""
    from distributed import Client

    try:
        client = Client(address, timeout=CONNECT_SECONDS)
    except (OSError, ValueError, TypeError) as error:
        raise RunError(
            f"no Dask scheduler answers at {address} ({error}); start one with `dask scheduler`, or use --workers",
            address=address,
        ) from error
    with client:
        try:
            client.wait_for_workers(1, timeout=FIRST_WORKER_SECONDS)
        except TimeoutError as error:
            raise RunError(
                f"no worker joined the Dask scheduler at {address} within {FIRST_WORKER_SECONDS} s; start one with "
                f"`dask worker {address}` and run the same command again",
                address=address,
            ) from error
        yield client


def local_worker(gpus: int) -> WorkerPlugin:
    """What a worker on this machine does first: leave Ctrl-C to the driver, and see one GPU only.

    Worker i sees GPU i modulo their number, from before CUDA starts there. Never run on a GPU.
    """
    from distributed import WorkerPlugin

    class LocalWorker(WorkerPlugin):
        name = "effbatch-local-worker"

        def setup(self, worker: Any) -> None:
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            if gpus > 1:
                os.environ["CUDA_VISIBLE_DEVICES"] = str(int(worker.name) % gpus)

    return LocalWorker()
