"""An open .npy file -> its array: nothing is unpickled, and nothing is read before its declared size is allowed."""

from __future__ import annotations

import tokenize
from math import prod
from typing import IO

import numpy as np

MAX_BYTES = 2**32  # of one array: 2³⁰ pixels in float32
BROKEN = (
    ValueError,
    TypeError,
    EOFError,
    SyntaxError,
    tokenize.TokenError,
    RecursionError,
)  # what NumPy raises for one


def read_array(file: IO[bytes]) -> np.ndarray:
    """The array in an .npy file, from its first byte on.

    Raises one of BROKEN where the file is none, holds objects, or declares more than MAX_BYTES; OSError where it
    cannot be read.
    """
    version = np.lib.format.read_magic(file)
    if version not in ((1, 0), (2, 0), (3, 0)):
        raise ValueError(f"version {version} of the format is not known")
    read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, fortran_order, dtype = read_header(file)
    if dtype.hasobject:
        raise ValueError("objects would have to be unpickled, which runs code")
    size = prod(shape) * dtype.itemsize
    if min(shape, default=0) < 0 or size > MAX_BYTES:
        raise ValueError(f"an array of shape {shape} and {dtype} is declared; at most {MAX_BYTES:,} bytes are read")
    content = file.read(size)
    if len(content) != size:
        raise EOFError(f"{size:,} bytes are declared, {len(content):,} are there")
    array = np.frombuffer(content, dtype)
    return array.reshape(shape[::-1]).T if fortran_order else array.reshape(shape)
