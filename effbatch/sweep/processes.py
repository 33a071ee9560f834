"""A number -> so many processes of this machine that train units; they end with the process that started them."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from threading import Thread
from typing import TYPE_CHECKING, Any, Self

import torch
import xarray as xr

from effbatch.core.errors import RunError
from effbatch.plan.units import Unit
from effbatch.sweep.workers import KEPT, Advance, OnExecutor

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

DEATHS = 4  # of a process in a row, with no unit finished in between, until a run is given up


class LocalProcesses(OnExecutor):
    """So many processes with one thread each, started when they are needed.

    One that dies ends the pool: a new one trains again what was not done. GPUs are dealt out in turn.
    """

    def __init__(self, processes: int, device: str = "auto") -> None:
        self.context = multiprocessing.get_context("spawn")
        self.number = self.context.Value("i", 0)
        super().__init__(self._pool(processes), device, at_once=processes)

    def _pool(self, processes: int) -> ProcessPoolExecutor:
        ear, self.line = self.context.Pipe(duplex=False)
        return _DeafToCtrlC(processes, self.context, initializer=_begin, initargs=(ear, self.number, _gpus()))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        """End the processes, in mid-unit if need be."""
        self.executor.shutdown(wait=False)
        self.line.close()

    def give_up(self, futures: Iterable[Future[xr.Dataset]]) -> None:
        """End the processes: a pool whose process dies minds futures that were cancelled (in Python 3.11)."""
        self.__exit__()
        self.executor = self._pool(self.at_once)

    def train(self, work: Sequence[Unit], advance: Advance) -> Iterator[tuple[Unit, xr.Dataset]]:
        left = {unit.key: unit for unit in work}
        deaths = 0
        while left:
            try:
                for unit, block in super().train(list(left.values()), advance):
                    deaths = 0
                    del left[unit.key]
                    yield unit, block
            except BrokenProcessPool as error:
                deaths += 1
                if deaths == DEATHS:
                    raise RunError(
                        f"worker processes died {deaths} times without finishing any of the {len(left)} units left "
                        f"(out of memory?): try fewer --workers; {KEPT}",
                        units=list(left),
                    ) from error
                self.executor = self._pool(self.at_once)


class _DeafToCtrlC(ProcessPoolExecutor):
    """A terminal sends Ctrl-C to all processes; those of the pool, started by `submit`, leave it to the driver."""

    def submit(self, *arguments: Any, **options: Any) -> Future[Any]:
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            return super().submit(*arguments, **options)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _gpus() -> list[str]:
    """Names of the GPUs that this process may use, as CUDA_VISIBLE_DEVICES gives them."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    return visible.split(",") if visible else [str(i) for i in range(torch.cuda.device_count())]


def _begin(ear: Connection, number: Any, gpus: Sequence[str]) -> None:
    """What a process does first: end when the line to the driver is closed, keep to one thread, see one GPU only.

    Where the driver is killed, the kernel closes the line. Never run on a GPU.
    """
    Thread(target=lambda: (ear.poll(None), os._exit(1)), daemon=True).start()
    torch.set_num_threads(1)
    if len(gpus) > 1:
        with number.get_lock():
            os.environ["CUDA_VISIBLE_DEVICES"] = gpus[number.value % len(gpus)]
            number.value += 1
