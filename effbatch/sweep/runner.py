"""Spec + folder -> cube: trains the units that the folder does not hold yet, commits each, assembles the cube."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import torch
import xarray as xr

from effbatch.core.errors import SpecError, SweepError
from effbatch.data import datasets
from effbatch.data.dataset import DataSet, fingerprint
from effbatch.engine.evaluation import history_images
from effbatch.engine.parts import pieces
from effbatch.engine.train import take_turns
from effbatch.noise.foreign import WHITE, images_to_show
from effbatch.noise.matrixfile import read_matrix
from effbatch.plan import adaptive
from effbatch.plan import cube as cubes
from effbatch.plan.label_noise import given_labels, noise_matrices
from effbatch.plan.rounds import rounds
from effbatch.plan.spec import Spec
from effbatch.plan.units import Unit, fewest_steps, units
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
    """What a run tells its watcher: the units of a round, the share of one just trained and its seconds, damage."""

    def start(self, what: str, waiting: Sequence[Unit], *, kept: Sequence[Unit], at_once: int) -> None: ...
    def advance(self, unit: Unit, share: float, seconds: float) -> None: ...
    def tell(self, sentence: str) -> None: ...


class Silent:
    """No display."""

    def start(self, what: str, waiting: Sequence[Unit], *, kept: Sequence[Unit], at_once: int) -> None: ...
    def advance(self, unit: Unit, share: float, seconds: float) -> None: ...
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
    make. The rule, [claim] of the spec, is fixed with it: SweepError where another one is stored. A sweep that was
    extended since gets a further prediction, of all its cells, in the list `extended`; there, `before_training` is of
    the cells that were added.
    """
    environment = (workers or InProcess(device)).environment()
    with Store.open(folder, spec.resolved(), environment, _fingerprints(spec)) as store:
        stored, grids = store.read_json("predictions.json"), len(store.grids)
        if stored is None:
            stored = {**_predicted(predict, before=not store.committed()), "rule": dict(spec.claim), "grids": grids}
            store.write_json("predictions.json", stored)
            return stored
        rule = store.rule(spec)
        if changes := difference(rule, {key: spec.claim.get(key) for key in rule}, "claim"):
            raise SweepError(
                f"{store.folder} holds a prediction for another rule ({'; '.join(changes)}); give the same [claim], or "
                "choose another --out",
                changes=changes,
            )
        known = [stored, *stored.get("extended", [])][-1].get("grids", 1)
        if known < grids:
            before = store.committed() == store.extensions[known - 1]["units"]
            extended = [*stored.get("extended", []), {**_predicted(predict, before=before), "grids": grids}]
            stored = {**stored, "extended": extended}
            store.write_json("predictions.json", stored)
    return stored


def _predicted(predict: Callable[[], Mapping[str, Any]], *, before: bool) -> dict[str, Any]:
    began = time.monotonic()
    prediction = dict(predict())
    seconds = time.monotonic() - began
    return {"stored": now(), "before_training": before, "seconds": seconds, "prediction": prediction}


def simulate(
    spec: Spec,
    folder: str | Path,
    *,
    device: str = "auto",
    progress: Progress | None = None,
    workers: Workers | None = None,
) -> xr.Dataset:
    """Run, resume or extend the sweep of `spec` in `folder` and return its cube (also written to folder/cube.nc).

    Finished units found there are kept. `workers` train the units, by default this process on `device`; they change
    who computes, not what comes out. Raises SweepError, RunError or InputError.
    """
    progress, workers = progress or Silent(), workers or InProcess(device)
    available = _TrainingSizes()
    data_of = _checked_data(spec, available)
    environment = workers.environment()
    with Store.open(folder, spec.resolved(), environment, _fingerprints(spec)) as store:
        spec = replace(spec, grid=store.grids[-1])
        finished = store.finished(progress.tell)
        blocks: list[tuple[Unit, xr.Dataset]] = []

        def so_far(of: Spec) -> xr.Dataset:
            return assemble(of, blocks).assign_attrs(num_classes=next(iter(data_of.values())).num_classes)

        most = fewest_steps(replace(spec, grid=store.grids[0]), available) if store.layout == 1 else None
        number = 0
        for number, work in enumerate(rounds(spec, available, store.grids, so_far, most_checkpoints=most), start=1):
            what = spec.name if number == 1 else f"{spec.name}, round {number}"
            if environment["device"].startswith("CPU"):
                work = _in_pieces(work, finished, data_of)
            waiting = in_turn([unit for unit in work if unit.key not in finished])
            kept = [unit for unit in work if unit.key in finished]
            progress.start(what, waiting, kept=kept, at_once=workers.at_once)
            with unit_by_unit() as stopping:
                for unit, block in workers.train(waiting, progress.advance):
                    finished[unit.key] = store.commit(unit.key, block)
                    if stopping():
                        break
            blocks += [(unit, store.read(finished[unit.key])) for unit in work]
        cube = so_far(spec)
        cube.attrs |= _attrs(spec, store, list(data_of.values()), blocks)
        if spec.ladder:
            cube.attrs |= adaptive.account(spec.ladder, cube) | {"rounds": number, "selection": ADAPTIVE_SELECTION}
        cubes.save(cube, store.folder / "cube.nc")
    return cube


def _in_pieces(work: Sequence[Unit], finished: Mapping[str, Path], data_of: Mapping[str, DataSet]) -> list[Unit]:
    """On a CPU: large networks a few runs at a time, for a unit of them takes hours; what is finished stays whole."""
    large: dict[tuple[str, str, str, int], bool] = {}  # by all that decides it
    cut: list[Unit] = []
    for unit in work:
        data, like = unit.data.dataset, (unit.data.dataset, unit.train.network, unit.train.precision, unit.batch_size)
        whole = unit.key in finished
        if not whole and like not in large:
            large[like] = take_turns(unit, data_of[data], torch.device("cpu"))
        cut += [unit] if whole or not large[like] else pieces(unit)
    return cut


def _checked_data(spec: Spec, available: Mapping[str, int]) -> dict[str, DataSet]:
    """The data sets by name; what the spec cannot do with them is named here, before anything is trained."""
    data_of = {name: datasets.load(name) for name in _datasets(spec)}
    classes = {data.num_classes for data in data_of.values()}
    if len(classes) > 1:
        raise SpecError(
            f"the data sets of one simulation need the same number of classes, got {sorted(classes)}: give each a spec"
        )
    for options in {unit.data for unit in units(spec, available)}:
        images_to_show(options.source, data_of[options.dataset], torch.device("cpu"))
        noise_matrices(options, data_of[options.dataset], spec.grid["alpha"])
    return data_of


class _TrainingSizes(dict[str, int]):
    """The number of training images of a data set by its name, loaded when it is asked for."""

    def __missing__(self, name: str) -> int:
        self[name] = len(datasets.load(name).x_train)
        return self[name]


def in_turn(work: Sequence[Unit]) -> list[Unit]:
    """The shortest unit of every network first, then the longest before the shorter ones.

    So the pace of each network is met early, see `effbatch.show.progress`, and no worker waits long for the last unit.
    """
    longest_first = sorted(work, key=lambda unit: -unit.model_steps * unit.batch_size)
    shortest = {(unit.data.dataset, unit.train.network): unit.key for unit in longest_first}.values()
    return sorted(longest_first, key=lambda unit: unit.key not in shortest)


def _attrs(
    spec: Spec, store: Store, data: Sequence[DataSet], blocks: Sequence[tuple[Unit, xr.Dataset]]
) -> dict[str, Any]:
    facts = store.facts()
    precisions = " and ".join(spec.grid.get("precision", [spec.train.precision]))  # of products and convolutions
    return {
        "simulation": spec.name,
        "spec": spec.text,
        "quick": int(spec.quick),
        "arguments": spec.arguments,
        "spec_resolved": json.dumps(spec.resolved() | {"claim": {**spec.claim, **store.rule(spec)}}),
        "predictions": json.dumps(store.read_json("predictions.json")),
        **({"extended": json.dumps(store.extensions)} if store.extensions else {}),
        "data_source": "; ".join(one.source for one in data),
        **({"given_labels": json.dumps(_given(data))} if any(one.clean_labels is not None for one in data) else {}),
        "data_fingerprint": "; ".join(one.fingerprint for one in data),
        "test_images": min(len(one.x_test) for one in data),
        "history_images": min(history_images(spec.train, one) for one in data),
        "device": facts["device"],
        "made": facts["made"],
        "versions": ", ".join(f"{k} {v}" for k, v in facts["versions"].items()),
        "arithmetic": f"{precisions}; the same cell repeats bit for bit in the same unit on the same device",
        "train_seconds": sum(block.attrs["seconds"] for _, block in blocks),
        "model_steps": sum(unit.model_steps for unit, _ in blocks),
        "made_by": "; ".join(sorted({block.attrs["made_by"] for _, block in blocks})),
    }


def _given(data: Sequence[DataSet]) -> dict[str, dict[str, Any]]:
    """Of every data set whose clean labels are known: the share of wrong ones, its α if it has one, and the matrix."""
    of = {one.name: given_labels(one) for one in data}
    return {
        name: {"noise_rate": labels.noise_rate, "alpha": labels.alpha, "transition": labels.matrix.tolist()}
        for name, labels in of.items()
        if labels is not None
    }


def _fingerprints(spec: Spec) -> dict[str, str]:
    """Of all that the sweep reads: images, foreign ones too, and noise matrices."""
    sources = {source for source in spec.grid.get("source", (spec.data.source,)) if source not in (None, WHITE)}
    images = {name: datasets.load(name).fingerprint for name in [*_datasets(spec), *sorted(sources)]}
    matrices = [path for path in spec.grid.get("matrix", (spec.data.matrix,)) if path is not None]
    return images | {path: fingerprint(read_matrix(path)) for path in matrices}


def _datasets(spec: Spec) -> list[str]:
    return list(spec.grid.get("dataset", (spec.data.dataset,)))
