"""Judged cubes -> what their predictions missed by, pooled: best rates and regrets by cell, accuracies by setting.

Rates of a few laws stand beside those of the linearised theory, as its rivals.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr

from effbatch.fitting import regret
from effbatch.fitting.cells import groups, setting_of
from effbatch.laws import get
from effbatch.plan.cube import Outcome
from effbatch.validation.judged import JudgedCube

RIVALS = {
    "square_root_clean_count": "√(B/(1+α))",
    "none": "no scaling",
    "linear": "linear in B",
    "square_root": "√B",
    "clean_count": "B/(1+α)",
}


def has_surface(one: JudgedCube) -> bool:
    """Whether the linearised theory said something of this cube before it was trained."""
    theory = one.case.theory
    return one.predicted_before and "accuracy" in theory and bool(theory["accuracy"].notnull().any())


def rate_cells(judged: Sequence[JudgedCube]) -> xr.Dataset:
    """By `cell` of all cubes: error of the predicted best rate in powers of two, and what using it costs.

    error            |log2(predicted/measured)|
    regret           accuracy at the best rate of the grid minus that at the predicted one, in points; regret_LAW: by a
                     rival, anchored at the clean cell of the same network at the middle batch size, NaN at that cell
    label            the network, and its data set where the cubes have several
    """
    named = zip(judged, _names(judged), strict=True)
    return xr.concat([_cells(one, names) for one, names in named], "cell")


def _cells(one: JudgedCube, names: xr.DataArray) -> xr.Dataset:
    best, predicted = one.case.best, one.case.theory["best_learning_rate"]
    found = xr.Dataset({"error": np.abs(np.log2(predicted / best["best_learning_rate"]))})
    rates = {"regret": predicted, **_from_clean_cell(best)}
    together = xr.concat(list(rates.values()), xr.Variable("by", list(rates)), coords="minimal", compat="override")
    lost = 100 * regret(one.cube, best, together)["regret"]
    found = found.assign({key: lost.sel(by=key, drop=True) for key in rates})
    found["label"] = names.broadcast_like(found["error"])
    dims = best["outcome"].dims
    flat = {name: ("cell", values.transpose(*dims).values.ravel()) for name, values in found.items()}
    return xr.Dataset(flat)


def _from_clean_cell(best: xr.Dataset) -> dict[str, xr.DataArray]:
    """Rates by every rival, under the name of its regret, anchored at the clean cell of the middle batch size.

    NaN at that cell, and where there is none.
    """
    nowhere = xr.full_like(best["best_learning_rate"], np.nan).transpose(..., "alpha", "batch_size")
    rates = {law: nowhere.copy() for law in RIVALS}
    clean, middle = float(best["alpha"].min()), np.sort(best["batch_size"].values)[best.sizes["batch_size"] // 2]
    for place, cells in groups(best):
        at = (cells["alpha"].values == clean) & (cells["batch_size"].values == middle)
        if clean > 0 or not at.any():
            continue
        setting, anchor, others = setting_of(cells), np.flatnonzero(at), np.flatnonzero(~at)
        row, column = (
            (cells[dim].values[others][:, None] == best[dim].values).argmax(1) for dim in ("alpha", "batch_size")
        )
        for law, known in rates.items():
            factor = get(law).factor(setting(others), setting(anchor))
            known.values[(*place, row, column)] = cells["best_learning_rate"].values[anchor] * factor
    return {f"regret_{law}": known.transpose(*best["best_learning_rate"].dims) for law, known in rates.items()}


def accuracy_errors(judged: Sequence[JudgedCube]) -> list[xr.DataArray]:
    """Of every cube measured minus predicted accuracy in points, (seed, cell); NaN unless finished.

    With every cell its name, and whether its rate is at most twice the best one predicted: beyond, the linearised
    theory diverges or knows no edge.
    """
    return [_errors(one, names) for one, names in zip(judged, _names(judged), strict=True)]


def _errors(one: JudgedCube, names: xr.DataArray) -> xr.DataArray:
    cube, predicted, reach = one.cube, one.case.theory["accuracy"], 2 * one.case.theory["best_learning_rate"]
    finished = cube["test_accuracy"].astype(float).where(cube["outcome"] == int(Outcome.FINISHED))
    error = (100 * (finished - predicted)).drop_vars(["step", "examples"], errors="ignore")
    dims = [dim for dim in error.dims if dim != "seed"]
    label = names.broadcast_like(error.isel(seed=0, drop=True)).transpose(*dims)
    stacked = error.transpose("seed", *dims).values.reshape(error.sizes["seed"], -1)
    near = (error["learning_rate"] <= reach).broadcast_like(error.isel(seed=0, drop=True)).transpose(*dims)
    coords = {"label": ("cell", label.values.ravel()), "near": ("cell", near.values.ravel())}
    return xr.DataArray(stacked, dims=("seed", "cell"), coords=coords)


def _names(judged: Sequence[JudgedCube]) -> list[xr.DataArray]:
    """The name of every cell of each cube: its network, and its data set where the cubes have several."""
    datasets = [_said(one, "data", "dataset") for one in judged]
    several = len({name for said in datasets for name in said.values.ravel()}) > 1
    names = [_said(one, "train", "network") for one in judged]
    if several:
        names = [network + " on " + dataset for network, dataset in zip(names, datasets, strict=True)]
    return [name.drop_vars(["network", "dataset"], errors="ignore") for name in names]


def _said(one: JudgedCube, part: str, key: str) -> xr.DataArray:
    """A key of the spec in every cell: a dimension of the grid, or one value for all."""
    values = one.cube[key] if key in one.cube.dims else xr.DataArray(one.spec[part][key])
    return values.astype(object)
