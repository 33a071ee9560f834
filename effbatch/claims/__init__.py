"""Claims by kind. Adding one is one module here (see `base.Claim`) and its test."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping
from typing import Any, cast

from effbatch.claims.base import Claim, Judgement, Setup, Verdict, checked_rule
from effbatch.core.errors import SpecError, hint

__all__ = ["Claim", "Judgement", "Setup", "Verdict", "checked_rule", "get", "kinds", "rule_of"]


def kinds() -> list[str]:
    """The kinds that [claim] kind can name."""
    return sorted(m.name for m in pkgutil.iter_modules(__path__) if m.name not in ("base", "shared"))


def rule_of(table: Mapping[str, Any], simulation: str) -> dict[str, Any]:
    """The rule that the [claim] table of a simulation states: its kind, and every key of that kind.

    SpecError where the table names no known kind, or has a key or a value that this kind does not take.
    """
    kind = table.get("kind")
    if not isinstance(kind, str):
        raise SpecError(
            f"a verdict on {simulation} needs [claim] kind, one of {', '.join(kinds())}, got "
            f"{'none' if kind is None else repr(kind)}: give one, or train without a verdict by `effbatch simulate`"
        )
    return {"kind": kind, **checked_rule(get(kind), table)}


def get(kind: str) -> Claim:
    """The claim of a kind; SpecError that names the nearest one where there is none."""
    if kind not in kinds():
        raise SpecError(f"[claim] kind = {kind!r} is not known; {hint(kind, kinds())}", kind=kind)
    return cast(Claim, importlib.import_module(f"{__name__}.{kind}"))
