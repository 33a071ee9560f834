"""Shares or percentages of a confusion table -> its counts, once somebody says how many were checked."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from effbatch.core.errors import InputError

_ROUNDED = 0.51  # of the last digit, per cell


def counts_from_shares(
    values: NDArray[np.float64], checked: Sequence[int] | None, *, whole_are_counts: bool = False
) -> tuple[NDArray[np.int64], str | None]:
    """Whole counts and, where they were shares, a remark on how they were read; counts stay as they are.

    checked, whole_are_counts  as in `tables.read_counts`
    Raises InputError where the table holds shares and `checked` does not fit, and where it may hold either.
    """
    if values.size == 0 or not (np.isfinite(values) & (values >= 0)).all():
        raise InputError("confusion counts need whole numbers >= 0, got others: give counts")
    whole = bool((values == np.floor(values)).all())
    found = _normalised(values, whole)
    given = None if checked is None else list(checked)
    if found is None:
        if not whole:
            raise InputError(
                "confusion counts need whole numbers >= 0, got others that are no shares either: no sum is 1 or 100"
            )
        if given is not None and given != [int(values.sum())]:
            raise InputError(
                f"the counts say that {values.sum():,.0f} were checked, got --checked {_list(given)}: leave it out"
            )
        return values.astype(np.int64), None
    of, scale = found
    if whole and (whole_are_counts or given == [int(values.sum())]):
        return values.astype(np.int64), None
    groups = 1 if of == "table" else len(values)
    option = "--checked N" if of == "table" else f"--checked N1,N2,... (one number for each of the {groups} {of}s)"
    unit = "percentages" if scale == 100 else "shares"
    if given is None or len(given) != groups:
        got = "" if given is None else f", got --checked {_list(given)}"
        subject = "the table sums" if of == "table" else f"each {of} sums"
        if whole:
            raise InputError(
                f"{subject} to {scale}: these may be counts, {scale} checked of each, or {unit}{got}: say "
                f"--checked {values.sum():.0f} for counts, {option} for {unit}"
            )
        raise InputError(f"{subject} to {scale}: {unit} need to know of how many{got}: say {option}, or give counts")
    n = np.array(given, float)
    n = n[:, None] if of == "row" else n
    return _whole(values / scale * n, of), f"{unit} of {_list(given)} checked, as counts"


def _normalised(values: NDArray[np.float64], whole: bool) -> tuple[str, int] | None:
    """Which sums are all 1 or all 100, up to rounding: those of rows, of columns, or that of the table of shares."""
    for scale in (100, 1):
        for of, sums in (("row", values.sum(1)), ("column", values.sum(0)), ("table", values.sum(keepdims=True))):
            if whole and (of == "table" or scale == 1):
                continue  # 100 checked in all; one of each class
            cells = values.shape[0 if of == "column" else 1] if of != "table" else values.size
            allowed = 1.0 if whole else _ROUNDED * cells * _last_digit(values)
            empty = sums == 0
            if not empty.all() and (empty | (np.abs(sums - scale) <= min(allowed, 0.02 * scale))).all():
                return of, scale
    return None


def _last_digit(values: NDArray[np.float64]) -> float:
    return next((10.0**-d for d in range(12) if np.allclose(values, values.round(d), rtol=0, atol=1e-13)), 1e-12)


def _whole(expected: NDArray[np.float64], of: str) -> NDArray[np.int64]:
    """Whole numbers nearest to the expected ones that keep the sums of rows, of columns or of the table."""
    groups = [expected.ravel()] if of == "table" else list(expected if of == "row" else expected.T)
    kept = []
    for group in groups:
        counts = np.floor(group + 1e-9)
        missing = round(float(group.sum())) - int(counts.sum())
        counts[np.argsort(counts - group, kind="stable")[: max(missing, 0)]] += 1
        kept.append(counts)
    answer = np.array(kept)
    return (answer.T if of == "column" else answer.reshape(expected.shape)).astype(np.int64)


def _list(numbers: Sequence[int]) -> str:
    return ",".join(map(str, numbers))
