"""Recorded cubes -> effbatch/law_scores.json: how far every law was off on cells its anchor had not seen.

python benchmarks/law_scores.py            # after simulations/results/cube.nc changed
"""

from __future__ import annotations

import json
from pathlib import Path

from effbatch.cube import open_cube
from effbatch.fitting import best_learning_rates, compare_laws
from effbatch.laws import LAWS
from effbatch.prediction.evidence import FILE

CUBE = Path(__file__).parent.parent / "simulations" / "results" / "cube.nc"


def scores() -> dict:
    """The scores as JSON-ready values, from the simulation `learning_rate`."""
    cube = open_cube(CUBE, "learning_rate")
    compared = compare_laws(best_learning_rates(cube), LAWS)
    networks = ", ".join(str(name) for name in cube["network"].values)
    train = json.loads(cube.attrs["spec_resolved"])["train"]
    laws = {
        str(name): {
            "median_error_log2": round(float(compared["median_error"].sel(law=name)), 3),
            "quantile90_log2": round(float(compared["quantile90"].sel(law=name)), 3),
            "n": int(compared["cells"].sel(law=name)),
        }
        for name in compared["law"].values
        if int(compared["pairs"].sel(law=name))
    }
    source = (
        f"`effbatch validate learning_rate` ({networks} on digits, SGD, {int(train['budget']['steps'])} steps, "
        f"α {_range(cube['alpha'])}, B {_range(cube['batch_size'])}, {cube.sizes['seed']} seeds, "
        f"{cube.attrs['made'][:10]})"
    )
    return {"source": source, "laws": laws}


def _range(values) -> str:
    return f"{float(values.min()):g} to {float(values.max()):g}"


if __name__ == "__main__":
    FILE.write_text(json.dumps(scores(), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    print(FILE.read_text(encoding="utf-8"))
