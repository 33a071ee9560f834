"""Estimates, numbers and tables as plain data -> text for readers: digits and intervals, aligned columns, CSV."""

from __future__ import annotations

import csv
import io
import math
import re
import textwrap
from collections.abc import Sequence
from numbers import Integral

from markupsafe import Markup, escape

from effbatch.core.estimate import Estimate
from effbatch.core.figures import Cell, Figure, Number, Table

_SHORT_RANGE = re.compile(r"\S*\d\S* (to|\[\S+) \S*\d\S*")  # an interval, to stay on one line
_NUMBER = re.compile(r"[−+]?[\d,]*\.?\d+")
_DURATION = re.compile(r"(< )?[\d.]+ s|(\d+ h )?\d+ min")
_PAIR = re.compile(r"\S+ = [\d(−-]\S*|\d %|\d × 10\S")  # n = 12, α = 0.58, 95 %
_TOGETHER = re.compile(rf"{_PAIR.pattern}|([\d.]+ )?\[[^\[\]]+, [^\[\]]+\]")  # and [0.2, 0.4]
_SUPERSCRIPT = str.maketrans("-−+.()/0123456789abnsβγδ", "⁻⁻⁺·⁽⁾ᐟ⁰¹²³⁴⁵⁶⁷⁸⁹ᵃᵇⁿˢᵝᵞᵟ") | {
    ord(fraction): over for fraction, over in (("¼", "¹ᐟ⁴"), ("½", "¹ᐟ²"), ("¾", "³ᐟ⁴"))
}
_POWER = re.compile(r"\^(\((?:[^()]|\([^()]*\))*\)|[-−]?\d+(?:\.\d+)?|[-−]?\w)")  # ^-0.49, ^δ, ^−¾, ^(−s/(1+s))
_INDEX = re.compile(r"(?<![\w.])([A-Za-zη])_(\w+)")  # B_noise, S_0; not square_root
_NAN = re.compile(r"[-−+]?\bnan\b")
FACTOR = 4  # between limits
LONGEST_NAME = 14  # characters, where names share a line
TIME = "time"  # the form of a column of seconds
FIGURE_SPACE, POINT_SPACE = "\u2007", "\u2008"  # as wide as a digit, and as a point


def value_text(value: float | None, decimals: int | None = None) -> str:
    """A number for readers: `decimals` places, else three digits or a whole number; None, NaN: "cannot tell"."""
    if value is None or math.isnan(value):
        return "cannot tell"
    if math.isinf(value):
        text = "∞" if value > 0 else "-∞"
    elif isinstance(value, Integral) or (decimals is None and value == int(value) and abs(value) < 1e15):
        text = f"{int(value):,}"
    elif value != 0 and not 1e-4 <= abs(value) < 1e6:
        factor, exponent = f"{value:.2e}".split("e")
        text = f"{factor} × 10{str(int(exponent)).translate(_SUPERSCRIPT)}"
    else:
        if decimals is None:
            decimals = 2 - _magnitude(value)
        text = f"{round(value, decimals):,.{max(decimals, 0)}f}"
    return text.replace("-", "−")


def estimate_text(estimate: Estimate, unit: str = "", *, n: bool = True, difference: bool = False) -> str:
    """Value with unit, interval and sample size: the one way that a text shows an estimate.

    "1.83 steps [1.71, 1.95], n = 12", "15 (at least 12)", "4 (exact)", "0.3 (no interval)", "cannot tell (at most 2)".
    n           False where a column or a sentence says it for several
    difference  whether it may as well be 0, so that a limit near 0 needs no digits of its own: "5 [0, 11]"
    """
    value, interval = _parts(estimate, difference=difference)
    text = f"{value} {unit}" if unit and estimate.value is not None else value
    text = f"{text} {interval}" if interval else text
    return text if estimate.n is None or not n else f"{text}, n = {estimate.n:,}"


def number_text(number: Number) -> str:
    """The estimate of a number, in its unit."""
    return estimate_text(number.estimate, number.unit, difference=number.difference)


def known(text: str) -> str:
    """`text` with words for a number that is none, should one have come that far: "cannot tell" for nan."""
    return _NAN.sub("cannot tell", text)


def typeset(text: str) -> str:
    """Powers as a chart writes them, without markup: "B^¼ (1+α)^-0.49" -> "B¹ᐟ⁴ (1+α)⁻⁰·⁴⁹".

    The fonts of the charts have each of these letters. A power that has no such letter, as ^L, stays as it is.
    """
    return _POWER.sub(lambda m: _raised(m[1]) or m[0], text)


def marked_up(text: str) -> Markup:
    """`text` escaped for HTML, its powers raised, its indices lowered, its commands between backticks as code.

    "n = 12" and "95 %" never part at the end of a line; a note's "predicted: -2.1" has the minus sign of all numbers.
    """
    signed = re.sub(r"(?<=: )-(?=\d)", "−", str(escape(known(text))))
    together = _PAIR.sub(lambda m: m[0].replace(" ", "\u00a0"), signed)
    raised = _POWER.sub(lambda m: f"<sup>{m[1].replace('-', '−')}</sup>", together)
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", _INDEX.sub(r"\1<sub>\2</sub>", raised)))


def shortened(name: str) -> str:
    """A name as a line has room for it.

    >>> shortened("labrador retriever")
    'labrador retr…'
    """
    return name if len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME - 1]}…"


def wrapped(text: str, width: int, *, indent: str = "", hanging: str = "") -> str:
    """`text` in lines of at most `width` columns after `indent`, further ones after `hanging`.

    Longer words stand out: paths and commands are words, and "n = 12" and "95 %" never part.
    """
    lines = textwrap.fill(
        _TOGETHER.sub(lambda m: m[0].replace(" ", "\u00a0"), known(text)),
        max(width, 1),
        initial_indent=indent,
        subsequent_indent=hanging,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return lines.replace("\u00a0", " ")


def p_text(p_value: float | None) -> str:
    """A p-value with three decimals: "0.012", "< 0.001", or a dash where there was no test."""
    if p_value is None:
        return "–"
    return "< 0.001" if p_value < 0.001 else f"{p_value:.3f}"


def duration(seconds: float | None) -> str:
    """1e-5 -> < 0.01 s; 0.42 -> 0.42 s; 42 -> 42 s; 600 -> 10 min; 4320 -> 1 h 12 min; None -> unknown time."""
    if seconds is None:
        return "unknown time"
    if 0 < seconds < 0.01:
        return "< 0.01 s"
    if seconds < 120:
        return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.2g} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"


def cell_text(cell: Cell, form: str = "") -> str:
    """A table cell: text as it is, None as a dash, an estimate without its n, a float by its format spec or digits.

    form  a format spec, or TIME for seconds that are read as a duration
    """
    if isinstance(cell, Estimate):
        return estimate_text(cell, n=False)
    if isinstance(cell, str):
        return cell.replace(" ", "\u00a0") if _SHORT_RANGE.fullmatch(cell) else cell
    if cell is None:
        return "–"
    if form == TIME:
        return duration(cell)
    if form and not isinstance(cell, Integral) and math.isfinite(cell):
        return format(cell, form).replace("-", "−")
    return value_text(cell)


def numbers_table(name: str, caption: str, numbers: Sequence[Number]) -> Table:
    """Numbers as a table: quantity with its unit, value, interval, n, and the notes where there are any."""
    rows: list[list[Cell]] = []
    for number in numbers:
        label = f"{number.label}, {number.unit}" if number.unit else number.label
        value, interval = _parts(number.estimate, difference=number.difference)
        interval = interval.strip("()") if interval.startswith("(") else interval
        rows.append([label, value, interval or "–", number.estimate.n, number.note])
    columns = ["quantity", "value", "95 % interval", "n", "note"]
    if not any(number.note for number in numbers):
        columns.pop()
        rows = [row[:-1] for row in rows]
    return Table(name, caption, columns, rows)


def formatted(table: Table) -> list[list[str]]:
    """The columns of `table` as text."""
    forms = [*table.formats, *[""] * (len(table.columns) - len(table.formats))]
    return [[cell_text(row[i], form) for row in table.rows] for i, form in enumerate(forms)]


def is_quantity(cells: Sequence[str]) -> bool:
    """Whether a column of texts holds numbers or durations only, or nothing where there is none."""
    known = [cell for cell in cells if cell not in ("–", "")]
    return bool(known) and all(
        _NUMBER.fullmatch(cell) or _DURATION.fullmatch(cell) or cell in ("cannot tell", "∞") for cell in known
    )


def aligned(cells: Sequence[str]) -> list[str]:
    """A column of numbers with as many places after the point: flush right, the points stand below each other.

    Other columns stay as they are.
    """
    if not is_quantity(cells):
        return list(cells)
    decimals = max((len(cell.partition(".")[2]) for cell in cells if _NUMBER.fullmatch(cell)), default=0)
    padded = []
    for cell in cells:
        if _NUMBER.fullmatch(cell):
            _, point, after = cell.partition(".")
            gap = POINT_SPACE if decimals and not point else ""
            cell = f"{cell}{gap}{FIGURE_SPACE * (decimals - len(after))}"
        padded.append(cell)
    return padded


def table_csv(table: Table) -> str:
    """`table` as CSV, unrounded; None and NaN are empty, and a column of estimates becomes three: value, low, high."""
    columns: list[str] = []
    cells: list[Sequence[Cell]] = []
    for i, (name, column) in enumerate(zip(table.columns, zip(*table.rows, strict=True), strict=True)):
        columns.append(f"{name}, s" if TIME in table.formats[i : i + 1] else name)
        cells.append([cell.value if isinstance(cell, Estimate) else cell for cell in column])
        if any(isinstance(cell, Estimate) for cell in column):
            limits = [(cell.low, cell.high) if isinstance(cell, Estimate) else (None, None) for cell in column]
            columns += [f"{name} low", f"{name} high"]
            cells += zip(*limits, strict=True)
    return _csv(columns if table.rows else table.columns, list(zip(*cells, strict=True)))


def figure_csv(figure: Figure) -> str:
    """What `figure` shows, one row per point: panel, series, role, x, y, low, high; for a map the value at (x, y)."""
    rows: list[list[Cell]] = []
    for i, panel in enumerate(figure.panels, 1):
        title = panel.title or f"panel {i}"
        for s in panel.series:
            for x, y, low, high in s.points():
                rows.append([title, panel.x.label, panel.y.label, s.name, s.role, x, y, low, high])
        if panel.heat is not None:
            heat, label = panel.heat, panel.heat.label
            for y, values in zip(heat.y, heat.values, strict=True):
                for x, value in zip(heat.x, values, strict=True):
                    rows.append([title, panel.x.label, panel.y.label, label, "measured", x, y, None, None, value])
    columns = ["panel", "x is", "y is", "series", "role", "x", "y", "low", "high"]
    if any(panel.heat is not None for panel in figure.panels):
        columns.append("value")
        rows = [row + [None] * (len(columns) - len(row)) for row in rows]
    return _csv(columns, rows)


def _csv(columns: Sequence[str], rows: Sequence[Sequence[Cell]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    for row in rows:
        writer.writerow(["" if cell is None or cell != cell else cell for cell in row])
    return text.getvalue()


def _parts(estimate: Estimate, *, difference: bool = False) -> tuple[str, str]:
    """Value and interval as text: "1.83", "[1.71, 1.95]"; or "(exact)", "(at least 15)", "(no interval)"."""
    value, low, high = estimate.value, estimate.low, estimate.high
    if estimate.exact:
        whole = value is None or value == 0 or abs(value) >= 1e-4  # else a power of ten
        return cell_text(value, ".6g" if whole else ""), "(exact)"
    if low is not None and high is not None:
        # Two digits of the interval's width: the value shows what is known of it, no more. What is known to a factor
        # has no such width, and its low limit needs digits of its own: three of each.
        to_a_factor = 0 < FACTOR * low <= high and not difference
        decimals = 1 - _magnitude(high - low) if low < high and not to_a_factor else None
        text, *limits = (value_text(x, decimals) for x in (value, low, high))
        return text, f"[{', '.join(limits)}]"
    if low is not None or high is not None:
        limit = f"at most {value_text(high)}" if low is None else f"at least {value_text(low)}"
        return value_text(value), f"({limit})"
    return value_text(value), "" if value is None else "(no interval)"


def _raised(power: str) -> str | None:
    """Its letters raised, the brackets around the whole left out; None where Unicode does not have them all."""
    inner = power[1:-1] if power.startswith("(") else power
    return inner.translate(_SUPERSCRIPT) if all(ord(letter) in _SUPERSCRIPT for letter in inner) else None


def _magnitude(value: float) -> int:
    return math.floor(math.log10(abs(value)))
