"""How a network is trained, as one object that travels whole or stands in a file, and the steps that a budget buys."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path

from effbatch.core.errors import InputError, hint
from effbatch.laws.base import OPTIMIZERS, SMALLEST, in_range, one_of, whole_number
from effbatch.theory.schedules import SCHEDULES

BUDGETS = ("steps", "examples", "epochs")


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Everything about a training run except its network, its data and its learning rate.

    optimizer        a name of `laws.OPTIMIZERS`, or `package.module:function`, which takes parameters and a rate and
                     returns a torch optimiser
    momentum         the coefficient of the optimizer "momentum"; `nesterov` makes it Nesterov's
    schedule         a name of `schedules.SCHEDULES`, stretched over the whole run
    warmup           share of all steps, 0 to 1, over which the rate rises linearly
    weight_decay     as in PyTorch, and so is label_smoothing
    clip             the largest norm of a gradient, in units of loss per parameter; None clips nothing
    batch_size       B, labelled copies per step; None where a question names several
    steps            the budget: T optimiser steps. `examples` (labelled copies processed) or `epochs` (passes over all
                     labelled copies) give it, too; without any of them the budget is unknown
    Raises InputError for a value out of range, an unknown name, or two budgets at once.

    >>> effbatch.Recipe(optimizer="adam", batch_size=128, epochs=5).budget
    {'epochs': 5}
    """

    optimizer: str = "sgd"
    momentum: float = 0.9
    nesterov: bool = False
    schedule: str = "constant"
    warmup: float = 0.0
    weight_decay: float = 0.0
    label_smoothing: float = 0.0
    clip: float | None = None
    batch_size: int | None = None
    steps: int | None = None
    examples: int | None = None
    epochs: float | None = None

    def __post_init__(self) -> None:
        if ":" not in self.optimizer:
            one_of("the optimizer", self.optimizer, OPTIMIZERS)
        one_of("the schedule", self.schedule, tuple(SCHEDULES))
        in_range("the weight decay", self.weight_decay, "of the weights, per unit of learning rate", least=0)
        in_range("the largest norm of a gradient", self.clip, "in units of loss per parameter", least=0)
        for name, what in (
            ("batch_size", "the batch size"),
            ("steps", "the number of steps"),
            ("examples", "the number of examples"),
        ):
            if (value := getattr(self, name)) is not None:
                object.__setattr__(self, name, whole_number(what, value))
        in_range("the batch size", self.batch_size, "labelled copies per step", least=1)
        in_range("the number of steps", self.steps, "optimiser steps", least=1)
        in_range("the number of examples", self.examples, "labelled copies processed", least=1)
        in_range("the number of epochs", self.epochs, "passes over all labelled copies", least=SMALLEST)
        for name, share in (("momentum", self.momentum), ("warmup", self.warmup), ("smoothing", self.label_smoothing)):
            if not 0 <= share < 1:
                instead = "give 0 for none"
                if name == "warmup":
                    instead = f"give the share of all steps, {'0.1 say' if share > 1 else '0 for none'}"
                raise InputError(f"{name} needs a value in [0, 1), got {share:g}: {instead}", value=share)
        if len(self.budget) > 1:
            raise InputError(
                f"a budget is one of {', '.join(BUDGETS)}, got {' and '.join(self.budget)}: leave all but one out",
                budget=self.budget,
            )

        if self.nesterov and self.optimizer != "momentum":
            raise InputError(f"nesterov is for the optimizer momentum, got it with {self.optimizer}: leave it out")

    @property
    def momentum_used(self) -> float:
        """The coefficient of momentum; 0 if the optimizer has none."""
        return self.momentum if self.optimizer == "momentum" else 0.0

    @property
    def words(self) -> str:
        """Optimiser and schedule in words, and what differs from the defaults of PyTorch."""
        said = [f"{'Nesterov ' * self.nesterov}{self.optimizer}" + f" {self.momentum:g}" * bool(self.momentum_used)]
        said += [self.schedule.replace("_", "-") + " rate"]
        said += [f"warm-up over {100 * self.warmup:g} %"] if self.warmup else []
        return ", ".join([*said, *self.regularisation])

    @property
    def regularisation(self) -> list[str]:
        """What else changes the run, in words: weight decay, label smoothing, gradient clipping."""
        words = [f"weight decay {self.weight_decay:g}"] if self.weight_decay else []
        words += [f"label smoothing {self.label_smoothing:g}"] if self.label_smoothing else []
        return words + ([f"gradients clipped at {self.clip:g}"] if self.clip is not None else [])

    @property
    def budget(self) -> dict[str, float]:
        """`{"steps": T}`, `{"examples": n}` or `{"epochs": e}`; empty if the budget is unknown."""
        return {unit: amount for unit in BUDGETS if (amount := getattr(self, unit)) is not None}


def steps_bought(budget: Mapping[str, float], batch_size: float, *, epoch: float | None = None) -> int:
    """T = ⌈n/B⌉, at least 1: the optimiser steps of a budget of n labelled copies in batches of B.

    budget  one of {"steps": T}, {"examples": n}, {"epochs": e}
    epoch   labelled copies in one epoch; needed for a budget in epochs
    Every place that turns a budget into steps asks here: the last batch counts as a step, however small it is.
    """
    ((unit, amount),) = budget.items()
    if unit == "epochs" and epoch is None:
        raise InputError("a budget in epochs needs the size of the data set, got none: give steps or examples")
    copies = amount * {"steps": batch_size, "examples": 1, "epochs": epoch or 0}[unit]
    return max(1, math.ceil(copies / batch_size - 1e-9))


def read_recipe(path: str | Path) -> Recipe:
    """The recipe in a TOML file whose keys are the fields of `Recipe`; InputError for a key that is none of them."""
    try:
        content = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f'a recipe needs to be a TOML file, got {path} ({error}): write optimizer = "sgd"') from error
    known = [field.name for field in fields(Recipe)]
    for name in content:
        if name not in known:
            raise InputError(f"a recipe needs known keys, got {name!r} in {path}; {hint(name, known)}", name=name)
    try:
        return Recipe(**content)
    except TypeError as error:
        raise InputError(
            f"a recipe needs numbers where its fields are numbers, got others in {path} ({error}): write numbers"
        ) from error
