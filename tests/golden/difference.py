"""Two JSON values -> the first place where they differ, named by its path; numbers may be off by a tolerance."""

from __future__ import annotations

import math
from typing import Any

TIMINGS = ("cost.seconds",)  # another number in every run; only its type is compared


def assert_same(recorded: Any, now: Any, tolerance: float = 0.0) -> None:
    __tracebackhide__ = True
    difference = first_difference(recorded, now, tolerance)
    if difference:
        raise AssertionError(difference)


def first_difference(recorded: Any, now: Any, tolerance: float = 0.0, path: str = "") -> str | None:
    """`learning_rate.linear.factor: 0.14 became 0.15`; None where they agree. Numbers are compared relatively."""
    if type(recorded) is not type(now):
        return f"{path}: {recorded!r} became {now!r}"
    if isinstance(recorded, dict):
        if list(recorded) != list(now):
            return f"{path or 'keys'}: {_keys(recorded, now)}"
        pairs = [(f"{path}.{key}" if path else key, recorded[key], now[key]) for key in recorded]
    elif isinstance(recorded, list):
        if len(recorded) != len(now):
            return f"{path}: {len(recorded)} entries became {len(now)}"
        pairs = [(f"{path}[{i}]", *both) for i, both in enumerate(zip(recorded, now, strict=True))]
    else:
        same = recorded == now or (isinstance(now, float) and math.isclose(recorded, now, rel_tol=tolerance))
        return None if same or path in TIMINGS else f"{path}: {recorded!r} became {now!r}"
    found = (first_difference(before, after, tolerance, where) for where, before, after in pairs)
    return next((difference for difference in found if difference), None)


def _keys(recorded: dict, now: dict) -> str:
    """What happened to the keys of an object."""
    lost, new = [key for key in recorded if key not in now], [key for key in now if key not in recorded]
    return f"keys lost {lost}, keys new {new}" if lost or new else f"keys in another order: {list(now)}"
