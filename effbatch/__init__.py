"""effbatch: learning rate, batch size and labels needed when most labels are wrong."""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.2.0"

_PUBLIC = {
    "Anchor": "effbatch.advice.question",
    "Noise": "effbatch.advice.noise",
    "Recipe": "effbatch.plan.recipe",
    "GradientMoments": "effbatch.theory.moments",
    "estimate_noise": "effbatch.audit",
    "fit": "effbatch.fitting",
    "measure_moments": "effbatch.measure.gradients",
    "NoiseScaleTracker": "effbatch.measure.tracker",
    "advise": "effbatch.advice.advise",
    "as_dataset": "effbatch.data.datasets",
    "open_cube": "effbatch.plan.cube",
    "plot": "effbatch.show.plots",
    "predict": "effbatch.advice.prediction",
}
__all__ = [*_PUBLIC]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used, so that `import effbatch` costs nothing."""
    if name not in _PUBLIC:
        raise AttributeError(f"module 'effbatch' has no attribute {name!r}")
    value = getattr(importlib.import_module(_PUBLIC[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *_PUBLIC])
