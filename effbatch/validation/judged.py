"""Cubes -> judged cubes: each by the claim and the prediction stored in it, corrected for their number."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import xarray as xr

from effbatch.claims import Case, Claim, Judgement, claim_of
from effbatch.claims.shared.multiplicity import corrected
from effbatch.plan.cube import Outcome, resolved_spec, stored_prediction


@dataclass(frozen=True, kw_only=True)
class JudgedCube:
    """A cube and what stands in it, read once; fits to it are those of its `case`, each made once.

    case        the cube and its stored prediction
    spec        the resolved spec, empty where the cube stores none
    claim       that of the spec, None where it has none; a key younger than the cube has its default
    stored      when the prediction was stored, whether before training, and its seconds; empty where there is none
    judgement   None where there is no claim or no prediction
    """

    case: Case
    spec: Mapping[str, Any]
    claim: Claim | None
    stored: Mapping[str, Any]
    judgement: Judgement | None = None

    @property
    def cube(self) -> xr.Dataset:
        return self.case.cube

    @property
    def predicted_before(self) -> bool:
        """Whether there is a prediction, older than the first trained network."""
        return bool(self.stored.get("before_training"))

    @property
    def name(self) -> str:
        return self.case.name

    @property
    def arguments(self) -> str:
        """What the command line calls the simulation, with its options."""
        return str(self.cube.attrs.get("arguments", self.name))

    @property
    def networks(self) -> int:
        """How many networks were trained."""
        return int((self.cube["outcome"] != int(Outcome.NOT_RUN)).sum())

    @property
    def silence(self) -> str:
        """Why there is no judgement."""
        if self.claim is None:
            return "Nothing is judged: the spec of this sweep has no [claim]."
        return (
            "Nothing is judged: this cube carries no prediction made before its run; `effbatch validate` stores one "
            "before it trains, `effbatch simulate` does not."
        )


def judge_all(cubes: Mapping[str, xr.Dataset]) -> dict[str, JudgedCube]:
    """All cubes judged by the rules and the predictions stored in them, corrected for their number."""
    unjudged = {name: read(cube) for name, cube in cubes.items()}
    found = {name: one.claim.judge(one.case) for name, one in unjudged.items() if one.claim and one.stored}
    judgements = corrected(found)
    return {name: replace(one, judgement=judgements.get(name)) for name, one in unjudged.items()}


def read(cube: xr.Dataset) -> JudgedCube:
    """A cube that is not judged yet."""
    spec, stored = resolved_spec(cube), stored_prediction(cube)
    claim = claim_of(spec["claim"], str(cube.attrs.get("simulation", "this cube"))) if spec.get("claim") else None
    return JudgedCube(case=Case(cube, stored.get("prediction", {})), spec=spec, claim=claim, stored=stored)
