"""What a claim is judged by: the cube and the prediction stored before it was trained, each fit to them made once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import xarray as xr

from effbatch.claims.shared import stored
from effbatch.fitting import best_learning_rates
from effbatch.fitting.honest import honest_best
from effbatch.plan.cube import score


@dataclass(frozen=True)
class Case:
    """A cube with its prediction. Claims, figures, scorecard and report read the same fits, so none is made twice."""

    cube: xr.Dataset
    prediction: Mapping[str, Any]

    @property
    def name(self) -> str:
        """That of its simulation: several that one rule judges may stand in one report, so figures bear it."""
        return str(self.cube.attrs.get("simulation", "cube"))

    @cached_property
    def best(self) -> xr.Dataset:
        """The best learning rate of every setting, see `fitting.best_learning_rates`."""
        return best_learning_rates(self.cube)

    @cached_property
    def accuracy(self) -> xr.DataArray:
        """Accuracy of each seed at the learning rate that is best for the seeds before it, see `honest_best`."""
        return honest_best(score(self.cube))

    @cached_property
    def theory(self) -> xr.Dataset:
        """What the linearised theory predicted, see `linearised.surface`; empty where it was not asked."""
        return stored.theory(self.prediction)
