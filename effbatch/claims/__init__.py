"""Claims by kind. Adding one is one module here (see `base.Claim`) and its test."""

from __future__ import annotations

import importlib
import pkgutil
from typing import cast

from effbatch.claims.base import Claim, Judgement, Setup, Verdict, checked_rule
from effbatch.core.errors import SpecError, hint

__all__ = ["Claim", "Judgement", "Setup", "Verdict", "checked_rule", "get", "kinds"]


def kinds() -> list[str]:
    """The kinds that [claim] kind can name."""
    return sorted(m.name for m in pkgutil.iter_modules(__path__) if m.name not in ("base", "shared"))


def get(kind: str) -> Claim:
    """The claim of a kind; SpecError that names the nearest one where there is none."""
    if kind not in kinds():
        raise SpecError(f"[claim] kind = {kind!r} is not known; {hint(kind, kinds())}", kind=kind)
    return cast(Claim, importlib.import_module(f"{__name__}.{kind}"))
