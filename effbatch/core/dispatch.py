"""An answer -> the function that shows it, from `show/`, which is imported when an answer is first shown.

This is the one door through which core reaches what stands above it, and it knows names alone.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from effbatch.core.errors import InputError

SHOW = "effbatch.show"
VIEWS = f"{SHOW}.views"  # a module for every folder with answers, of the same name


def maker(dispatcher: Any, answer: object, what: str) -> Callable[[Any], Any]:
    """What a `functools.singledispatch` function calls for this answer, once the views of its folder are imported.

    Raises InputError where nothing is registered for it: there is not `what` was asked for.
    """
    for cls in type(answer).__mro__:
        package, _, place = cls.__module__.partition(".")
        if package == "effbatch" and find_spec(name := f"{VIEWS}.{place.partition('.')[0]}"):
            import_module(name)
    found = dispatcher.dispatch(type(answer))
    if found is dispatcher.dispatch(object):
        raise InputError(
            f"{what} needs what predict (one or a list), advise, fit or measure_moments returned, a NoiseScaleTracker "
            f"or a verdict; got {type(answer).__name__}: give one of those"
        )
    return found


def writer(name: str) -> Any:
    """The module of `show/` that writes pages: `terminal` or `notebook`."""
    return import_module(f"{SHOW}.{name}")
