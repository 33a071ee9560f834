"""What a key of a spec takes and means, declared once -> its values checked, each mistake one sentence.

docs/spec.md shows the same declarations (`docs/spec_keys.py`).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, fields, replace
from math import inf
from operator import ge, gt, le, lt
from typing import Any

from effbatch.core.errors import SpecError, hint

SPELLED = {  # what people write -> what to write instead
    **{unit: f"write budget = {{ {unit} = N }}" for unit in ("steps", "examples", "epochs")},
    **dict.fromkeys(("epoch", "num_epochs", "max_epochs"), "write budget = { epochs = N }"),
    **dict.fromkeys(("lr", "learning_rates"), "write learning_rate, in [grid]"),
    **dict.fromkeys(("batch", "batch_sizes", "batchsize"), "write batch_size, in [grid]"),
    "noise_rate": "write alpha, which `effbatch estimate --noise-rate R --classes K` computes of it",
    "augment": "leave it out: effbatch 0.2 shows images as they are",
}


@dataclass(frozen=True, kw_only=True)
class Key:
    """What a key takes, and what it means.

    takes    str, bool, int, float, object: a name or a number, or Mapping: a table with one of the keys `of`
    meaning  Markdown, for the documentation
    low, high, above, below  limits of a number; it may be `low` and `high`, but not `above` and `below`
    choices  the names that it may be
    own      it may also be `package.module:function`, of the user's own
    many     it takes a list of such values
    since    the first version that has it
    """

    takes: type
    meaning: str = ""
    low: float | None = None
    high: float | None = None
    above: float | None = None
    below: float | None = None
    choices: Collection[str] = ()
    own: bool = False
    many: bool = False
    of: Mapping[str, Key] = field(default_factory=dict)
    since: str = "0.1"

    @property
    def needs(self) -> str:
        """What a value must be: "a number from 0 to 1"."""
        if self.many:
            return f"a list of {'names' if self.choices else 'values'}, each {replace(self, many=False).needs}"
        if self.choices:
            return f"one of {', '.join(self.choices)}{' or package.module:function' * self.own}"
        if self.takes in (int, float):
            return f"{'a whole number' if self.takes is int else 'a number'} {self.limits}".rstrip()
        table = f"a table with exactly one of {', '.join(self.of)}"
        return {str: "text", bool: "true or false", object: "a name or a number", Mapping: table}[self.takes]

    @property
    def limits(self) -> str:
        """The limits of a number in words."""
        if self.low is not None and self.high is not None:
            return f"from {_number(self.low)} to {_number(self.high)}"
        said = {"of at least": self.low, "above": self.above, "below": self.below, "at most": self.high}
        return " and ".join(f"{words} {_number(limit)}" for words, limit in said.items() if limit is not None)

    def check(self, where: str, value: Any) -> None:
        """Raise SpecError unless the value is what this key needs; `where` names table and key."""
        if self.of and isinstance(value, Mapping):
            check_names(value, self.of, where=where)
        if not self._fits(value):
            near = hint(value, self.choices) if self.choices and isinstance(value, str) else ""
            advice = f": {near}" * near.startswith("did you mean")
            raise SpecError(f"{where} must be {self.needs}, got {shown(value)}{advice}", value=value)
        for name, inner in value.items() if self.of else ():
            self.of[name].check(f"{where} {name}", inner)

    def _fits(self, value: Any) -> bool:
        if self.many:
            return isinstance(value, list) and all(replace(self, many=False)._fits(one) for one in value)
        if self.of:
            return isinstance(value, Mapping) and len(value) == 1
        if self.takes in (str, bool):
            if not isinstance(value, self.takes):
                return False
            return not self.choices or value in self.choices or (self.own and ":" in str(value))
        if self.takes is object and isinstance(value, str):
            return True
        if isinstance(value, bool) or not isinstance(value, int if self.takes is int else int | float):
            return False
        limits = ((ge, self.low), (gt, self.above), (le, self.high), (lt, self.below), (gt, -inf), (lt, inf))
        return all(limit is None or holds(value, limit) for holds, limit in limits)


def key(default: Any, meaning: str, *, takes: type | None = None, **declared: Any) -> Any:
    """A field of a dataclass that is a key of the spec, of the type of its default."""
    takes = takes or (Mapping if isinstance(default, dict) else type(default))
    metadata = {"key": Key(takes=takes, meaning=meaning, **declared)}
    if isinstance(default, dict):
        return field(default_factory=lambda: dict(default), metadata=metadata)
    return field(default=default, metadata=metadata)


def keys_of(table: type) -> dict[str, Key]:
    """The keys that a dataclass declares."""
    return {one.name: one.metadata["key"] for one in fields(table)}


def check_names(table: Mapping[str, Any], known: Collection[str], *, where: str) -> None:
    """Raise SpecError for a key that is not known; it names the nearest one that is."""
    for name in table:
        if name not in known:
            raise SpecError(f"unknown key {name!r} in {where}; {SPELLED.get(name) or hint(name, known)}", key=name)


def check_table(table: Mapping[str, Any], known: Mapping[str, Key], where: str) -> None:
    """Raise SpecError unless every key of the table is known and has a value that it takes."""
    check_names(table, known, where=where)
    for name, value in table.items():
        known[name].check(f"{where} {name}", value)


def shown(value: Any) -> str:
    """A value as an error tells it, cut where it is long."""
    text = repr(value)
    return text if len(text) <= 200 else f"{text[:200]}..."


def _number(limit: float) -> str:
    return f"{limit:,}" if isinstance(limit, int) else f"{limit:g}"
