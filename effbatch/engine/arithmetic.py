"""PyTorch's settings for a while -> float32 that is float32, on every device.

PyTorch rounds the factors of convolutions to TensorFloat-32 (10 bits of mantissa instead of 23) on GPUs unless told
otherwise, and those of matrix products where `torch.set_float32_matmul_precision` allows it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

ARITHMETIC = "float32, without TensorFloat-32 or bfloat16"


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
