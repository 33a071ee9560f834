"""Rival laws of the best learning rate, by name: every module here that defines `LAWS` adds to the registry.

A new law is one file beside this one (a frozen dataclass with the members of `Law`, and `LAWS = (...)`)
and its test.
"""

from __future__ import annotations

import importlib
import pkgutil

from effbatch.core.errors import InputError, hint
from effbatch.laws.base import ADAPTIVE, OPTIMIZERS, Applies, Law, Setting

__all__ = ["ADAPTIVE", "LAWS", "OPTIMIZERS", "Applies", "Law", "Setting", "get"]


def _discover() -> dict[str, Law]:
    modules = [importlib.import_module(f"{__name__}.{module.name}") for module in pkgutil.iter_modules(__path__)]
    return {law.name: law for module in modules for law in getattr(module, "LAWS", ())}


LAWS: dict[str, Law] = _discover()


def get(name: str) -> Law:
    """The law of that name; InputError names the nearest known one."""
    if name in LAWS:
        return LAWS[name]
    raise InputError(f"no law is called {name!r}; {hint(name, LAWS)}", law=name)
