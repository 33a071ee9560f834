"""A training step on tensors -> the same step, captured once as a CUDA graph and replayed with no Python in between.

A step of small networks is dozens of kernels of microseconds each, and starting them one by one from Python takes
longer than running them. A graph starts all with one call. Never run on a GPU yet: tests replay steps on the CPU.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

WARM_UP = 3  # steps before the capture: by then all state is allocated and the libraries have chosen their kernels

Capture = Callable[[Callable[[], None]], Callable[[], None]]


class Replayed:
    """`step(*inputs)`: taken as it is WARM_UP times, then captured on fixed buffers and replayed.

    The step returns nothing and changes in place what it changes; its inputs keep their shapes. Every call is one step
    of training, those of the warm-up too, and a capture by itself takes none. Where capturing fails, steps go on as
    they are, and `reason` says why.
    """

    def __init__(self, step: Callable[..., None], capture: Capture) -> None:
        self.step, self.capture = step, capture
        self.taken = 0
        self.buffers: list[Tensor] = []
        self.replay: Callable[[], None] | None = None
        self.reason: str | None = None

    def __call__(self, *inputs: Tensor) -> None:
        if self.taken == WARM_UP:
            self._capture(inputs)
        if self.replay is None:
            self.step(*inputs)
        else:
            for buffer, value in zip(self.buffers, inputs, strict=True):
                buffer.copy_(value)
            self.replay()
        self.taken += 1

    def _capture(self, inputs: tuple[Tensor, ...]) -> None:
        self.buffers = [value.clone() for value in inputs]
        try:
            self.replay = self.capture(lambda: self.step(*self.buffers))
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:
            self.reason = str(error).partition("\n")[0]


def capture_on(device: torch.device) -> Capture | None:
    """How steps are captured on a device; None where they are not."""
    return _cuda_graph if device.type == "cuda" else None


def _cuda_graph(step: Callable[[], None]) -> Callable[[], None]:
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step()
    return graph.replay
