"""Claims by kind. Adding one is one module here (see `base.Claim`) and its test."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping
from typing import Any

from effbatch.claims.base import Claim, Setup
from effbatch.claims.shared.case import Case
from effbatch.claims.shared.judgement import Judgement, Verdict
from effbatch.core.errors import SpecError, hint

__all__ = ["Case", "Claim", "Judgement", "Setup", "Verdict", "claim_of", "get", "kinds"]


def kinds() -> list[str]:
    """The kinds that [claim] kind can name."""
    return sorted(m.name for m in pkgutil.iter_modules(__path__) if m.name not in ("base", "shared"))


def get(kind: str) -> type[Claim]:
    """The claim of a kind; SpecError that names the nearest one where there is none."""
    if kind not in kinds():
        raise SpecError(f"[claim] kind = {kind!r} is not known; {hint(kind, kinds())}", kind=kind)
    return getattr(importlib.import_module(f"{__name__}.{kind}"), f"{kind.title().replace('_', '')}Claim")


def claim_of(table: Mapping[str, Any], simulation: str) -> Claim:
    """The claim that the table [claim] of a simulation states, with the defaults of its kind put in.

    SpecError where the table names no known kind, or has a key or a value that this kind does not take.
    """
    rule = dict(table)
    kind = rule.pop("kind", None)
    if not isinstance(kind, str):
        raise SpecError(
            f"a verdict on {simulation} needs [claim] kind, one of {', '.join(kinds())}, got "
            f"{'none' if kind is None else repr(kind)}: give one, or train without a verdict by `effbatch simulate`"
        )
    return get(kind).by(rule)
