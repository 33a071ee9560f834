"""The name of a device -> the device, and PyTorch's settings while networks train there.

PyTorch rounds the factors of convolutions to TensorFloat-32 (10 bits of mantissa instead of 23) on GPUs unless told
otherwise, and those of matrix products where `torch.set_float32_matmul_precision` allows it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from effbatch.core.errors import InputError

ARITHMETIC = "float32, without TensorFloat-32; bfloat16 in products and convolutions where the spec asks for it"


def pick_device(name: str = "auto") -> torch.device:
    """`auto` is the GPU where PyTorch finds one, else the CPU. InputError where `cuda` is asked for in vain."""
    found = torch.cuda.is_available()
    if name == "cuda" and not found:
        raise InputError(
            "device cuda was asked for, but PyTorch finds no GPU here; use --device auto, or `effbatch doctor`"
        )
    return torch.device(("cuda" if found else "cpu") if name == "auto" else name)


def out_of_memory(error: BaseException) -> bool:
    """Whether memory did not suffice: of a GPU, or of the CPU, for which PyTorch has no exception of its own."""
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or "can't allocate memory" in str(error)


@contextmanager
def exact_float32() -> Iterator[None]:
    """No TensorFloat-32 or bfloat16 inside float32 products and convolutions; the caller's settings come back."""
    products, convolutions = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    torch.set_float32_matmul_precision("highest")
    torch.backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(products)
        torch.backends.cudnn.allow_tf32 = convolutions


@contextmanager
def threads_within(operations: int | None) -> Iterator[None]:
    """PyTorch's threads within one operation, for a while; None leaves them as they are."""
    before = torch.get_num_threads()
    torch.set_num_threads(operations or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)
