"""Large sweeps: a cube of a million cells opened and fitted, a folder of ten thousand units looked through.

Run as a command it does one of these in a process of its own and prints its seconds, by the clock and of the
processor, and its peak memory as JSON.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

CUBE = {"alpha": 20, "batch_size": 20, "learning_rate": 25, "seed": 100}  # 400 settings, 1,000,000 cells
UNITS = 10_000
GOALS = {  # what -> seconds, megabytes
    "open": (2, 500),
    "fit": (120, None),
    "resume": (5, None),
}
WHAT = {
    "open": "open a cube of 1,000,000 cells (`effbatch.open_cube`)",
    "fit": "fit it: 400 settings, 25 rates, 100 seeds (`effbatch.fit`)",
    "resume": "find what is missing of 10,000 units (from the command to the first unit that trains)",
}


def measured(home: Path) -> dict[str, dict[str, float]]:
    """What -> {seconds, cpu, megabytes}, each done by a process of its own."""
    make_cube(home / "cube.nc")
    found = {}
    for what in GOALS:
        command = [sys.executable, __file__, what, str(home)]
        found[what] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return found


def make_cube(path: Path) -> None:
    """A cube of random numbers about a known best rate."""
    sys.path.insert(0, str(Path(__file__).parent.parent))
    from synthetic import peaked_cube

    from effbatch.plan.cube import save

    cube = peaked_cube(
        lambda alpha, batch_size: 0.1 * np.sqrt(batch_size / 32 / (1 + alpha)),
        alpha=range(CUBE["alpha"]),
        batch_size=[2 ** (i + 1) for i in range(CUBE["batch_size"])],
        learning_rate=2.0 ** np.arange(-14, -14 + CUBE["learning_rate"]),
        seeds=CUBE["seed"],
        curvature=0.01,
    )
    for name, variable in cube.data_vars.items():
        if str(name).endswith("_history"):
            noise = np.random.default_rng(0).random(variable.shape, dtype=np.float32)
            cube[name] = variable.copy(data=noise)
    save(cube, path)


def _open(home: Path) -> dict[str, float]:
    from effbatch.plan.cube import open_cube

    began = _clocks()
    open_cube(home / "cube.nc")
    return _since(began)


def _fit(home: Path) -> dict[str, float]:
    from effbatch.fitting import fit
    from effbatch.plan.cube import open_cube

    began = _clocks()
    fit(open_cube(home / "cube.nc"))
    return _since(began)


def _resume(home: Path) -> dict[str, float]:
    """All units but one have a file, as large as that of a real unit; the run is stopped when it would train."""
    from sweeps import SPEC

    from effbatch.data import datasets
    from effbatch.plan.spec import parse
    from effbatch.plan.units import units
    from effbatch.sweep import runner
    from effbatch.sweep.store import Store, _digest
    from effbatch.sweep.workers import InProcess

    side = int(UNITS**0.5)
    sizes = f"batch_size = {list(range(1, side + 1))}\nclean_examples = {list(range(200, 200 + side))}"
    text = SPEC.replace("STEPS", "30").replace("clean_examples = 100\n", "")
    spec = parse(text.replace("batch_size = [4, 6, 8, 10]", sizes))
    data = datasets.load("digits")
    work = list(units(spec, {"digits": len(data.x_train)}))
    facts, content = InProcess("cpu").environment(), bytes(15_000)
    with Store.open(home / "many", spec.resolved(), facts, {"digits": data.fingerprint}) as store:
        for unit in work[1:]:
            (store.units_folder / f"{unit.key}-{_digest(unit.key.encode() + content)}.nc").write_bytes(content)

    class Found(Exception):
        pass

    class Watcher(runner.Silent):
        def start(self, what, waiting, *, kept, at_once):
            assert (len(waiting), len(kept)) == (1, UNITS - 1)
            raise Found

    began = _clocks()
    try:
        runner.simulate(spec, home / "many", device="cpu", progress=Watcher())
    except Found:
        return _since(began)
    raise AssertionError("the sweep was not looked through")


def _clocks() -> tuple[float, float]:
    return time.monotonic(), time.process_time()


def _since(began: tuple[float, float]) -> dict[str, float]:
    return {"seconds": time.monotonic() - began[0], "cpu": time.process_time() - began[1]}


MEASUREMENTS = {"open": _open, "fit": _fit, "resume": _resume}

if __name__ == "__main__":
    found = MEASUREMENTS[sys.argv[1]](Path(sys.argv[2]))
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({**found, "megabytes": memory}))
