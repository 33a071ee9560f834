"""A number and its interval -> the words of an answer."""

from __future__ import annotations

from effbatch.core.estimate import Estimate, Interval
from effbatch.core.formats import estimate_text, value_text


def number(value: float | None) -> str:
    """Three digits without trailing zeros, whole from 1,000 on."""
    return f"{value:.3g}" if value is not None and 1e-4 <= abs(value) < 1000 else value_text(value)


def number_text(value: float | None, interval: Interval | None) -> str:
    """A number with its interval; alone where it is exact given α and the law."""
    return number(value) if interval is None else estimate_text(_estimate(value, interval))


def sure(value: float | None, interval: Interval | None) -> str:
    """A number with its interval, or with the words that it has none."""
    return number_text(value, interval) if interval else f"{number(value)} (no interval)"


def percent(value: float, interval: Interval | None) -> str:
    return f"{100 * value:.3g} %" if interval is None else estimate_text(_estimate(value, interval).times(100), "%")


def _estimate(value: float | None, interval: Interval | None) -> Estimate:
    low, high = interval or (None, None)
    return Estimate(value, low, high)
