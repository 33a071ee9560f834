"""Spec + folder -> cube: trains the units that the folder does not hold yet, commits each, assembles the cube."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import torch
import xarray as xr

from effbatch.core.errors import SpecError, SweepError
from effbatch.data import datasets
from effbatch.data.dataset import DataSet
from effbatch.engine import train as engine
from effbatch.noise.foreign import WHITE, images_to_show
from effbatch.plan import adaptive
from effbatch.plan import cube as cubes
from effbatch.plan.label_noise import noise_matrices
from effbatch.plan.spec import Spec
from effbatch.plan.units import Unit, units
from effbatch.sweep.assembly import assemble
from effbatch.sweep.provenance import now
from effbatch.sweep.stopping import unit_by_unit
from effbatch.sweep.store import Store, difference
from effbatch.sweep.workers import InProcess, Workers

ADAPTIVE_SELECTION = (
    "which learning rates were run was decided by the seed-mean test score of those before them; "
    "last values and histories are stored, nothing else is selected on the test set"
)


class Progress(Protocol):
    """What a run tells its watcher: the units of a round, model-steps done with their seconds, what was damaged.

    Before a round begins to train, it takes a look (`pace`) at every unit that is `wanted`.
    """

    def start(self, what: str, waiting: Sequence[Unit], *, kept: Sequence[Unit]) -> None: ...
    def wanted(self) -> Unit | None: ...
    def look(self, unit: Unit, step: float, evaluation: float) -> None: ...
    def advance(self, unit: Unit, model_steps: int, evaluations: int, seconds: float) -> None: ...
    def tell(self, sentence: str) -> None: ...


class Silent:
    """No display."""

    def start(self, what: str, waiting: Sequence[Unit], *, kept: Sequence[Unit]) -> None: ...
    def wanted(self) -> Unit | None: ...
    def look(self, unit: Unit, step: float, evaluation: float) -> None: ...
    def advance(self, unit: Unit, model_steps: int, evaluations: int, seconds: float) -> None: ...
    def tell(self, sentence: str) -> None: ...


def predict_first(
    spec: Spec,
    folder: str | Path,
    predict: Callable[[], Mapping[str, Any]],
    *,
    device: str = "auto",
    workers: Workers | None = None,
) -> dict[str, Any]:
    """Store what `predict` says in the sweep folder, with the time and whether training had begun; keep it if stored.

    The answer is {stored, before_training, seconds, rule, prediction}; `seconds` is how long the prediction took to
    make. The rule, [claim] of the spec, is fixed with it: SweepError where another one is stored.
    """
    environment = (workers or InProcess(device)).environment()
    with Store.open(folder, spec.resolved(), environment, _fingerprints(spec)) as store:
        stored = store.read_json("predictions.json")
        if stored is None:
            before = not store.begun()
            began = time.monotonic()
            prediction = dict(predict())
            seconds = time.monotonic() - began
            stored = {"stored": now(), "before_training": before, "seconds": seconds, "rule": dict(spec.claim)}
            stored["prediction"] = prediction
            store.write_json("predictions.json", stored)
        else:
            rule = store.rule(spec)
            if changes := difference(rule, {key: spec.claim.get(key) for key in rule}, "claim"):
                raise SweepError(
                    f"{store.folder} holds a prediction for another rule ({'; '.join(changes)}); give the same "
                    "[claim], or choose another --out",
                    changes=changes,
                )
    return stored


def simulate(
    spec: Spec,
    folder: str | Path,
    *,
    device: str = "auto",
    progress: Progress | None = None,
    workers: Workers | None = None,
) -> xr.Dataset:
    """Run or resume the sweep of `spec` in `folder` and return its cube (also written to folder/cube.nc).

    Finished units found there are kept. `workers` train the units, by default this process on `device`; they change
    who computes, not what comes out. Raises SweepError, RunError or InputError.
    """
    progress, workers = progress or Silent(), workers or InProcess(device)
    data_of = {name: datasets.load(name) for name in _datasets(spec)}
    classes = {data.num_classes for data in data_of.values()}
    if len(classes) > 1:
        raise SpecError(f"the data sets of one simulation need the same number of classes; {sorted(classes)} came")
    (num_classes,) = classes
    available = _TrainingSizes()
    work, rounds = list(units(spec, available)), 0
    for options in {unit.data for unit in work}:  # bad noise is named before anything is trained
        images_to_show(options.source, data_of[options.dataset], torch.device("cpu"))
        noise_matrices(options, data_of[options.dataset], spec.grid["alpha"])
    with Store.open(folder, spec.resolved(), workers.environment(), _fingerprints(spec)) as store:
        finished = store.finished(progress.tell)
        blocks: list[tuple[Unit, xr.Dataset]] = []
        while work:
            rounds += 1
            what = spec.name if rounds == 1 else f"{spec.name}, round {rounds}"
            waiting = in_turn([unit for unit in work if unit.key not in finished])
            progress.start(what, waiting, kept=[unit for unit in work if unit.key in finished])
            while (unit := progress.wanted()) is not None:
                progress.look(unit, *workers.pace(unit))
            with unit_by_unit() as stopping:
                for unit, block in workers.train(waiting, progress.advance):
                    finished[unit.key] = store.commit(unit.key, block)
                    if stopping():
                        break
            blocks += [(unit, store.read(finished[unit.key])) for unit in work]
            cube = assemble(spec, blocks).assign_attrs(num_classes=num_classes)
            work = list(units(spec, available, adaptive.next_rates(spec.ladder, cube))) if spec.ladder else []
        cube.attrs |= _attrs(spec, store, list(data_of.values()), blocks)
        if spec.ladder:
            cube.attrs |= adaptive.account(spec.ladder, cube) | {"rounds": rounds, "selection": ADAPTIVE_SELECTION}
        cubes.save(cube, store.folder / "cube.nc")
    return cube


class _TrainingSizes(dict[str, int]):
    """The number of training images of a data set by its name, loaded when it is asked for."""

    def __missing__(self, name: str) -> int:
        self[name] = len(datasets.load(name).x_train)
        return self[name]


def in_turn(work: Sequence[Unit]) -> list[Unit]:
    """One unit of every network and batch size, then another of each; of those, the most labelled copies first.

    The pace of each is met early, see `effbatch.show.time_left`, and no worker waits long for the last unit.
    """
    met: Counter[tuple[str, int]] = Counter()
    turns = []
    for unit in work:
        kind = (unit.train.network, unit.batch_size)
        turns.append((met[kind], -unit.model_steps * unit.batch_size))
        met[kind] += 1
    return [work[i] for i in sorted(range(len(work)), key=turns.__getitem__)]


def _attrs(
    spec: Spec, store: Store, data: Sequence[DataSet], blocks: Sequence[tuple[Unit, xr.Dataset]]
) -> dict[str, Any]:
    facts = store.facts()
    return {
        "simulation": spec.name,
        "spec": spec.text,
        "quick": int(spec.quick),
        "arguments": spec.arguments,
        "spec_resolved": json.dumps(spec.resolved() | {"claim": {**spec.claim, **store.rule(spec)}}),
        "predictions": json.dumps(store.read_json("predictions.json")),
        "data_source": "; ".join(one.source for one in data),
        "data_fingerprint": "; ".join(one.fingerprint for one in data),
        "test_images": min(len(one.x_test) for one in data),
        "history_images": min(engine.history_images(spec.train, one) for one in data),
        "device": facts["device"],
        "made": facts["made"],
        "versions": ", ".join(f"{k} {v}" for k, v in facts["versions"].items()),
        "arithmetic": "float32; the same cell repeats bit for bit in the same unit on the same device",
        "train_seconds": sum(block.attrs["seconds"] for _, block in blocks),
        "model_steps": sum(unit.model_steps for unit, _ in blocks),
        "made_by": "; ".join(sorted({block.attrs["made_by"] for _, block in blocks})),
    }


def _fingerprints(spec: Spec) -> dict[str, str]:
    """Of all images that the sweep reads, foreign ones too."""
    sources = {source for source in spec.grid.get("source", (spec.data.source,)) if source not in (None, WHITE)}
    return {name: datasets.load(name).fingerprint for name in [*_datasets(spec), *sorted(sources)]}


def _datasets(spec: Spec) -> list[str]:
    return list(spec.grid.get("dataset", (spec.data.dataset,)))
