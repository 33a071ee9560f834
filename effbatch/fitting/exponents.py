"""Best learning rates -> the powers of batch size and 1 + α that they follow, with robust intervals."""

from __future__ import annotations

import numpy as np
import xarray as xr

from effbatch.fitting.cells import groups

TERMS = ("batch_size", "alpha")


def exponents(best: xr.Dataset, *, confidence: float = 0.95) -> xr.Dataset:
    """Fit ln η = c + b ln B + a ln(1 + α) by least squares over the interior cells.

    Returns exponent, low and high by `term` ("batch_size": b, "alpha": a) and by every other dim of `best`, and
    `cells`, the number used. Limits: HC3 standard errors (MacKinnon & White, 1985) with Student's t; they see
    the scatter of the cells about the power law, seed noise and misfit alike, and take cells as independent. A
    quantity that did not vary has no exponent: NaN. Limits are NaN where some cell decides a term on its own.
    """
    import statsmodels.api as sm

    rest = [dim for dim in best["best_learning_rate"].dims if dim not in ("alpha", "batch_size")]
    shape = tuple(best.sizes[dim] for dim in rest)
    values = np.full((*shape, len(TERMS), 3), np.nan)  # exponent, low, high
    count = np.zeros(shape, dtype=int)
    for place, cells in groups(best):
        count[place] = cells.sizes["cell"]
        columns = np.stack([np.log(cells["batch_size"].values), np.log1p(cells["alpha"].values)], axis=1)
        varied = [i for i in range(len(TERMS)) if np.unique(columns[:, i]).size > 1]
        design = np.column_stack([np.ones(len(columns)), columns[:, varied]])
        if not varied or np.linalg.matrix_rank(design) < design.shape[1] or len(design) <= design.shape[1]:
            continue
        model = sm.OLS(np.log(cells["best_learning_rate"].values), design)
        leverage = np.einsum("ij,ji->i", design, np.linalg.pinv(design))
        decided_alone = leverage.max() > 1 - 1e-9  # HC3 divides by 1 - leverage
        fitted = model.fit() if decided_alone else model.fit(cov_type="HC3", use_t=True)
        here = values[place]
        here[varied, 0] = fitted.params[1:]
        if not decided_alone:
            here[varied, 1:] = fitted.conf_int(alpha=1 - confidence)[1:]
    return xr.Dataset(
        {
            **{name: ((*rest, "term"), values[..., i]) for i, name in enumerate(("exponent", "low", "high"))},
            "cells": (rest, count),
        },
        coords={"term": list(TERMS), **{dim: best[dim] for dim in rest}},
        attrs={"interval": "HC3 with Student's t", "confidence": confidence},
    )
