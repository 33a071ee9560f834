"""Spec + values of some grid keys -> the spec of those cells of it, to run one cell of a sweep again."""

from __future__ import annotations

import math
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from effbatch.core.errors import SpecError, hint
from effbatch.plan.cube import place_text
from effbatch.plan.spec import Spec

_RELATIVE = 1e-4  # by which a value may be rounded, as printed
_LISTED = 20  # values that an error names one by one


def only(spec: Spec, chosen: Sequence[str]) -> Spec:
    """The spec with its grid cut down to what `chosen` names: "alpha=3", "seed=0", ...; a key named twice keeps both.

    Cells are trained beside those that they had in the whole grid, so that they repeat bit for bit, save in an adaptive
    grid, which does not know these beforehand. Its learning rates follow from all seeds of a setting: who chooses seeds
    must choose rates, too, any that the grid may come to run.
    Raises SpecError for a key that the grid does not have, or a value that is not in it.
    """
    kept: dict[str, list[Any]] = {}
    for item in chosen:
        key, equals, text = item.partition("=")
        if not equals:
            raise SpecError(f"--only needs KEY=VALUE, such as alpha=3, got {item!r}", item=item)
        if key not in spec.grid:
            raise SpecError(f"--only {item}: {spec.name} has no list of {key!r} in [grid]; {hint(key, spec.grid)}")
        kept.setdefault(key, []).append(_value(text, _known(spec, key), item))
    if not kept:
        return spec
    if spec.ladder and "seed" in kept and "learning_rate" not in kept:
        raise SpecError(
            f"the learning rates of {spec.name} follow from all its seeds; give --only learning_rate=... too"
        )
    cut = {key: tuple(dict.fromkeys(value for value in _known(spec, key) if value in kept[key])) for key in kept}
    ladder = None if "learning_rate" in kept else spec.ladder
    arguments = f"{spec.arguments} {' '.join(map(_option, chosen))}"
    grid, whole_grid = {**spec.grid, **cut}, spec.whole_grid or spec.grid
    return replace(
        spec,
        grid=grid,
        ladder=ladder,
        whole_grid=None if spec.ladder or grid == whole_grid else whole_grid,
        arguments=arguments,
    )


def options(cell: Mapping[str, Any]) -> str:
    """What names one cell on the command line: {"alpha": 3.0, "seed": 0} -> "--only alpha=3 --only seed=0"."""
    return " ".join(_option(f"{key}={place_text(value)}") for key, value in cell.items())


def _known(spec: Spec, key: str) -> tuple[Any, ...]:
    """The values of a grid key; of the learning rates of an adaptive grid, all that it may run."""
    adaptive = spec.ladder.allowed if spec.ladder and key == "learning_rate" else ()
    return (*spec.grid[key], *adaptive)


def _value(text: str, known: Sequence[Any], item: str) -> Any:
    """The value that a text stands for; numbers may be rounded."""
    fitting = [v for v in known if text == str(v) or (isinstance(v, int | float) and _is_near(text, v))]
    if fitting:
        return min(fitting, key=lambda value: 0.0 if text == str(value) else abs(float(text) - value))
    ends = f"{place_text(min(known))} to {place_text(max(known))}"
    listed = ", ".join(map(place_text, known)) if len(known) <= _LISTED else ends
    raise SpecError(f"--only {item}: the grid has no such value: take one of {listed}", item=item)


def _is_near(text: str, value: float) -> bool:
    try:
        return math.isclose(float(text), value, rel_tol=_RELATIVE)
    except ValueError:
        return False


def _option(item: str) -> str:
    return f"--only {shlex.quote(item)}"
