"""What every claim is: a rule, a prediction made before the run, and a judgement of the cube."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from effbatch.claims.shared.case import Case
from effbatch.claims.shared.judgement import Judgement
from effbatch.plan.keys import check_names, keys_of
from effbatch.theory.spectrum import Spectrum

Point = Mapping[str, Any]  # the grid keys beside alpha, batch_size, learning_rate and seed, with one value each


@dataclass(frozen=True)
class Setup:
    """What may be known before a run: the grid, what its cells train with, and the networks at initialisation.

    points     every combination of the grid's extra keys ([{}] where there is none)
    settings   point -> the [data] and [train] options of those cells: optimizer, momentum, schedule, network, ...
    steps      (point, alpha, batch_size) -> optimiser steps
    spectrum   point -> kernel spectrum of the untrained network on the clean images, and how foreign ones overlap them;
               of the network drawn by the first seed of the grid, or by `seed=`
    noise_matrix  (point, alpha) -> N of noisy labels, None where they are uniform
    """

    grid: Mapping[str, Sequence[Any]]
    points: Sequence[Point]
    settings: Callable[[Point], Mapping[str, Any]]
    steps: Callable[[Point, float, int], int]
    spectrum: Callable[..., Spectrum]
    noise_matrix: Callable[[Point, float], NDArray[np.floating] | None]

    @property
    def noisy(self) -> list[float]:
        """Every α of the grid above 0."""
        return [alpha for alpha in self.grid["alpha"] if alpha > 0]


@dataclass(frozen=True)
class Claim(ABC):
    """A statement whose fields are its rule: the keys that [claim] takes, each declared by `plan.keys.key`.

    The claim of kind `best_batch` is the class `BestBatchClaim` in the module `best_batch` of this package.

    asks         what it asks whether, for a table of all claims
    references   BibTeX entries of what it rests on
    """

    asks: ClassVar[str]
    references: ClassVar[Sequence[str]] = ()

    @classmethod
    def by(cls, rule: Mapping[str, Any]) -> Self:
        """The claim with this rule; SpecError for a key that is not known, or a value that its key does not take."""
        keys = keys_of(cls)
        check_names(rule, keys, where=f"[claim] of kind {cls.kind()!r}")
        for name, value in rule.items():
            keys[name].check(f"[claim] {name}", value)
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
