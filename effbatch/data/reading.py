"""What a user says of how data are to be read where the data do not tell, and any array of theirs -> NumPy's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from effbatch.core.errors import InputError

Channels = Literal["first", "last"]


@dataclass(frozen=True)
class Reading:
    """What decides between two readings; None where the data tell.

    label     the column of a table, or of a data set of the hub, that holds the labels
    channels  "first" or "last": where images have their channels
    tokens    whole numbers (n, L) are sequences of tokens (True) or features (False)
    Raises InputError for channels of another name.
    """

    label: str | None = None
    channels: Channels | None = None
    tokens: bool | None = None

    def __post_init__(self) -> None:
        if self.channels not in (None, "first", "last"):
            raise InputError(f'channels needs "first" or "last", got {self.channels!r}: write one of them')

    def only(self, what: str, *known: str) -> None:
        """Raise InputError where something else than the `known` is said of `what`, which has no use for it."""
        for name, value in vars(self).items():
            if value is not None and name not in known:
                raise InputError(f"{what} has no use for {name}, got {value!r}: leave it out")


PLAIN = Reading()


def array_of(what: str, value: Any) -> np.ndarray:
    """An array, tensor, list, Series, ... as NumPy has it. InputError where rows differ in length."""
    if hasattr(value, "detach"):  # a tensor, perhaps of a type that NumPy lacks
        value = value.detach().cpu().to_dense()
        value = value.float() if "float" in str(value.dtype) and value.itemsize < 4 else value
    elif hasattr(value, "toarray"):  # of scipy.sparse
        value = value.toarray()
    if np.ma.is_masked(value):
        raise InputError(f"{what} needs a value everywhere, got a mask over some: fill in, or leave those examples out")
    try:
        return np.asarray(value)
    except ValueError as error:
        raise InputError(f"{what} needs rows of one length, got others: pad or cut them, and make one array") from error
