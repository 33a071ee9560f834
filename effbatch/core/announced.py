"""What work will take -> a sentence before it begins where that is much, or a refusal where memory would not do."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from math import inf
from pathlib import Path

from effbatch.core.errors import InputError

LONG, MUCH = 10.0, 1e9  # seconds, bytes: what takes more is told
SHARE = 0.8  # of the free memory that work may take
_LIMITS = (  # of a container: where its files are, the most, what is in use, and what of that can be given back
    ("/sys/fs/cgroup", "memory.max", "memory.current", "inactive_file"),
    ("/sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
)


_untold: ContextVar[bool] = ContextVar("untold", default=False)


@contextmanager
def untold() -> Iterator[None]:
    """Nothing goes to stderr for a while: who only looks what is there needs no sentence."""
    before = _untold.set(True)
    try:
        yield
    finally:
        _untold.reset(before)


def to_stderr(sentence: str) -> None:
    """Where a sentence about work goes unless told otherwise."""
    if not _untold.get():
        print(f"effbatch: {sentence}", file=sys.stderr, flush=True)


def announce(
    what: str, *, seconds: float = 0.0, memory: float = 0.0, instead: str, tell: Callable[[str], None] = to_stderr
) -> None:
    """Tell what takes more than ten seconds of one CPU core or one gigabyte, and what could be done instead.

    InputError where it takes more than four fifths of the memory that is free.
    """
    if memory > SHARE * (free := free_memory()):
        raise InputError(
            f"{what} would need about {memory / 1e9:.3g} GB of memory, got {free / 1e9:.3g} GB free: {instead}"
        )
    said = [f"about {seconds:,.0f} s on one CPU core"] * (seconds > LONG)
    said += [f"about {memory / 1e9:.3g} GB of memory"] * (memory > MUCH)
    if said:
        tell(f"{what}, {' and '.join(said)}; {instead}")


def free_memory() -> float:
    """Bytes that this process may still take; infinite where the system does not say."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        free = 1024.0 * next(int(line.split()[1]) for line in lines if line.startswith("MemAvailable"))
    except (OSError, StopIteration, ValueError):
        return inf
    return min([free, *(left for limit in _LIMITS if (left := _left(*limit)) is not None)])


def _left(folder: str, most: str, used: str, cache: str) -> float | None:
    """Bytes that a container may still take: files that it has read lie in memory, and go when that is needed."""
    try:
        of = dict(line.split() for line in (Path(folder) / "memory.stat").read_text().splitlines())
        limit, taken = (int((Path(folder) / name).read_text()) for name in (most, used))
        return float(limit - taken + int(of.get(cache, 0)))
    except (OSError, ValueError):  # "max" is no number: there is no limit
        return None
