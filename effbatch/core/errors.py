"""The few exceptions of effbatch: each says what it needs, what it got and what to do, and keeps these facts.

>>> try:
...     effbatch.predict(-1, 128)
... except InputError as error:
...     print(error.exit_code)
2
"""

from __future__ import annotations

import os
from collections.abc import Iterable

_LONGEST_NAME = 100  # characters compared for a hint


class EffbatchError(Exception):
    """Base of every error that effbatch raises on purpose; `facts` holds the values that the sentence names."""

    exit_code = 1

    def __init__(self, message: str, **facts: object) -> None:
        super().__init__(message)
        self.facts = facts


class InputError(EffbatchError):
    """A value given by the user cannot be used; the sentence says which, why and what to give instead."""

    exit_code = 2


class SpecError(InputError):
    """A simulation spec cannot be read: an unknown key, a missing one, or a value out of range."""


class CubeError(InputError):
    """A file or Dataset is not a cube of this schema, or not the cube that was asked for."""


class SweepError(EffbatchError):
    """A sweep folder cannot be used: owned by another run, made from another spec, or not writable."""


class RunError(EffbatchError):
    """A run failed, or a promised file could not be written."""


def hint(name: str, known: Iterable[str]) -> str:
    """What to write instead of an unknown name: the nearest known one, or all of them."""
    from difflib import get_close_matches

    known = list(known)
    alike = [one for one in known if one.casefold() == str(name).casefold()]
    near = alike or get_close_matches(str(name)[:_LONGEST_NAME], known, n=1)
    return f"did you mean {near[0]!r}?" if near else f"known: {', '.join(known)}"


def beside(path: str | os.PathLike[str]) -> str:
    """What to do about a file that cannot be read: "; did you mean '...'?" if one beside it has a similar name."""
    from difflib import get_close_matches

    name, folder = os.path.basename(path), os.path.dirname(path)
    if os.path.exists(path):
        return "; give a file that you may read"
    there = os.listdir(folder or ".") if os.path.isdir(folder or ".") else []
    near = get_close_matches(name[:_LONGEST_NAME], there, n=1)
    return f"; did you mean {os.path.join(folder, near[0])!r}?" if near else "; check its path"


def first_line(error: BaseException) -> str:
    """What somebody else's exception says, in one line."""
    return f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else 'no message'}"
