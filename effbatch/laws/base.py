"""What every law takes and gives: two settings -> the ratio of their best learning rates, and its regime."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass, fields, replace
from typing import Any, NamedTuple, Protocol

import numpy as np

from effbatch.core.errors import InputError, hint
from effbatch.theory.schedules import SCHEDULES

Array = Any  # float, NumPy array or DataArray

SGD = ("sgd", "momentum")  # momentum: Nesterov's too, which acts alike at small rates
ADAPTIVE = ("adam", "adamw", "rmsprop")  # steps divided by the spread of the gradient
OPTIMIZERS = (*SGD, *ADAPTIVE, "adadelta")

# Far beyond any use, and far from where floating-point products of three such numbers overflow.
LARGEST = 1e15
SMALLEST = 1 / LARGEST  # of a quantity that must be positive


@dataclass(frozen=True)
class Setting:
    """One training situation: its noise, batch size, optimiser, schedule and budget. Arrays broadcast.

    alpha       noisy labels per clean label, >= 0
    batch_size  B, labelled copies per step, >= 1; the loss is their mean
    num_classes, optimizer, schedule   K >= 2; a name of `OPTIMIZERS`; a name of `schedules.SCHEDULES`
    steps       T, optimiser steps, >= 1. Give `examples`, the n = B T labelled copies processed, instead, or neither
    Raises InputError for values out of range, unknown names, or both budgets at once.

    >>> Setting(3, 128, steps=100).copies
    12800
    """

    alpha: Array
    batch_size: Array
    _: KW_ONLY
    num_classes: int = 10
    optimizer: str = "sgd"
    schedule: str = "constant"
    steps: Array = None
    examples: Array = None

    def __post_init__(self) -> None:
        in_range("alpha", self.alpha, "noisy labels per clean label, 0 for clean labels", least=0)
        in_range("the batch size", self.batch_size, "labelled copies per step", least=1)
        in_range("the number of classes", self.num_classes, "a whole number", least=2)
        in_range("the number of steps", self.steps, "optimiser steps", least=1)
        in_range("the number of examples", self.examples, "labelled copies processed", least=1)
        if self.steps is not None and self.examples is not None:
            raise InputError("a budget is steps or examples, got both: leave one out, as examples = batch * steps")
        if ":" not in self.optimizer:  # package.module:function, of which no law knows
            one_of("the optimizer", self.optimizer, OPTIMIZERS)
        one_of("the schedule", self.schedule, tuple(SCHEDULES))

    @property
    def copies(self) -> Array:
        """n, the labelled copies processed: `examples`, or B T; None where no budget is given."""
        if self.examples is not None:
            return self.examples
        return None if self.steps is None else self.batch_size * self.steps


class Applies(NamedTuple):
    """Whether a law may be used between two settings, and why (not), in one clause."""

    ok: bool
    reason: str


class Law(Protocol):
    """A relation between settings and best learning rates: a frozen dataclass with its parameters in the fields.

    A field that is None is a parameter that is not yet known; the law then does not apply and gives no factor.

    name, formula, reference, bibtex  plain text; `reference` is author, year, arXiv number
    regime                            what the law rests on and when it should hold, in one clause
    optimizers                        the optimisers that it is made for
    factor(setting, anchor)           η(setting)/η(anchor), a plain ratio; broadcasts. InputError if a parameter is None
    applies(setting, anchor)          whether both settings lie in the law's regime, with the reason

    >>> effbatch.laws.LAWS["square_root"].factor(Setting(0, 512), anchor=Setting(0, 128))
    2.0
    """

    @property
    def name(self) -> str: ...
    @property
    def formula(self) -> str: ...
    @property
    def reference(self) -> str: ...
    @property
    def bibtex(self) -> str: ...
    @property
    def regime(self) -> str: ...
    @property
    def optimizers(self) -> tuple[str, ...]: ...
    def factor(self, setting: Setting, anchor: Setting) -> Array: ...
    def applies(self, setting: Setting, anchor: Setting) -> Applies: ...


def transfers(setting: Setting, anchor: Setting, optimizers: tuple[str, ...]) -> str | None:
    """Why no law of these optimizers can carry a rate from anchor to setting; None where one can."""
    if setting.optimizer not in optimizers:
        return f"made for {', '.join(optimizers[:-1])} and {optimizers[-1]}, not for {setting.optimizer}"
    for key in ("optimizer", "schedule", "num_classes"):
        if getattr(setting, key) != getattr(anchor, key):
            return f"the anchor has another {key} ({getattr(anchor, key)}, not {getattr(setting, key)})"
    return None


def open_parameters(law: Law) -> list[str]:
    """The parameters of a law that were not given: its fields that are still None."""
    return [field.name for field in fields(law) if getattr(law, field.name) is None]  # type: ignore[arg-type]


def outside(law: Law) -> str:
    """When `applies` says no, whatever the setting, in one clause."""
    others = [name for name in OPTIMIZERS if name not in law.optimizers]
    clauses = [f"for {' and '.join([', '.join(others[:-1]), others[-1]] if others[1:] else others)}"] if others else []
    clauses += ["at a fixed number of steps"] if getattr(law, "too_steep", False) else []
    clauses += [f"before {' and '.join(missing)} is known" for missing in [open_parameters(law)] if missing]
    return "; ".join([*clauses, "from an anchor with another optimizer, schedule or number of classes"])


def require_parameters(law: Law) -> None:
    """Raise InputError if a parameter of the law was not given."""
    if missing := open_parameters(law):
        raise InputError(
            f"the law {law.name} needs {' and '.join(missing)}, got none: use `with_parameters`",
            law=law.name,
            missing=missing,
        )


def with_parameters(law: Law, **values: Array) -> Law:
    """The law with its open parameters set; InputError for a name that is not one of them."""
    known = open_parameters(law)
    for name in values:
        if name not in known:
            takes = ", ".join(known) or "no parameter"
            raise InputError(f"the law {law.name} takes {takes}, got {name!r}", law=law.name, parameter=name)
    return replace(law, **values)  # type: ignore[type-var]


def in_range(what: str, value: Array, unit: str, *, least: float, most: float = LARGEST) -> None:
    """Raise InputError unless least <= value <= most everywhere (NaN is not); None, "not given", passes."""
    if value is None:
        return
    values = np.asarray(value)  # of any size: whole numbers larger than NumPy's stay what they are
    above, below = bool(np.all(least <= values)), bool(np.all(values <= most))
    if not (above and below):
        allowed = f"from {least:g} to {most:g}"
        if most == LARGEST and below:
            allowed = "above 0" if least == SMALLEST else f"at least {least:g}"
        raise InputError(f"{what} must be {allowed} ({unit}), got {value}", value=value)


def whole_number(what: str, value: Any) -> int:
    """The value as an int; InputError where it is not whole."""
    if not (isinstance(value, int) or float(value).is_integer()):  # a whole number may be too large for a float
        raise InputError(f"{what} must be a whole number, got {value}", value=value)
    return int(value)


def one_of(what: str, value: str, known: tuple[str, ...]) -> None:
    """Raise InputError unless value is one of the known names."""
    if value not in known:
        raise InputError(f"{what} {value!r} is not known; {hint(value, known)}", value=value)
