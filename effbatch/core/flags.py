"""An enum of outcomes -> the CF attributes that make its integers readable in a file."""

from __future__ import annotations

from enum import IntEnum

import numpy as np


class Flag(IntEnum):
    """Outcome whose members carry a stored value and the sentence that the report prints."""

    sentence: str

    def __new__(cls, value: int, sentence: str) -> Flag:
        member = int.__new__(cls, value)
        member._value_ = value
        member.sentence = sentence
        return member


def cf_attributes(flag: type[Flag], long_name: str) -> dict[str, object]:
    """The `flag_values` and `flag_meanings` of a variable that stores members of `flag`."""
    return {
        "long_name": long_name,
        "flag_values": np.array([int(member) for member in flag], dtype=np.int8),
        "flag_meanings": " ".join(member.name.lower() for member in flag),
    }
