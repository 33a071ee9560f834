"""The rows of `theory_caps.py` -> the tables and the figure of where networks are lost."""

from __future__ import annotations

import numpy as np

from effbatch.core.figures import Axis, Figure, Panel, Role, Series

WIDTHS = {"ln16": 16, "ln32_3": 32, "bn48_48": 48, "bn_conv": 64, "bn128": 128, "ln512": 512}  # units of the last layer
KIND = ("optimizer", "momentum", "schedule")
SGD, MOMENTUM, ADAM = ("sgd", 0.0, "constant"), ("sgd", 0.9, "constant"), ("adam", 0.0, "constant")
INTRODUCTION = """
log2 of the rate at which half of what the best rate gains over chance is left (range over 3 seeds; 5 of plain networks
by SGD, 3 on MNIST). `>`: more is left at the highest rate of the grid. `?`: none is known. **Bold**: held out.
""".strip().splitlines()
SUMMARISED = """
Median |error| in powers of two [95 % over resampled networks]; median error, above 0 too high; n cells where both are
known, held-out networks. `gains`: networks with gains. `edge`, `accuracy`: of kernels that move. `scaled`: 1 − μ times
the measured rate of plain SGD. Accuracies of plain networks were stored before the runs; at which rate they say lost,
without momentum, and the edges, were read off afterwards.
""".strip().splitlines()
NAMES = {"moving": "accuracy"}


def as_markdown(found: list[dict]) -> list[str]:
    """Every cell that has predictions of its own, summaries by theory, and cosines beside rates that stay."""
    mine = [row for row in found if not row["plain"] or row["optimizer"] == "adam"]
    lines = [*INTRODUCTION, ""]
    for heading, kinds, names in (
        ("network that normalises, SGD", (SGD, MOMENTUM), ("last layer", "gains", "scaled")),
        ("network, Adam", (ADAM,), ("walk", "sharpness", "carried")),
    ):
        lines += [_head(heading, "α", "B", "lost at", *names)]
        lines += [_line(row, names) for row in mine if _kind(row) in kinds] + [""]
    return [*lines, *_summaries(found), "", *_cosines(found)]


def summary(some: list[dict], name: str) -> str:
    """Median |error| in powers of two [95 %, networks resampled]; median error, above 0 too high; n cells."""
    by_case: dict[str, list[float]] = {}
    for row in some:
        if row.get(name) is not None and row["lost"] is not None:
            by_case.setdefault(row["case"], []).append(row[name] - row["lost"])
    if not by_case:
        return ""
    errors, rng = [np.array(found) for found in by_case.values()], np.random.default_rng(0)
    drawn = rng.integers(len(errors), size=(2000, len(errors)))
    low, high = np.quantile([np.median(np.abs(np.concatenate([errors[i] for i in d]))) for d in drawn], [0.025, 0.975])
    every = np.concatenate(errors)
    return f"{np.median(np.abs(every)):.2f} [{low:.2f}, {high:.2f}]; {np.median(every):+.2f}; {len(every)}"


def _summaries(found: list[dict]) -> list[str]:
    held = [row for row in found if not row["seen"] and not row["network"].endswith("_bare")]
    normalised, plain = ([row for row in held if row["plain"] == whether] for whether in (False, True))
    small = [row for row in plain if not row["network"].startswith("he")]
    kinds = {
        "normalising, plain SGD": [r for r in normalised if _kind(r) == SGD],
        "normalising, momentum": [r for r in normalised if _kind(r) == MOMENTUM],
        "normalising, Adam": [r for r in normalised if _kind(r) == ADAM],
        "plain, PyTorch's start, plain SGD": [r for r in small if _kind(r) == SGD],
        "plain, He's start, plain SGD": [r for r in plain if r not in small and _kind(r) == SGD],
        "plain, momentum": [r for r in plain if _kind(r) == MOMENTUM],
        "plain, momentum and cosine": [r for r in plain if r["schedule"] == "cosine"],
        "plain, Adam": [r for r in plain if _kind(r) == ADAM],
    }
    names = ("last layer", "gains", "scaled", "edge", "moving", "walk", "sharpness", "carried", "linearised")
    lines = [*SUMMARISED, "", _head("networks", *(NAMES.get(name, name) for name in names))]
    for kind, some in kinds.items():
        for label, ours in ("α = 0", [r for r in some if not r["alpha"]]), ("α > 0", [r for r in some if r["alpha"]]):
            shown = (summary(ours, n) if n != "linearised" or some[0]["plain"] else "" for n in names)
            lines.append(_cells(f"{kind}, {label}", *shown))
    return lines


def _cosines(found: list[dict]) -> list[str]:
    """The same networks with momentum at a rate that stays and with a cosine."""
    lines = ["With momentum, at a rate that stays and with a cosine; what kernels that move say of both.", ""]
    lines += [_head("network", "α", "B", "constant", "cosine", "constant, said", "cosine, said")]
    for cosine in [row for row in found if row["schedule"] == "cosine"]:
        at = ("network", "alpha", "batch_size", "optimizer", "momentum", "plain")
        for still in found:
            if (
                still["schedule"] == "constant"
                and len(still["seeds"]) == len(cosine["seeds"])
                and all(still[key] == cosine[key] for key in at)
            ):
                lost, said = (tuple(_text(one[key]) for one in (still, cosine)) for key in ("lost", "moving"))
                lines.append(_cells(f"**{still['network']}**", still["alpha"], still["batch_size"], *lost, *said))
    return lines


def _line(row: dict, names: tuple[str, ...]) -> str:
    seeds = sorted(np.inf if one is None else one for one in row["seeds"])
    least, most = (_text(None if np.isinf(one) else one) for one in (seeds[0], seeds[-1]))
    name = row["case"] if row["seen"] else f"**{row['case']}**"
    lost = f"{_text(row['lost'])} [{least}, {most}]"
    return _cells(name, row["alpha"], row["batch_size"], lost, *(_text(row.get(name), "?") for name in names))


def _head(*names: str) -> str:
    return _cells(*names) + "\n" + "|---" * len(names) + "|"


def _cells(*cells: object) -> str:
    return "| " + " | ".join(map(str, cells)) + " |"


def _kind(row: dict) -> tuple:
    return tuple(row[key] for key in KIND)


def _text(value: float | None, otherwise: str = ">") -> str:
    return otherwise if value is None else f"{value:.1f}"


# The figure


def figure(found: list[dict]) -> Figure:
    """Clean labels and SGD against the width; momentum against plain SGD; Adam against the walk of noise."""
    caption = (
        "The rate at which half of what the best rate gains over chance is left, measured and predicted: whatever the "
        "width with clean labels, at a tenth with momentum 0.9 under noise, and for Adam at rates that rise with the "
        "effective batch."
    )
    return Figure("lost", caption, (_by_width(found), _by_momentum(found), _by_walk(found)))


def _by_width(found: list[dict]) -> Panel:
    clean = [r for r in found if not r["plain"] and not r["alpha"] and r["network"] in WIDTHS and _kind(r) == SGD]
    clean = sorted((r for r in clean if r["batch_size"] == 64), key=lambda row: WIDTHS[row["network"]])
    x = [WIDTHS[row["network"]] for row in clean]
    series = [_points("measured", x, clean)]
    series += [_curve(name, role, x, clean, name) for name, role in (("gains", "predicted"), ("last layer", "rival"))]
    axis = Axis("units of the last hidden layer", "log2", ticks=x)
    return Panel(axis, _rate("lost at the rate"), series, "Normalised, clean labels, SGD, B = 64")


def _by_momentum(found: list[dict]) -> Panel:
    mine = [r for r in found if not r["plain"] and _kind(r) == MOMENTUM]
    groups = {"clean labels": [r for r in mine if not r["alpha"]], "α = 8": [r for r in mine if r["alpha"]]}
    return _against("scaled", groups, "a tenth of that of plain SGD", "Normalised, momentum 0.9")


def _by_walk(found: list[dict]) -> Panel:
    mine = [r for r in found if r["plain"] and _kind(r) == ADAM]
    noisy = [r for r in mine if r["alpha"]]
    groups = {"clean labels": [r for r in mine if not r["alpha"]]}
    groups |= {
        f"{name}, α = 2, 8": [r for r in noisy if r["network"] == name] for name in {r["network"]: 0 for r in noisy}
    }
    return _against("walk", groups, "predicted: w√(B/(1 + B_noise))", "No normalisation, Adam")


def _against(name: str, groups: dict[str, list[dict]], label: str, title: str) -> Panel:
    """Predicted against measured, and the line on which both are equal."""
    known = {group: [r for r in some if r["lost"] is not None] for group, some in groups.items()}
    series = [
        Series(
            group,
            "measured",
            [2.0 ** r["lost"] for r in some],
            [2.0 ** r[name] for r in some],
            **_measured(some),
            group=group,
            interval="x",
        )
        for group, some in known.items()
    ]
    ends = [2.0 ** f(r[key] for some in known.values() for r in some for key in (name, "lost")) for f in (min, max)]
    equal = Series("equal", "rival", ends, ends, group="equal")
    return Panel(_rate("lost at the rate"), _rate(label), [*series, equal], title)


def _measured(some: list[dict]) -> dict[str, list[float]]:
    """The range over seeds of the rates at which cells were lost."""
    return {
        name: [2.0 ** f(one for one in r["seeds"] if one is not None) for r in some]
        for name, f in (("low", min), ("high", max))
    }


def _points(name: str, x: list[float], some: list[dict]) -> Series:
    return Series(name, "measured", x, [2.0 ** r["lost"] for r in some], **_measured(some), group=name)


def _curve(name: str, role: Role, x: list[float], some: list[dict], key: str) -> Series:
    return Series(name, role, x, [2.0 ** r[key] for r in some], group=name)


def _rate(label: str) -> Axis:
    return Axis(label, "log2")
