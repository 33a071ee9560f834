"""Spec + folder -> cube: trains the units that the folder does not hold yet, commits each, assembles the cube."""

from __future__ import annotations

import json
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
import xarray as xr

from effbatch import cube as cubes
from effbatch.errors import SpecError
from effbatch.training import datasets, engine
from effbatch.training.cells import Unit, units
from effbatch.training.foreign import WHITE, images_to_show
from effbatch.training.label_noise import noise_matrices
from effbatch.training.spec import Spec
from effbatch.training.store import Store


class Progress(Protocol):
    """What a run tells its watcher; model-steps are the unit of work."""

    def start(self, total: int, done: int, what: str) -> None: ...
    def advance(self, model_steps: int) -> None: ...


class Silent:
    """No display."""

    def start(self, total: int, done: int, what: str) -> None: ...
    def advance(self, model_steps: int) -> None: ...


def predict_first(
    spec: Spec, folder: str | Path, predict: Callable[[], Mapping[str, Any]], *, device: str = "auto"
) -> dict[str, Any]:
    """Store what `predict` says in the sweep folder, with the time and whether training had begun; keep it if stored.

    The answer is {stored, before_training, seconds, prediction}; `seconds` is how long the prediction took to make.
    """
    store = Store.open(folder, spec.resolved(), environment(engine.pick_device(device)), _fingerprints(spec))
    with store.locked():
        stored = store.read_json("predictions.json")
        if stored is None:
            before = not store.finished()
            began = time.monotonic()
            prediction = dict(predict())
            seconds = time.monotonic() - began
            stored = {"stored": now(), "before_training": before, "seconds": seconds, "prediction": prediction}
            store.write_json("predictions.json", stored)
    return stored


def simulate(
    spec: Spec,
    folder: str | Path,
    *,
    device: str = "auto",
    progress: Progress | None = None,
) -> xr.Dataset:
    """Run or resume the sweep of `spec` in `folder` and return its cube (also written to folder/cube.nc).

    Finished units found there are kept. Raises SweepError or InputError.
    """
    progress = progress or Silent()
    torch_device = engine.pick_device(device)
    data_of = {name: datasets.load(name) for name in _datasets(spec)}
    classes = {data.num_classes for data in data_of.values()}
    if len(classes) > 1:
        raise SpecError(f"the data sets of one simulation need the same number of classes; {sorted(classes)} came")
    work = list(units(spec, {name: len(data.x_train) for name, data in data_of.items()}))
    for data in {unit.data for unit in work}:  # bad noise is named before anything is trained
        images_to_show(data, data_of[data.dataset], torch_device)
        noise_matrices(data, data_of[data.dataset], spec.grid["alpha"])
    store = Store.open(folder, spec.resolved(), environment(torch_device), _fingerprints(spec))
    with store.locked():
        finished = store.finished()
        waiting = [unit for unit in work if unit.key not in finished]
        total = sum(unit.model_steps for unit in work)
        progress.start(total, total - sum(unit.model_steps for unit in waiting), spec.name)
        maker = made_by(torch_device)
        for unit in waiting:
            began = time.monotonic()
            trained = engine.train(unit, data_of[unit.data.dataset], device=torch_device, on_steps=progress.advance)
            block = to_block(unit, trained)
            block.attrs["seconds"] = time.monotonic() - began
            block.attrs["made_by"] = maker
            finished[unit.key] = store.commit(unit.key, block)
        blocks = [(unit, store.read(finished[unit.key])) for unit in work]
        cube = assemble(spec, blocks)
        cube.attrs["train_seconds"] = sum(block.attrs["seconds"] for _, block in blocks)
        cube.attrs["model_steps"] = total
        cube.attrs["made_by"] = "; ".join(sorted({block.attrs["made_by"] for _, block in blocks}))
        cube.attrs |= _attrs(spec, store, list(data_of.values()))
        cubes.save(cube, store.folder / "cube.nc")
    return cube


def to_block(unit: Unit, trained: engine.Trained) -> xr.Dataset:
    """The arrays of one unit as a Dataset with dims (alpha, learning_rate, seed, checkpoint)."""
    cell = ("alpha", "learning_rate", "seed")
    block = xr.Dataset(
        coords={
            "alpha": list(unit.alphas),
            "learning_rate": list(unit.learning_rates),
            "seed": list(unit.seeds),
            "checkpoint": np.arange(len(unit.checkpoints)),
            "step": ("checkpoint", list(unit.checkpoints)),
        }
    )
    block["outcome"] = (cell, trained.outcome)
    for name in cubes.METRICS:
        block[f"{name}_history"] = ((*cell, "checkpoint"), getattr(trained, name).astype(np.float32))
    return block


def assemble(spec: Spec, blocks: list[tuple[Unit, xr.Dataset]]) -> xr.Dataset:
    """Put the blocks of all units into one cube."""
    checkpoints = len(blocks[0][0].checkpoints)
    cube = cubes.empty(spec.grid, checkpoints)
    step = xr.full_like(cube["test_loss_history"].isel(seed=0, learning_rate=0, drop=True), 0, dtype=np.int64)
    for unit, block in blocks:
        place = {**unit.point, "alpha": list(unit.alphas), "seed": list(unit.seeds)}
        cube["outcome"].loc[place] = block["outcome"].transpose("alpha", "learning_rate", "seed").values
        for name in cubes.METRICS:
            history = block[f"{name}_history"].transpose("alpha", "learning_rate", "seed", "checkpoint")
            cube[f"{name}_history"].loc[place] = _ordered(history, cube[f"{name}_history"], unit)
            cube[name].loc[place] = _ordered(history.isel(checkpoint=-1, drop=True), cube[name], unit)
        step.loc[{**unit.point, "alpha": list(unit.alphas)}] = np.asarray(unit.checkpoints)
    examples = step * step["batch_size"]
    cube.coords["step"] = _compact(step).assign_attrs(long_name="optimiser steps at the evaluation", units="1")
    cube.coords["examples"] = _compact(examples).assign_attrs(
        long_name="labelled copies processed at the evaluation", units="1"
    )
    return cube


def _ordered(block: xr.DataArray, target: xr.DataArray, unit: Unit) -> np.ndarray:
    """The block's values in the order of the target's dims, those that the unit fixes left out."""
    return block.transpose(*(dim for dim in target.dims if dim not in unit.point)).values


def _compact(values: xr.DataArray) -> xr.DataArray:
    """Drop the dims along which `values` does not change."""
    for dim in values.dims:
        if dim != "checkpoint" and bool((values == values.isel({dim: 0})).all()):
            values = values.isel({dim: 0}, drop=True)
    return values


def now() -> str:
    """The present time, ISO 8601 in UTC."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def environment(device: torch.device) -> dict[str, Any]:
    """What a reader needs to reproduce the numbers: versions, device and time."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else f"CPU, {torch.get_num_threads()} threads"
    packages = ("effbatch", "torch", "numpy", "scipy", "xarray")
    return {
        "made": now(),
        "device": name,
        "python": platform.python_version(),
        "versions": {package: version(package) for package in packages},
    }


def made_by(device: torch.device) -> str:
    """Device and versions in one line; every unit carries it, so that a sweep resumed elsewhere says so."""
    facts = environment(device)
    return f"{facts['device']}, effbatch {facts['versions']['effbatch']}, torch {facts['versions']['torch']}"


def _attrs(spec: Spec, store: Store, data: Sequence[datasets.DataSet]) -> dict[str, Any]:
    facts = store.facts()
    return {
        "simulation": spec.name,
        "spec": spec.text,
        "quick": int(spec.quick),
        "spec_resolved": json.dumps(spec.resolved()),
        "predictions": json.dumps(store.read_json("predictions.json")),
        "num_classes": data[0].num_classes,
        "data_source": "; ".join(one.source for one in data),
        "data_fingerprint": "; ".join(one.fingerprint for one in data),
        "device": facts["device"],
        "made": facts["made"],
        "versions": ", ".join(f"{k} {v}" for k, v in facts["versions"].items()),
        "arithmetic": "float32; the same cell repeats bit for bit in the same unit on the same device",
    }


def _fingerprints(spec: Spec) -> dict[str, str]:
    """Of all images that the sweep reads, foreign ones too."""
    sources = {source for source in spec.grid.get("source", (spec.data.source,)) if source not in (None, WHITE)}
    return {name: datasets.load(name).fingerprint for name in [*_datasets(spec), *sorted(sources)]}


def _datasets(spec: Spec) -> list[str]:
    return list(spec.grid.get("dataset", (spec.data.dataset,)))
