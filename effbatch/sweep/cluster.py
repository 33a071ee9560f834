"""The address of a Dask scheduler -> the workers behind it, which train units.

A unit whose worker died is trained again by another one.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from concurrent.futures import CancelledError, Future
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import xarray as xr

from effbatch.core.errors import InputError, RunError, first_line
from effbatch.plan.units import Unit
from effbatch.sweep.workers import KEPT, OnExecutor

if TYPE_CHECKING:
    from distributed import Client

CONNECT_SECONDS = 10
FIRST_WORKER_SECONDS = 60
SILENT = logging.CRITICAL + 1  # a scheduler calls it critical that its client leaves while it still has news
LOST = f"the Dask scheduler was lost; {KEPT}"


@contextmanager
def dask_workers(address: str, device: str = "auto") -> Iterator[DaskWorkers]:
    """The workers of the scheduler at an address, at least one; every wait is bounded.

    InputError where Dask is not installed, RunError where nobody answers.
    """
    try:
        from distributed import Client
    except ImportError as error:
        raise InputError("--scheduler needs Dask, which is not installed: pip install 'effbatch[cluster]'") from error
    for handler in logging.getLogger("distributed").handlers:  # what matters of its log is said in one sentence below
        handler.setLevel(SILENT)
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
        yield DaskWorkers(client, device)


class DaskWorkers(OnExecutor):
    """The workers that a Dask client reaches now, and those that join it later."""

    def __init__(self, client: Client, device: str = "auto") -> None:
        self.client = client
        super().__init__(client.get_executor(pure=False), device)

    @property
    def at_once(self) -> int:
        return max(1, sum(self.client.nthreads().values()))

    def environment(self) -> dict[str, Any]:
        try:
            return super().environment()
        except (ImportError, AttributeError, RuntimeError) as error:
            raise RunError(
                f"the Dask scheduler and its workers need effbatch, got {first_line(error)}: install this version there"
            ) from error

    def result(self, future: Future[xr.Dataset], unit: Unit) -> xr.Dataset:
        from distributed.scheduler import KilledWorker

        try:
            return future.result()
        except KilledWorker as error:
            raise RunError(
                f"unit {unit.key} was given up because every worker that took it died (out of memory?); {KEPT}",
                unit=unit.key,
            ) from error
        except (CancelledError, OSError) as error:
            raise RunError(LOST) from error
