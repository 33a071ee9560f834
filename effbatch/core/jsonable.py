"""Nested mappings and sequences -> the same in dicts and lists, as JSON reads them back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def jsonable(value: Any) -> Any:
    """Mappings as dicts, tuples as lists, all the way down; numbers, text and None stay."""
    if isinstance(value, Mapping):
        return {key: jsonable(v) for key, v in value.items()}
    return [jsonable(v) for v in value] if isinstance(value, list | tuple) else value
