"""Nested dataclasses, mappings and sequences -> the same in dicts and lists, as JSON reads them back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any

from effbatch.core.estimate import Estimate


def jsonable(value: Any) -> Any:
    """Estimates by `to_json`, dataclasses and mappings as dicts, tuples as lists, all the way down; the rest stays."""
    if isinstance(value, Estimate):
        return value.to_json()
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: jsonable(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {key: jsonable(v) for key, v in value.items()}
    return [jsonable(v) for v in value] if isinstance(value, list | tuple) else value
