"""What a command asks for -> the workers that train its units."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

from effbatch.core.errors import InputError
from effbatch.sweep.cluster import dask_workers
from effbatch.sweep.processes import LocalProcesses
from effbatch.sweep.workers import InProcess, Workers


def hired(
    device: str = "auto", *, scheduler: str | None = None, processes: int | None = None
) -> AbstractContextManager[Workers]:
    """Workers for the time of a run: those of the Dask `scheduler` at an address, or so many local `processes`.

    Without either, this process. Raises InputError where both are given or Dask is not installed, RunError where the
    scheduler cannot be reached, has no workers, or is lost on the way.
    """
    if scheduler is not None and processes is not None:
        raise InputError("units are trained either by --workers or by --scheduler; got both: leave one out")
    if scheduler is not None:
        return dask_workers(scheduler, device)
    return nullcontext(InProcess(device)) if processes is None else LocalProcesses(processes, device)
