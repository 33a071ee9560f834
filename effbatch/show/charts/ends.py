"""Curves of a figure -> the names that stand at their right ends in place of a legend; none where they would not fit.

A name stands where its curve ends, pushed up or down only as far as names above each other need.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from effbatch.core.figures import Figure, Panel, Series
from effbatch.show.charts.axes import MARGIN, SCALES, domains, finite
from effbatch.show.charts.look import LABEL_FONT, PANEL_HEIGHT

LINE = 13  # px from one name to the next
SHIFT = 20  # px that a name may stand above or below the end of its curve
SHORT = 2 * MARGIN  # of the width, that a curve may end before the axis does
LONGEST = {1: 24, 2: 11}  # characters, by the number of panels in a row; in a row of three there is no room
NARROW = 8  # characters, in a column of a paper
ROLES = ("measured", "predicted", "rival")  # whose end it is, where a group has several series
CHARACTER = 0.6  # of the size of the font, its width
SYMBOL = 24  # px before a name


def names_at_ends(
    figure: Figure, groups: Mapping[str, Sequence[Series]], in_row: int, *, narrow: bool = False
) -> list[list[dict[str, Any]]]:
    """For every panel the names of its groups at data coordinates; empty where one of them finds no place."""
    longest = NARROW if narrow else LONGEST.get(in_row, 0)
    if len(groups) < 2 or max(map(len, groups)) > longest:
        return []
    names = [_panel(panel, groups, PANEL_HEIGHT[in_row]) for panel in figure.panels]
    return names if all(names) else []


def room(names: Sequence[Sequence[Mapping[str, Any]]]) -> int:
    """Width in px of the longest name with its symbol; 0 without names."""
    longest = max((len(row["name"]) for panel in names for row in panel), default=0)
    return round(longest * CHARACTER * LABEL_FONT + SYMBOL) if longest else 0


def _panel(panel: Panel, groups: Mapping[str, Sequence[Series]], height: int) -> list[dict[str, Any]]:
    if panel.heat is not None or any(series.interval == "x" for series in panel.series):
        return []
    x_domain, y_domain = domains(panel)
    to_x, to_y, back = SCALES[panel.x.scale][0], *SCALES[panel.y.scale]
    (left, right), (bottom, top) = map(to_x, x_domain), map(to_y, y_domain)
    ends = {name: end for name in groups if (end := _end(panel, name)) is not None}
    if not ends or any(right - to_x(x) > SHORT * (right - left) for x, _ in ends.values()):
        return []
    order = sorted(ends, key=lambda name: ends[name][1])
    wanted = [(to_y(ends[name][1]) - bottom) / (top - bottom) * height for name in order]
    places = _apart(wanted, height)
    crowded = any(high - low < LINE - 0.5 for low, high in pairwise(places))
    if crowded or any(abs(place - wish) > SHIFT for place, wish in zip(places, wanted, strict=True)):
        return []
    return [
        {"name": name, "group": name, "x": x_domain[1], "y": back(bottom + place / height * (top - bottom))}
        for name, place in zip(order, places, strict=True)
    ]


def _end(panel: Panel, group: str) -> tuple[float, float] | None:
    """The last point of the group in this panel: of what was measured, else predicted, else of a rival."""
    series = [one for one in panel.series if (one.group or one.name) == group]
    for one in sorted(series, key=lambda one: ROLES.index(one.role)):
        points = [(float(x), float(y)) for x, y in zip(one.x, one.y, strict=True) if finite(x) and finite(y)]
        if points:
            return max(points)
    return None


def _apart(wanted: Sequence[float], height: float) -> list[float]:
    """Places in increasing order, at least LINE apart and inside of the panel, each as near to the one wanted as that
    allows: neighbours that would touch share what they are pushed."""
    blocks: list[tuple[float, int]] = []  # middle, how many names
    for wish in wanted:
        middle, count = wish, 1
        while blocks and middle - (count - 1) / 2 * LINE < blocks[-1][0] + (blocks[-1][1] + 1) / 2 * LINE:
            other, others = blocks.pop()
            middle, count = (middle * count + other * others) / (count + others), count + others
        half = (count - 1) / 2 * LINE
        blocks.append((min(max(middle, half), height - half), count))
    return [middle + (i - (count - 1) / 2) * LINE for middle, count in blocks for i in range(count)]
