"""Arrays of examples and labels -> a `DataSet`, with one line that says how they were read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np

from effbatch.core.errors import InputError
from effbatch.data.classes import class_indices
from effbatch.data.dataset import DataSet, check_as_many, fingerprint
from effbatch.data.inputs import inputs
from effbatch.data.reading import PLAIN, Reading
from effbatch.data.sources import TESTING
from effbatch.data.split import stratified

EXAMPLES = ("x", "images", "features", "data", "inputs", "tokens", "input_ids")
LABELS = ("y", "labels", "label", "target", "targets")
PAIRS = (("x", "y"), ("images", "labels"), ("features", "labels"), ("data", "target"))  # before any other pair
TOKENS = ("tokens", "input_ids")  # of the examples, what their names say
OPTIONS = ("num_classes", "channels")
WAYS = ("{}_{half}", "{half}_{}")  # x_train, train_x


def dataset(
    name: str,
    train: tuple[Any, Any],
    test: tuple[Any, Any] | None = None,
    *,
    num_classes: Any = None,
    reading: Reading = PLAIN,
    source: str = "",
) -> DataSet:
    """(examples, labels) of each half; without a test half a fifth of every class is drawn for it.

    See `inputs` and `class_indices` for what is understood; neither changes the scale of floating numbers. InputError
    where examples or labels are of another kind. `dataset.checked` looks at the rest.
    """
    halves = [train] if test is None else [train, test]
    x, words = inputs(name, *(half[0] for half in halves), reading=reading)
    y, class_names = class_indices(name, *(half[1] for half in halves), num_classes=num_classes)
    split = ""
    if test is None:
        check_as_many(name, x[0], y[0])
        kept, drawn = stratified(y[0])
        x, y = [x[0][kept], x[0][drawn]], [y[0][kept], y[0][drawn]]
        split = ", a fifth of every class drawn for testing"
        if not len(drawn):
            raise InputError(
                f"{name} needs a test set, or 5 examples of some class to draw one from, got {len(kept)} examples: "
                "add some"
            )
    return DataSet(
        name=name,
        x_train=x[0],
        y_train=y[0],
        x_test=x[1],
        y_test=y[1],
        num_classes=len(class_names),
        source=source or name,
        fingerprint=fingerprint(x[0], y[0], x[1], y[1], np.array(len(class_names))),
        class_names=class_names,
        read_as=f"{words}{split}",
    )


def wanted(name: Any) -> bool:
    """Whether an array of this name may be one that `from_mapping` asks for."""
    return str(name).casefold() in _WANTED


def from_mapping(name: str, arrays: Mapping[Any, Any], *, reading: Reading = PLAIN, source: str = "") -> DataSet:
    """The data set in arrays by name: x_train, y_train, x_test, y_test, or a pair without a test set.

    Upper and lower case are one; train_images and train_labels will do, and val for test; examples called tokens are
    that. `num_classes` and `channels` are options of `dataset`. InputError names what is missing.
    """
    held = {str(key).casefold(): key for key in arrays}
    options = {key: _plain(arrays[held[key]]) for key in OPTIONS if key in held}
    pairs = {half: _pair(name, held, half) for half in ("train", *TESTING, "")}
    train = pairs["train"] or pairs[""]
    if train is None:
        raise InputError(
            f"{name} needs the arrays x_train, y_train, x_test, y_test, or x and y alone; it has "
            f"{', '.join(map(str, arrays)) or 'none'}: rename them",
            held=list(arrays),
        )
    by_name = any(word in str(train[0]).casefold() for word in TOKENS) or None
    reading = replace(
        reading,
        channels=reading.channels or options.get("channels"),
        tokens=by_name if reading.tokens is None else reading.tokens,
    )
    test = next((pairs[half] for half in TESTING if pairs[half]), None) if pairs["train"] else None
    halves = [None if half is None else (arrays[half[0]], arrays[half[1]]) for half in (train, test)]
    return dataset(name, halves[0], halves[1], num_classes=options.get("num_classes"), reading=reading, source=source)  # type: ignore[arg-type]


def _pair(name: str, held: Mapping[str, Any], half: str) -> tuple[Any, Any] | None:
    """What the examples and the labels of a half are called; None where neither is there."""
    found = [(held[x], held[y]) for x, y in _names(half, PAIRS) if x in held and y in held]
    if not found:
        found = [(held[x], held[y]) for x, y in _names(half, product(EXAMPLES, LABELS)) if x in held and y in held]
    alone = {x for pair in _names(half, product(EXAMPLES, LABELS)) for x in pair if x in held} if half else set()
    if alone and not found:
        raise InputError(
            f"{name} needs examples and labels of each half, got {', '.join(sorted(alone))} alone: add the other"
        )
    if len(found) > 1:
        raise InputError(
            f"{name} holds {' and '.join(', '.join(map(str, pair)) for pair in found)}: keep one pair of examples and "
            "labels"
        )
    return found[0] if found else None


def _names(half: str, pairs: Any) -> list[tuple[str, str]]:
    """Examples and labels as they may be called in a half; "" for data in one piece."""
    pairs = list(pairs)
    if not half:
        return pairs
    return [(way.format(x, half=half), way.format(y, half=half)) for x, y in pairs for way in WAYS]


_WANTED = {
    *OPTIONS,
    *(name for half in ("train", *TESTING, "") for pair in _names(half, product(EXAMPLES, LABELS)) for name in pair),
}


def _plain(value: Any) -> Any:
    """A string that an .npz file holds as an array of one."""
    found = np.asarray(value)
    return str(found) if found.dtype.kind == "U" and found.ndim == 0 else value
