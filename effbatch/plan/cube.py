"""The cube: one sweep as one `xarray.Dataset`. Its schema is defined, checked, saved and opened here.

Dimensions
    alpha, batch_size, learning_rate, seed, any other grid key (`network`, `clean_examples`, ...), checkpoint.
Variables
    outcome                         CF flags, see `Outcome`; the only place that says whether a cell ran
    test_accuracy, test_loss        at the last checkpoint, on the whole test set
    train_loss                      mean loss of the minibatches since the checkpoint before the last
    *_history                       the same at every checkpoint, of the test set [train] history_images
    step, examples                  (coordinates) optimiser steps and labelled copies at each checkpoint
    what MEASURED lists             _history only, and only where the spec's [train] measure names its kind
Conventions, stored in attrs
    loss_reduction = "mean" over the batch; a NaN in a metric only ever means "no finite value", and
    `outcome` says which of not run, diverged and failed it was.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from effbatch.core import durable, netcdf
from effbatch.core.errors import CubeError, RunError, first_line, hint
from effbatch.core.flags import Flag, cf_attributes
from effbatch.plan.words import list_in_words

SCHEMA_VERSION = 1
FIRST_CHECKPOINT = 128  # a run is evaluated first after this part of its steps: 1/128
SEAL = b"\neffbatch sha256 "
CORE_DIMS = ("alpha", "batch_size", "learning_rate", "seed")
METRICS = {
    "test_accuracy": {"long_name": "accuracy on the test set", "units": "1"},
    "test_loss": {"long_name": "mean cross-entropy on the clean test set", "units": "nat"},
    "train_loss": {"long_name": "mean cross-entropy on the noisy training batches", "units": "nat"},
}
MOMENTS = {
    "clean_norm_squared": "‖G_0‖², squared norm of the mean gradient with clean labels",
    "clean_noisy_inner": "G_0·G_N, inner product of the mean gradients with clean and with noisy labels",
    "noisy_norm_squared": "‖G_N‖², squared norm of the mean gradient with noisy labels",
    "clean_second_moment": "S_0, mean squared norm of one gradient with clean labels",
    "noisy_second_moment": "S_N, mean squared norm of one gradient with noisy labels",
}
MEASURED = {  # kind -> variables
    "moments": {
        **{
            f"{name}{limit}": {"long_name": f"{meaning}{of}", "units": "nat2"}
            for name, meaning in MOMENTS.items()
            for limit, of in (("", ""), ("_low", ": lower 95 % limit"), ("_high", ": upper 95 % limit"))
        },
        "noised_sets": {"long_name": "data sets really noised at the cell's alpha", "units": "1"},
        "norm_squared_inside": {
            "long_name": "of them, those whose 95 % interval of ‖G‖² holds the closed form",
            "units": "1",
        },
        "second_moment_inside": {
            "long_name": "of them, those whose 95 % interval of E‖g‖² holds the closed form",
            "units": "1",
        },
        "exact_error": {
            "long_name": "greatest relative error of the closed form against every label enumerated",
            "units": "1",
        },
    },
    "calibrated_loss": {
        "calibrated_loss": {"long_name": "test cross-entropy at the best temperature of the logits", "units": "nat"},
    },
    "memorised": {
        "memorised": {"long_name": "share of wrongly labelled training images given their wrong label", "units": "1"},
    },
}
_COORD_ATTRS = {
    "alpha": {"long_name": "noisy labels per clean label", "units": "1"},
    "batch_size": {"long_name": "labelled copies per step", "units": "1"},
    "learning_rate": {"long_name": "step size of the mean gradient", "units": "1"},
    "seed": {"long_name": "seed of images, initialisation, order and labels"},
    "checkpoint": {"long_name": "index of the evaluation"},
}


class Outcome(Flag):
    """What became of a cell; the value is what the cube stores."""

    NOT_RUN = 0, "was not run"
    FINISHED = 1, "finished its budget"
    DIVERGED = 2, "diverged: its loss or weights stopped being finite, and it was frozen"
    FAILED = 3, "failed: the run raised an error"


def empty(axes: Mapping[str, Sequence], checkpoints: int, *, measured: Sequence[str] = ()) -> xr.Dataset:
    """Return a cube of `axes` (dimension -> coordinate values) in which no cell has run; `measured` are kinds."""
    dims = (*axes, "checkpoint")
    shape = tuple(len(values) for values in axes.values())
    coords: dict[Hashable, object] = {
        dim: (dim, np.asarray(list(values)), _COORD_ATTRS.get(dim, {})) for dim, values in axes.items()
    }
    coords["checkpoint"] = ("checkpoint", np.arange(checkpoints), _COORD_ATTRS["checkpoint"])
    cube = xr.Dataset(coords=coords)
    flags = cf_attributes(Outcome, "what became of the cell")
    cube["outcome"] = (tuple(axes), np.full(shape, int(Outcome.NOT_RUN), dtype=np.int8), flags)
    for name, attrs in METRICS.items():
        cube[name] = (tuple(axes), np.full(shape, np.nan, dtype=np.float32), attrs)
    for name, attrs in (METRICS | measurements(measured)).items():
        cube[f"{name}_history"] = (dims, np.full((*shape, checkpoints), np.nan, dtype=np.float32), attrs)
    cube.attrs = {
        "schema": "effbatch cube",
        "schema_version": SCHEMA_VERSION,
        "loss_reduction": "mean",
        "variance_normalisation": "unbiased (n - 1)",
        "selection": "none: last values and histories are stored, nothing is selected on the test set",
    }
    return cube


def measurements(kinds: Sequence[str]) -> dict[str, dict[str, str]]:
    """The variables that kinds of `MEASURED` add, with their attributes."""
    return {name: attrs for kind in kinds for name, attrs in MEASURED[kind].items()}


def check(cube: xr.Dataset) -> xr.Dataset:
    """Return `cube` unchanged, or raise CubeError with the first way in which it breaks the schema."""
    if cube.attrs.get("schema") != "effbatch cube":
        raise CubeError(
            "this is not an effbatch cube: its attribute 'schema' is missing; give a cube.nc or a sweep folder"
        )
    version = cube.attrs.get("schema_version")
    if version != SCHEMA_VERSION:
        raise CubeError(
            f"this effbatch reads cubes of schema {SCHEMA_VERSION}; this one has {version}: run the sweep again",
            version=version,
        )
    missing = [d for d in CORE_DIMS if d not in cube.dims] + [v for v in ("outcome", *METRICS) if v not in cube]
    if missing:
        raise CubeError(f"the cube lacks {', '.join(missing)}: run the sweep again", missing=missing)
    return cube


def num_classes(cube: xr.Dataset) -> int:
    """Classes of the data set that the cube was measured on."""
    return int(cube.attrs["num_classes"])


def resolved_spec(cube: xr.Dataset) -> dict[str, Any]:
    """The spec that the cube was run by, with every default filled in; empty for a cube that stores none."""
    return json.loads(cube.attrs.get("spec_resolved", "{}"))


def _listed(values: Sequence[Any]) -> str:
    """Values as text; three and more whole numbers in a row as the first and the last.

    >>> _listed([22, 23, 24, 25]), _listed([0.5, 1.5, 3.0])
    ('22 to 25', '0.5, 1.5, 3')
    """
    whole = all(isinstance(value, int) for value in values)
    if whole and len(values) > 2 and values == list(range(values[0], values[0] + len(values))):
        return f"{values[0]} to {values[-1]}"
    return ", ".join(map(place_text, values))


def stored_prediction(cube: xr.Dataset) -> dict[str, Any]:
    """What was predicted of the cells of the cube, and whether before any of them trained; empty for a cube without.

    Where the sweep was extended, it is what was predicted then, of all cells.
    """
    stored = json.loads(cube.attrs.get("predictions", "null"))
    records = [] if stored is None else [stored, *stored.get("extended", [])]
    if not records:
        return {}
    return {**stored, **records[-1], "before_training": all(record["before_training"] for record in records)}


def extension_in_words(cube: xr.Dataset) -> list[str]:
    """One sentence for each time that the sweep was extended."""
    return [
        f"The sweep was extended on {extension['made'][:10]} by "
        + " and ".join(f"{list_in_words(dim)} {_listed(values)}" for dim, values in extension["added"].items())
        + ", when its other cells were known."
        for extension in json.loads(cube.attrs.get("extended", "[]"))
    ]


def place_text(value: Any) -> str:
    """A coordinate of a cube as text."""
    return f"{value:g}" if isinstance(value, float) else str(value)


def history_limit(cube: xr.Dataset) -> list[str]:
    """A sentence on the test images behind the histories; none where the cube does not say how many they are."""
    if "test_images" not in cube.attrs:
        return []
    taken, images = int(cube.attrs["history_images"]), int(cube.attrs["test_images"])
    of = f"all {images:,}" if taken == images else f"{taken:,} of the {images:,}"
    return [
        f"Accuracy along the runs is that on {of} test images, the same for every run: no interval says what others "
        "would change."
    ]


def score(cube: xr.Dataset, variable: str = "test_accuracy") -> xr.DataArray:
    """Accuracy of every cell that ran; a diverged cell scores chance, 1/K; NaN only where nothing ran."""
    chance = 1.0 / num_classes(cube)
    outcome = cube["outcome"]
    ran = outcome.isin([int(Outcome.FINISHED), int(Outcome.DIVERGED)])
    value = cube[variable].astype(float)
    return value.where(outcome != int(Outcome.DIVERGED), chance).where(ran).rename("score")


def save(cubes: xr.Dataset | Mapping[str, xr.Dataset], path: Path) -> None:
    """Write one cube, or several as groups named by their simulation, compressed, replacing `path` at once.

    The file ends with a seal, a line with the SHA-256 of all before it. HDF5 knows where its own part ends.
    """
    groups = {"/": cubes} if isinstance(cubes, xr.Dataset) else cubes
    content = netcdf.as_bytes(groups, compressed=True)
    try:
        durable.write(path, content + SEAL + hashlib.sha256(content).hexdigest().encode())
    except OSError as error:
        raise RunError(
            f"{path} could not be written ({error.strerror}); make room, or give back the right to write there, and "
            "run the same command again: nothing is trained again"
        ) from error


def _check_seal(file: Path) -> None:
    """Refuse a file that is not what was written; one without a seal, written elsewhere, is taken as it is."""
    content, seal, said = file.read_bytes().rpartition(SEAL)
    if seal and hashlib.sha256(content).hexdigest().encode() != said:
        raise ValueError("its content is not what its checksum says")


def open_cubes(path: str | Path) -> dict[str, xr.Dataset]:
    """Open every cube at `path` (a cube file, or a folder that holds `cube.nc`), by simulation name."""
    path = Path(path)
    file = path / "cube.nc" if path.is_dir() else path
    if not file.exists():
        raise CubeError(f"no cube at {path}: give a cube.nc file, or a folder that effbatch wrote", path=str(path))
    try:
        _check_seal(file)
        tree = xr.open_groups(file, engine="h5netcdf")
    except Exception as error:  # a damaged file raises anything
        raise CubeError(
            f"{file} cannot be read as netCDF, or is damaged ({first_line(error)}); give a cube.nc that effbatch "
            "wrote, or run its sweep again: the finished units there are kept"
        ) from error
    cubes = [check(dataset) for dataset in tree.values() if dataset.data_vars]
    if not cubes:
        raise CubeError(f"{file} holds no cube: give a cube.nc that effbatch wrote", path=str(file))
    return {str(cube.attrs.get("simulation", "cube")): cube for cube in cubes}


def open_cube(path: str | Path, name: str | None = None) -> xr.Dataset:
    """Open one cube that `effbatch simulate` or `effbatch validate` wrote.

    path  a cube file, or a folder with a `cube.nc`
    name  the simulation, if the file holds several
    The Dataset has the dimensions alpha, batch_size, learning_rate and seed, any other key of the grid, and checkpoint;
    `outcome` tells cells that diverged from cells that were not run. Accuracies are shares from 0 to 1, losses in nats.
    Raises CubeError if there is no cube, if its checksum or schema is wrong, or if `name` is missing or unknown.

    >>> effbatch.open_cube("simulations/results/cifar10", "human_noise")["noise"].values.tolist()
    ['given', 'same_matrix', 'same_rate']
    """
    cubes = open_cubes(path)
    if name is None and len(cubes) == 1:
        return next(iter(cubes.values()))
    if name not in cubes:
        if name is None:
            raise CubeError(
                f"{path} holds the cubes {', '.join(cubes)}; no name was given: choose one, by --name or "
                "open_cube(path, name)"
            )
        raise CubeError(f"{path} holds no cube {name!r}; {hint(name, cubes)}", name=name)
    return cubes[name]
