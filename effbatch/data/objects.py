"""What Python callers hold, arrays, pairs, mappings, DataFrames, torch `Dataset`s and `DataLoader`s -> a `DataSet`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from effbatch.core.errors import InputError
from effbatch.data.dataset import DataSet
from effbatch.data.sources import arrays, table

MAX_EXAMPLES = 10_000_000  # of a Dataset, held in memory
KEYS = (("image", "label"), ("img", "label"), ("pixel_values", "labels"), ("pixel_values", "label"), *arrays.PAIRS)


def from_object(data: Any, *, label: str | None = None, channels: str | None = None) -> DataSet:
    """The data set that an object means; see `datasets.as_dataset`.

    A `DataLoader` stands for the `Dataset` that it draws from, with its transforms as they are. InputError for anything
    that is none of these, and for a `Dataset` whose examples are no pair of input and label.
    """
    if hasattr(data, "columns") and hasattr(data, "iloc"):
        return table.from_frame("table", data, label)
    if isinstance(data, Mapping):
        if channels is not None:
            data = {**data, "channels": channels}
        halves = {key: data[key] for key in ("train", "test", "validation") if key in data}
        if "train" in halves:
            test = halves.get("test", halves.get("validation"))
            return _of_halves(halves["train"], test, channels)
        return arrays.from_mapping("arrays", data)
    if isinstance(data, tuple | list):
        if len(data) == 4:
            return arrays.dataset("arrays", (data[0], data[1]), (data[2], data[3]), channels=channels)
        if len(data) == 2:
            if _is_pair(data[0]) and _is_pair(data[1]):
                return arrays.dataset("arrays", tuple(data[0]), tuple(data[1]), channels=channels)
            if _is_torch(data[0]) and _is_torch(data[1]):
                return _of_halves(data[0], data[1], channels)
            return arrays.dataset("arrays", tuple(data), channels=channels)
    if _is_torch(data):
        return _of_halves(data, None, channels)
    raise InputError(
        "data needs to be a name or path, a DataSet, arrays (x_train, y_train, x_test, y_test) or (x, y), a mapping of "
        f"them, a DataFrame, a torch Dataset or a DataLoader, got {type(data).__name__}: put your examples and labels "
        "into arrays"
    )


def _of_halves(train: Any, test: Any, channels: str | None) -> DataSet:
    name = type(getattr(train, "dataset", train)).__name__
    return arrays.dataset(name, _gathered(train), None if test is None else _gathered(test), channels=channels)


def _is_pair(value: Any) -> bool:
    """Whether it is (examples, labels), and not a list of two numbers."""
    return isinstance(value, tuple | list) and len(value) == 2 and all(np.ndim(one) > 0 for one in value)


def _is_torch(value: Any) -> bool:
    """A `Dataset` or a `DataLoader`, told by what they can do: torch is not imported for that."""
    plain = isinstance(value, np.ndarray | str | bytes) or hasattr(value, "dtype") or hasattr(value, "iloc")
    return (
        not plain
        and (hasattr(value, "__getitem__") or hasattr(value, "__iter__"))
        and not isinstance(value, tuple | list | Mapping)
    )


def _gathered(data: Any) -> tuple[np.ndarray, np.ndarray]:
    """All examples and labels of a Dataset; the one behind a DataLoader, whose batches and order do not matter here."""
    data = getattr(data, "dataset", data)
    if _is_pair(data):
        return data[0], data[1]
    count = len(data) if hasattr(data, "__len__") else None
    if count is not None and count > MAX_EXAMPLES:
        raise InputError(
            f"a Dataset is held in memory: at most {MAX_EXAMPLES:,} examples, got {count:,}: give a part of it"
        )
    examples = (data[i] for i in range(count)) if count is not None and hasattr(data, "__getitem__") else iter(data)
    x, y = [], []
    for example in examples:
        one, label = _pair(example)
        x.append(np.asarray(one))
        y.append(np.asarray(label))
        if len(x) > MAX_EXAMPLES:
            raise InputError(
                f"a Dataset is held in memory: at most {MAX_EXAMPLES:,} examples, got more: give a part of it"
            )
    if not x:
        raise InputError(f"{type(data).__name__} needs at least one example, got none: look at its length")
    shapes = {one.shape for one in x}
    if len(shapes) > 1:
        few = ", ".join(map(str, sorted(shapes, key=str)[:3]))
        raise InputError(f"the examples of {type(data).__name__} need one shape, got {few}: resize or pad them")
    return np.stack(x), np.stack(y)


def _pair(example: Any) -> tuple[Any, Any]:
    """Input and label of one example, which is a pair, longer, or a mapping."""
    if isinstance(example, Mapping):
        for keys in KEYS:
            if all(key in example for key in keys):
                return example[keys[0]], example[keys[1]]
        raise InputError(
            f"an example needs an input and a label, got {', '.join(map(str, example))}: call them x and y"
        )
    if isinstance(example, tuple | list) and len(example) >= 2:
        return example[0], example[1]
    raise InputError(f"an example needs to be (input, label), got {type(example).__name__}: wrap the Dataset")
