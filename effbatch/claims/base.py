"""What every claim is: a rule, a prediction made before the run, and a judgement of the cube."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from effbatch.claims.shared.case import Case
from effbatch.claims.shared.judgement import Judgement
from effbatch.core.errors import SpecError, hint
from effbatch.laws.base import LARGEST
from effbatch.theory.dynamics import Spectrum

Point = Mapping[str, Any]  # the grid keys beside alpha, batch_size, learning_rate and seed, with one value each


@dataclass(frozen=True)
class Setup:
    """What may be known before a run: the grid, what its cells train with, and the networks at initialisation.

    points     every combination of the grid's extra keys ([{}] where there is none)
    settings   point -> the [data] and [train] options of those cells: optimizer, momentum, schedule, network, ...
    steps      (point, alpha, batch_size) -> optimiser steps
    spectrum   point -> kernel spectrum of the untrained network on the clean images, and how foreign ones overlap them
    noise_matrix  (point, alpha) -> N of noisy labels, None where they are uniform
    """

    grid: Mapping[str, Sequence[Any]]
    points: Sequence[Point]
    settings: Callable[[Point], Mapping[str, Any]]
    steps: Callable[[Point, float, int], int]
    spectrum: Callable[[Point], Spectrum]
    noise_matrix: Callable[[Point, float], NDArray[np.floating] | None]

    @property
    def noisy(self) -> list[float]:
        """Every α of the grid above 0."""
        return [alpha for alpha in self.grid["alpha"] if alpha > 0]


def key(default: Any, meaning: str) -> Any:
    """A field of a claim: a key of its rule, with its default and what it means in one line."""
    return field(default=default, metadata={"meaning": meaning})


@dataclass(frozen=True)
class Claim(ABC):
    """A statement whose fields are its rule, the keys that [claim] takes.

    The claim of kind `best_batch` is the class `BestBatchClaim` in the module `best_batch` of this package.

    asks         what it asks whether, for a table of all claims
    references   BibTeX entries of what it rests on
    """

    asks: ClassVar[str]
    references: ClassVar[Sequence[str]] = ()

    @classmethod
    def by(cls, rule: Mapping[str, Any]) -> Self:
        """The claim with this rule; SpecError for a key that it does not know, or of another type."""
        defaults = {one.name: one.default for one in fields(cls)}
        for name, value in rule.items():
            if name not in defaults:
                raise SpecError(f"unknown key {name!r} in [claim] of kind {cls.kind()!r}; {hint(name, defaults)}")
            _check(name, value, defaults[name])
        return cls(**{name: tuple(value) if isinstance(value, list) else value for name, value in rule.items()})

    @classmethod
    def kind(cls) -> str:
        """How [claim] kind names it."""
        return cls.__module__.rpartition(".")[2]

    @property
    def rule(self) -> dict[str, Any]:
        """The table [claim] that gives this claim, every key in it."""
        values = {one.name: getattr(self, one.name) for one in fields(self)}
        listed = {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}
        return {"kind": self.kind(), **listed}

    def sources(self) -> Sequence[str]:
        """Its references, with those of what its rule names."""
        return self.references

    @property
    @abstractmethod
    def headline(self) -> str:
        """What must come out, in a few words."""

    @abstractmethod
    def predict(self, setup: Setup) -> dict[str, Any]:
        """Before the run: JSON-ready values with no NaN; SpecError where the grid cannot tell."""

    @abstractmethod
    def describe(self, prediction: Mapping[str, Any]) -> str:
        """The prediction in one or two sentences for the reader."""

    @abstractmethod
    def judge(self, case: Case) -> Judgement:
        """The outcome, from the cube and the stored prediction alone; CubeError where the cube cannot tell."""


def _check(name: str, value: Any, default: Any) -> None:
    """SpecError unless the value is of the type of the default, its numbers finite, its list of one kind."""
    wanted = {float: "a number", str: "a name", tuple: "a list"}[type(default)]
    kinds = {float: int | float, str: str, tuple: list}[type(default)]
    if not isinstance(value, kinds) or isinstance(value, bool):
        raise SpecError(f"[claim] {name} needs {wanted}, got {value!r}")
    listed = value if isinstance(value, list) else [value]
    for one in listed:
        if isinstance(one, bool) or not isinstance(one, str | int | float):
            raise SpecError(f"[claim] {name} needs a list of names or numbers, got {one!r} in it")
        if not isinstance(one, str) and not abs(one) <= LARGEST:
            raise SpecError(f"[claim] {name} needs finite numbers of at most {LARGEST:g}, got {one!r}")
    if isinstance(value, list) and len({isinstance(one, str) for one in [*default[:1], *value]}) > 1:
        raise SpecError(f"[claim] {name} needs a list like {list(default) or value[:1]}, got {value!r}")
