"""What no command prints: verdicts of recorded cubes, unit keys, fingerprints. All imports from inside are here."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from effbatch.data import datasets
from effbatch.plan.cube import open_cubes
from effbatch.plan.only import only
from effbatch.plan.spec import load
from effbatch.plan.units import units
from effbatch.validation.judged import judge_all

TOLD = ("finding", "p_value", "p_value_corrected")


def judgements(folder: Path) -> list[dict[str, Any]]:
    """Every claim of the recorded cubes judged again, without the scorecard, which takes longer."""
    judged = {name: one.judgement for name, one in judge_all(open_cubes(folder)).items()}
    told = [
        {
            "simulation": name,
            "verdict": str(found.verdict),
            **{key: getattr(found, key) for key in TOLD},
            "numbers": [number.to_json() for number in found.numbers],
            "limits": list(found.limits),
        }
        for name, found in judged.items()
    ]
    return json.loads(json.dumps(told), parse_constant=lambda _: None)  # no number is null, as in verdicts.json


def unit_keys(spec: Path, *, quick: bool = False, cells: Sequence[str] = ()) -> list[str]:
    """Of all units of a spec, or of those that hold some cells, such as alpha=3."""
    loaded = only(load(spec, quick=quick), cells)
    return [unit.key for unit in units(loaded, {"digits": len(datasets.load("digits").x_train)})]


def fingerprint(name: str) -> str | None:
    """Of a data set, None where it is not here."""
    return datasets.load(name).fingerprint if datasets.is_here(name) else None
